"""EAD-Net as a whole: shapes, variants, guidance, checkpoints."""

import pytest
import torch

from eadbench.models.config import EADNetConfig
from eadbench.models.eadnet import EADNet, guidance_branches

SMALL = {
    "block_channels": (16, 32),
    "attention_levels": (0, 1),
    "layers_per_block": 1,
    "heads": 2,
    "norm_groups": 4,
    "filter_groups": 4,
    "audio_dim": 6,
    "audio_layers": 2,
    "audio_left": 1,
    "audio_right": 1,
    "text_dim": 5,
    "context_dim": 8,
    "tfrm_band": 1,
    "tfrm_layers": 1,
}
VARIANTS = [
    {"stda": "none", "tfrm": "none", "emotion": "none"},
    {"stda": "full", "tfrm": "none", "emotion": "text", "motion": True},
    {"stda": "joint", "tfrm": "gat", "emotion": "vai"},
    {"stda": "strip_h", "tfrm": "gcn"},
    {"stda": "strip_v", "tfrm": "learned", "audio_mix_layers": True},
    {"stda": "strip_hv", "tfrm": "learned", "motion": True, "decoder_condition": "audio"},
    {"stda": "strip_hvt", "tfrm": "learned"},
    {"stda": "filter", "tfrm": "gcn"},
    {"stda": "pool", "tfrm": "gcn"},
]


def network(trained: bool = True, **choices) -> EADNet:
    """A small network; ``trained`` opens what starts closed (last layers of branches,
    last convolution, values of text).
    """
    torch.manual_seed(0)
    model = EADNet(EADNetConfig(**{**SMALL, **choices}))
    if trained:
        g = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.abs().max() == 0:
                    parameter.copy_(0.1 * torch.randn(parameter.shape, generator=g))
    return model.eval()


def inputs(
    config: EADNetConfig, batch: int = 2, frames: int = 4, h: int = 6, w: int = 4, seed: int = 0
) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g)

    return {
        "noisy": normal(batch, frames, 4, h, w),
        "timesteps": torch.randint(0, 1000, (batch,), generator=g),
        "mask": (torch.rand(batch, frames, 1, h, w, generator=g) > 0.5).float(),
        "masked": normal(batch, frames, 4, h, w),
        "reference": normal(batch, frames, 4, h, w),
        "audio": normal(batch, frames, config.audio_tokens, config.audio_dim),
        "text": normal(batch, 3, config.text_dim),
        "vai": normal(batch, 3),
    }


@pytest.mark.parametrize("choices", VARIANTS, ids=lambda c: "-".join(map(str, c.values())))
def test_every_variant_runs_at_odd_sizes_and_trains_every_parameter(choices):
    model = network(**choices)
    batch = inputs(model.config, h=5, w=7, frames=3)
    y = model(**batch, drop_audio=torch.tensor([True, False]), drop_text=torch.tensor([True, False]))
    assert y.shape == batch["noisy"].shape and y.isfinite().all()
    y.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 1, 3, 1), (2, 5, 2, 6)])
def test_one_frame_and_small_latents(shape):
    model = network()
    batch = inputs(model.config, *shape)
    assert model(**batch).shape == batch["noisy"].shape


def test_an_untrained_network_predicts_zero():
    model = network(trained=False)
    assert model(**inputs(model.config)).abs().max() == 0


def test_input_channels_are_noisy_mask_masked_reference():
    model, seen = network(), {}
    model.conv_in.register_forward_hook(lambda module, args, out: seen.update(x=args[0]))
    batch = inputs(model.config)
    model(**batch)
    x = seen["x"].unflatten(0, (2, 4))
    assert [x.shape[2], model.config.in_channels] == [13, 13]
    for name, part in zip(
        ("noisy", "mask", "masked", "reference"), x.split((4, 1, 4, 4), dim=2), strict=True
    ):
        assert torch.equal(part, batch[name])


def test_every_input_matters():
    model = network()
    batch = inputs(model.config)
    base = model(**batch)
    for name, value in inputs(model.config, seed=9).items():
        assert not torch.allclose(model(**{**batch, name: value}), base, atol=1e-5), name


def test_clips_of_a_batch_do_not_meet():
    model = network()
    batch = inputs(model.config)
    alone = model(**{k: v[:1] for k, v in batch.items()})
    assert torch.allclose(model(**batch)[:1], alone, atol=1e-5)


def test_frames_meet_only_through_time_strips_graph_and_motion():
    """Without them a frame's prediction does not depend on the other frames."""
    model = network(stda="strip_hv", tfrm="none")
    batch = inputs(model.config)
    batch["noisy"].requires_grad_(True)
    model(**batch)[0, 2].square().sum().backward()
    assert (batch["noisy"].grad[0].abs().amax((1, 2, 3)) > 0).tolist() == [False, False, True, False]


def test_adjacency_is_given_for_every_graph():
    model = network(tfrm_layers=2)
    y, graphs = model(**inputs(model.config), return_adjacency=True)
    assert y.shape[1] == 4 and sorted(graphs) == [
        "down_blocks.0",
        "down_blocks.1",
        "mid_block",
        "up_blocks.0",
        "up_blocks.1",
    ]
    assert all(
        g.shape == (2, 2, 4, 4) and torch.allclose(g.sum(-1), torch.ones(2, 2, 4), atol=1e-5)
        for g in graphs.values()
    )


