"""Conditions: windows of audio, null tokens, fusion."""

import pytest
import torch

from eadbench.models.conditioning import (
    ConditionContext,
    ConditionEncoder,
    FusedCrossAttention,
    audio_windows,
)
from eadbench.models.config import EADNetConfig

CONFIG = EADNetConfig(audio_dim=6, audio_layers=3, text_dim=5, context_dim=8)
B, F, L = 3, 4, 5


def test_audio_windows_are_those_of_latentsync():
    """Rows 2i-4 .. 2i+5 of all layers, clamped."""
    states = torch.arange(40.0)[:, None, None] * torch.ones(1, 5, 7)
    windows = audio_windows(states)
    assert windows.shape == (20, 50, 7)
    for i in range(20):
        rows = windows[i].view(10, 5, 7)
        assert rows[:, 0, 0].tolist() == [min(max(r, 0), 39) for r in range(2 * i - 4, 2 * i + 6)]


def test_audio_windows_hold_the_last_state_when_the_audio_is_short():
    windows = audio_windows(torch.arange(4.0)[:, None, None], frames=6)
    assert windows.shape == (6, 10, 1) and windows[-1].unique().tolist() == [3.0]
    with pytest.raises(ValueError, match="no audio"):
        audio_windows(torch.zeros(0, 1, 1))


def inputs() -> dict:
    g = torch.Generator().manual_seed(0)
    return {
        "audio": torch.randn(B, F, CONFIG.audio_tokens, 6, generator=g),
        "text": torch.randn(B, L, 5, generator=g),
        "vai": torch.rand(B, 3, generator=g),
    }


@pytest.mark.parametrize(("mix", "tokens"), [(False, 30), (True, 10)])
def test_token_counts(mix, tokens):
    context = ConditionEncoder(CONFIG.model_copy(update={"audio_mix_layers": mix}))(**inputs())
    assert context.audio.shape == (B, F, tokens, 8)
    assert context.text.shape == (B, L, 8) and context.vai.shape == (B, 4, 8)


def test_dropping_replaces_just_those_clips():
    encoder = ConditionEncoder(CONFIG)
    kept, none = encoder(**inputs()), torch.tensor([False, True, False])
    dropped = encoder(**inputs(), drop_audio=none, drop_text=none)
    assert torch.equal(dropped.audio[1], encoder.null_audio.expand(F, -1, -1))
    assert torch.equal(dropped.text[1], encoder.null_text.expand(L, -1)) and torch.equal(
        dropped.vai[1], encoder.null_vai
    )
    for before, after in zip(
        (kept.audio, kept.text, kept.vai), (dropped.audio, dropped.text, dropped.vai), strict=True
    ):
        assert torch.equal(before[[0, 2]], after[[0, 2]])


def test_clips_without_text_or_vector_get_the_null_ones():
    """In a batch whose other clips have them: an empty mask and nan stand for nothing."""
    encoder, sources = ConditionEncoder(CONFIG), inputs()
    mask = torch.ones(B, L, dtype=torch.bool)
    mask[1] = False
    sources["vai"][1] = float("nan")
    context = encoder(**sources, text_mask=mask)
    assert torch.equal(context.text[1], encoder.null_text.expand(L, -1)) and torch.equal(
        context.vai[1], encoder.null_vai
    )
    assert context.text_mask[1].all() and context.vai.isfinite().all()
    context.vai.sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.vai_proj.parameters())


def test_null_embeddings_learn_when_dropped():
    encoder = ConditionEncoder(CONFIG)
    context = encoder(
        **inputs(), drop_audio=torch.ones(B, dtype=torch.bool), drop_text=torch.ones(B, dtype=torch.bool)
    )
    (context.audio.sum() + context.text.sum() + context.vai.sum()).backward()
    assert all(p.grad.abs().min() > 0 for p in (encoder.null_audio, encoder.null_text, encoder.null_vai))
    assert encoder.text_proj[1].weight.grad.abs().max() == 0


def attention(sources=("audio", "text", "vai")) -> FusedCrossAttention:
    torch.manual_seed(0)
    module = FusedCrossAttention(16, 2, 8, sources)
    for source in sources:
        torch.nn.init.normal_(module.to_v[source].weight)
    return module


def test_no_text_is_the_same_as_dropped_text():
    encoder, module, x = ConditionEncoder(CONFIG), attention(), torch.randn(B, F, 3, 2, 16)
    sources = inputs()
    mask = torch.tensor([[True] * 2 + [False] * 3] * B)
    dropped = module(x, encoder(**sources, text_mask=mask, drop_text=torch.ones(B, dtype=torch.bool)))
    absent = module(x, encoder(sources["audio"]))
    assert torch.allclose(dropped, absent, atol=1e-5)


def test_masked_text_tokens_do_not_count():
    encoder, module, x = ConditionEncoder(CONFIG), attention(), torch.randn(B, F, 3, 2, 16)
    sources = inputs()
    mask = torch.tensor([[True, True, False, False, False]] * B)
    padded = module(x, encoder(**sources, text_mask=mask))
    short = module(x, encoder(sources["audio"], sources["text"][:, :2], None, sources["vai"]))
    assert torch.allclose(padded, short, atol=1e-5)


def test_a_frame_hears_its_own_window_only():
    audio = torch.randn(1, F, 30, 8, requires_grad=True)
    module = attention(("audio",))
    module(torch.randn(1, F, 3, 2, 16), ConditionContext(audio, None, None, None))[
        0, 2
    ].square().sum().backward()
    assert (audio.grad[0].abs().amax((1, 2)) > 0).tolist() == [False, False, True, False]


def test_emotion_is_added_without_a_jolt():
    """An untrained text branch adds nothing to a trained audio branch, yet learns."""
    x, encoder = torch.randn(B, F, 3, 2, 16), ConditionEncoder(CONFIG)
    context = encoder(**inputs())
    both = FusedCrossAttention(16, 2, 8, ("audio", "text"))
    alone = FusedCrossAttention(16, 2, 8, ("audio",))
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if ".text" not in k})
    y = both(x, context)
    assert torch.allclose(y, alone(x, context), atol=1e-6)
    y.square().sum().backward()
    assert both.to_v["text"].weight.grad.abs().max() > 0


def test_sources_add_up_with_their_weights():
    x, encoder = torch.randn(B, F, 3, 2, 16), ConditionEncoder(CONFIG)
    context, module = encoder(**inputs()), attention()
    torch.nn.init.zeros_(module.to_out.bias)

    def effect(*weights):
        with torch.no_grad():
            for source, weight in zip(module.sources, weights, strict=True):
                module.logit[source].fill_(torch.tensor(weight).logit())
            return module(x, context) - x

    parts = effect(0.6, 0.0, 0.0) + effect(0.0, 0.3, 0.0) + effect(0.0, 0.0, 0.9)
    assert torch.allclose(effect(0.6, 0.3, 0.9), parts, atol=1e-5)
