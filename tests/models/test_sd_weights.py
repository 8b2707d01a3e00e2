"""The mapping from Stable Diffusion 1.5, against a small randomly initialised UNet of
its topology.
"""

import pytest
import torch
from diffusers import UNet2DConditionModel

from eadbench.models.config import EADNetConfig
from eadbench.models.eadnet import EADNet
from eadbench.models.sd_weights import load_sd_weights

CHANNELS = (16, 16, 32, 32)


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        block_out_channels=CHANNELS,
        attention_head_dim=8,
        cross_attention_dim=24,
        sample_size=16,
        norm_num_groups=8,
    ).eval()


def ours(**choices) -> EADNet:
    return EADNet(
        EADNetConfig(
            **{
                "block_channels": CHANNELS,
                "heads": 8,
                "norm_groups": 8,
                "audio_dim": 6,
                "audio_layers": 2,
                "context_dim": 8,
                "text_dim": 5,
                "filter_groups": 4,
                **choices,
            }
        )
    ).eval()


@pytest.mark.parametrize("stda", ["full", "joint", "strip_hvt", "strip_v", "filter", "none"])
def test_every_tensor_is_accounted_for(unet, stda):
    model, state = ours(stda=stda), unet.state_dict()
    report = load_sd_weights(model, state)
    assert sorted([*report.mapped, *report.unused]) == sorted(state)
    assert sorted([*report.mapped.values(), *report.new]) == sorted(model.state_dict())
    assert all(reason for reason in report.unused.values())
    own = model.state_dict()
    for theirs, name in report.mapped.items():
        weight = own[name]
        source = state[theirs]
        assert torch.equal(
            weight[:, :4] if theirs == "conv_in.weight" else weight,
            source.reshape(weight.shape) if weight.dim() == 2 else source,
        )
    uses_rows = stda not in ("strip_v", "filter", "none")
    assert any(".attn1.to_q." in name for name in report.mapped) == uses_rows
    left_out = (".attn2.to_",) if stda == "full" else (".attn2.to_", ".attn1.to_out.")
    assert all(any(part in name for part in left_out) or not uses_rows for name in report.unused)
    if stda in ("joint", "strip_hvt"):  # another operator than Stable Diffusion's starts at zero
        last = [value for name, value in own.items() if ".stda.row.to_out." in name]
        assert last and all(value.abs().max() == 0 for value in last)


def test_added_input_channels_start_at_zero(unet):
    model = ours()
    load_sd_weights(model, unet.state_dict())
    assert model.conv_in.weight.shape[1] == 13 and model.conv_in.weight[:, 4:].abs().max() == 0


def test_with_full_attention_it_computes_what_stable_diffusion_does(unet):
    """With both cross-attentions silenced (their keys and values are not shared),
    outputs are equal, frame by frame.
    """
    silent = {k: torch.zeros_like(v) if "attn2.to_out" in k else v for k, v in unet.state_dict().items()}
    unet.load_state_dict(silent)
    model = ours(stda="full", tfrm="none", emotion="none")
    load_sd_weights(model, silent)
    noisy, rest = torch.randn(2, 3, 4, 16, 8), torch.randn(2, 3, 4, 16, 8)
    timesteps = torch.tensor([10, 900])
    with torch.no_grad():
        output = model(noisy, timesteps, torch.ones(2, 3, 1, 16, 8), rest, rest, torch.randn(2, 3, 20, 6))
        expected = unet(noisy.flatten(0, 1), timesteps.repeat_interleave(3), torch.randn(6, 2, 24)).sample
    assert expected.abs().max() > 0.1
    assert torch.allclose(output.flatten(0, 1), expected, atol=1e-4)


def test_another_shape_is_refused(unet):
    with pytest.raises(ValueError, match="shape"):
        load_sd_weights(ours(block_channels=(16, 16, 32, 64)), unet.state_dict())
    with pytest.raises(ValueError, match="no counterpart"):
        load_sd_weights(ours(attention_levels=(0, 1)), unet.state_dict())


def test_stable_diffusion_itself_fits_the_full_size():
    """Real sizes, without the memory."""
    with torch.device("meta"):
        theirs, model = (
            UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8),
            EADNet(EADNetConfig()),
        )
    report = load_sd_weights(model, theirs.state_dict())
    assert (len(theirs.state_dict()), len(report.mapped), len(report.unused)) == (686, 622, 64)