def test_gradient_checkpointing_changes_no_gradient():
    grads = []
    for keep in (True, False):
        model = network()
        model.gradient_checkpointing = not keep
        some = torch.tensor([True, False])
        model(**inputs(model.config), drop_audio=some, drop_text=some).square().sum().backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def test_channels_last_and_bf16_agree_with_fp32():
    model = network()
    batch = inputs(model.config)
    expected = model(**batch)
    assert torch.allclose(model.to(memory_format=torch.channels_last)(**batch), expected, atol=1e-5)
    low = {k: v.bfloat16() if v.is_floating_point() else v for k, v in batch.items()}
    low_output = model.bfloat16()(**low)
    assert low_output.dtype == torch.bfloat16
    assert (low_output.float() - expected).abs().max() < 0.1 * expected.abs().max()


def test_traces_as_one_graph():
    """No host synchronisation and no data-dependent branch: the compiler takes the
    whole forward pass.
    """
    model = network(block_channels=(16,), attention_levels=(0,))
    batch = inputs(model.config)
    torch._dynamo.reset()
    traced = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(traced(**batch), model(**batch), atol=1e-5)


# ---- guidance


def passes(model, batch):
    """The three predictions of the formula, one by one."""
    yes, no = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    return (
        model(**batch, drop_audio=yes, drop_text=yes), model(**batch, drop_audio=no, drop_text=yes),
        model(**batch, drop_audio=no, drop_text=no)
    )  # fmt: skip


@pytest.mark.parametrize(
    "scales", [(1.0, 1.0), (1.5, 1.5), (2.0, 3.0), (1.0, 0.0), (0.0, 0.0), (1.0, 2.5), (3.0, 1.0)]
)
def test_guidance_is_the_formula(scales):
    model = network()
    batch = inputs(model.config)
    none, audio, both = passes(model, batch)
    expected = none + scales[0] * (audio - none) + scales[1] * (both - audio)
    guided = model.forward_with_guidance(**batch, audio_scale=scales[0], text_scale=scales[1])
    assert torch.allclose(guided, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("scales", "count"),
    [
        ((1, 1), 1),
        ((0, 0), 1),
        ((1, 0), 1),
        ((1.5, 1.5), 2),
        ((1, 2), 2),
        ((1.5, 0), 2),
        ((0, 2), 3),
        ((1.5, 2), 3),
    ],
)
def test_needless_branches_are_not_run(scales, count):
    branches = guidance_branches(*scales)
    if scales == (0, 2):  # s_a = 0 and s_t = 2: all three of 1, -2, 2
        assert [b.weight for b in branches] == [1, -2, 2]
    assert len(branches) == count and sum(b.weight for b in branches) == pytest.approx(1)


def test_scale_one_is_the_plain_prediction_in_one_pass():
    model, batches = network(), []
    model.conv_in.register_forward_hook(lambda module, args, out: batches.append(len(args[0])))
    batch = inputs(model.config)
    guided = model.forward_with_guidance(**batch, audio_scale=1.0, text_scale=1.0)
    assert batches == [2 * 4]
    assert torch.equal(guided, model(**batch))


def test_without_emotion_two_branches_do():
    model, batches = network(emotion="none"), []
    model.conv_in.register_forward_hook(lambda module, args, out: batches.append(len(args[0])))
    batch = inputs(model.config)
    model.forward_with_guidance(**batch, audio_scale=2.0, text_scale=3.0)
    assert batches == [2 * 2 * 4]


# ---- checkpoints


@pytest.mark.parametrize("choices", VARIANTS, ids=lambda c: "-".join(map(str, c.values())))
def test_a_stage_one_checkpoint_loads_into_every_variant(choices):
    """And every tensor is accounted for."""
    mixed = {"audio_mix_layers": choices.get("audio_mix_layers", False)}
    if choices.get("decoder_condition") == "audio":
        mixed["decoder_condition"] = "audio"
    stage1 = network(stda="strip_hv", tfrm="none", **mixed)
    model = network(**choices)
    report = model.load_compatible(stage1.state_dict())
    own, stage1_weights = model.state_dict(), stage1.state_dict()
    assert sorted(report.loaded + report.missing) == sorted(own)
    assert sorted(report.loaded + report.unexpected) == sorted(stage1_weights)
    assert all(torch.equal(own[name], stage1_weights[name]) for name in report.loaded)


def test_new_parts_do_not_change_a_checkpoint():
    """Stage 2 begins where stage 1 ended: time strips, frame graph and motion modules
    are closed at first.
    """
    stage1 = network(
        stda="strip_hv", tfrm="none"
    ).double()  # double, since two threads round single precision differently
    stage2 = network(trained=False, stda="strip_hvt", tfrm="learned", motion=True).double()
    stage2.load_compatible(stage1.state_dict())
    batch = {name: x.double() if x.is_floating_point() else x for name, x in inputs(stage1.config).items()}
    assert torch.allclose(stage2(**batch), stage1(**batch), atol=1e-10)


def test_full_takes_the_row_strips():
    rows, full = network(stda="strip_h", tfrm="none"), network(stda="full", tfrm="none")
    report = full.load_compatible(rows.state_dict())
    assert report.missing == report.unexpected == []


@pytest.mark.parametrize(
    "choices",
    [
        {"layers_per_block": 2},
        {"attention_levels": (1,)},
        {"context_dim": 12},
        {"block_channels": (16, 32, 32)},
    ],
)
def test_another_architecture_is_refused(choices):
    with pytest.raises(ValueError, match="not of a variant"):
        network().load_compatible(network(**choices).state_dict())
