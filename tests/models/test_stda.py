"""STDA: what each operator sees, and how the kinds relate."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from eadbench.models.stda import STDA, STRIPS, StripAttention

KINDS = [*STRIPS, "filter", "pool"]
B, F, H, W, C = 2, 4, 5, 7, 16  # odd sides, all different


def opened(kind: str, channels: int = C, seed: int = 0) -> STDA:
    """An operator in training's midst: all parameters random."""
    torch.manual_seed(seed)
    module = STDA(channels, heads=2, kind=kind, taps=3, groups=4)
    for layer in module.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.reset_parameters()
    return module


def support(kind: str) -> torch.Tensor:
    """Which input positions (F, H, W) the output at (1, 2, 3) of clip 0 depends on; by
    gradient.
    """
    x = torch.randn(B, F, H, W, C, requires_grad=True)
    opened(kind)(x)[0, 1, 2, 3].square().sum().backward()
    assert x.grad[1].abs().max() == 0, "clips must not mix"
    return x.grad[0].abs().amax(-1) > 0


def expected_support(*where: tuple) -> torch.Tensor:
    """True at the given index expressions."""
    seen = torch.zeros(F, H, W, dtype=torch.bool)
    for index in where:
        seen[index] = True
    return seen


ALL = slice(None)


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("none", [(1, 2, 3)]),
        ("full", [(1, ALL, ALL)]),
        ("joint", [(ALL, ALL, ALL)]),
        ("strip_h", [(1, 2, ALL)]),
        ("strip_v", [(1, ALL, 3)]),
        ("strip_hv", [(1, ALL, ALL)]),
        ("strip_hvt", [(ALL, ALL, ALL)]),
        ("filter", [(1, ALL, ALL)]),  # through the frame's mean, which sets the taps
        ("pool", [(1, 2, ALL), (1, ALL, 3)]),
    ],
)
def test_support_of_one_output_pixel(kind, where):
    assert torch.equal(support(kind), expected_support(*where))


def test_filter_mixes_only_its_taps():
    """With the taps held fixed, the support is the K x K neighbourhood."""
    module = opened("filter")
    torch.nn.init.zeros_(module.filter.to_taps.weight)
    x = torch.randn(1, F, H, W, C, requires_grad=True)
    module(x)[0, 1, 2, 3].square().sum().backward()
    assert torch.equal(x.grad[0].abs().amax(-1) > 0, expected_support((1, slice(1, 4), slice(2, 5))))


@pytest.mark.parametrize("kind", KINDS)
def test_identity_at_initialisation_and_learns_from_there(kind):
    x = torch.randn(B, F, H, W, C)
    module = STDA(C, 2, kind, groups=4)
    y = module(x)
    assert torch.equal(y, x)
    if kind != "none":
        y.square().sum().backward()
        assert all(p.grad.abs().max() > 0 for name, p in module.named_parameters() if "to_out" in name)


@pytest.mark.parametrize(
    ("axis", "shape"), [("row", (B, F, 1, W, C)), ("column", (B, F, H, 1, C)), ("time", (B, F, 1, 1, C))]
)
def test_strip_is_full_attention_where_only_its_axis_is_long(axis, shape):
    x = torch.randn(shape)
    strip = opened("strip_h").row
    whole = StripAttention(C, 2, "joint" if axis == "time" else "full")
    whole.load_state_dict(strip.state_dict())
    strip.axis = axis
    expected = whole(x)
    if axis == "time":  # the order of frames is known to time strips only; turn it off for the comparison
        import eadbench.models.stda as stda

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stda, "rotate", lambda x: x)
            assert torch.allclose(strip(x), expected, atol=1e-5)
    else:
        assert torch.allclose(strip(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("axis", "dims"), [("row", (3,)), ("column", (2,)), ("full", (2, 3)), ("joint", (1, 2, 3))]
)
def test_agrees_with_torch_multihead_attention(axis, dims):
    """An independent implementation: torch's MultiheadAttention over the attended axes
    moved to the sequence dimension.
    """
    strip = opened("strip_h").row
    strip.axis = axis
    x = torch.randn(B, F, H, W, C)
    reference = torch.nn.MultiheadAttention(C, 2, bias=True, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat((strip.to_q.weight, strip.to_k.weight, strip.to_v.weight)))
        reference.in_proj_bias.zero_()
        reference.out_proj.weight.copy_(strip.to_out.weight)
        reference.out_proj.bias.copy_(strip.to_out.bias)
    rest = [d for d in range(4) if d not in dims]
    moved = strip.norm(x).permute(*rest, *dims, 4)
    tokens = moved.reshape(-1, torch.tensor([x.shape[d] for d in dims]).prod(), C)
    mixed = reference(tokens, tokens, tokens, need_weights=False)[0].reshape(moved.shape)
    back = torch.argsort(torch.tensor([*rest, *dims, 4])).tolist()
    assert torch.allclose(strip(x), x + mixed.permute(*back), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "dim"), [("strip_h", 2), ("strip_h", 1), ("strip_v", 3), ("strip_v", 1), ("full", 1)]
)
def test_untouched_axes_are_interchangeable(kind, dim):
    x = torch.randn(B, F, H, W, C)
    order = torch.randperm(x.shape[dim])
    module = opened(kind)
    assert torch.allclose(module(x.index_select(dim, order)), module(x).index_select(dim, order), atol=1e-5)


def test_time_strips_know_the_order_of_frames():
    module = opened("strip_hvt").time
    x = torch.randn(1, F, 1, 1, C)
    order = torch.tensor([2, 0, 3, 1])
    assert not torch.allclose(module(x[:, order]), module(x)[:, order], atol=1e-4)


def test_time_strips_know_distances_only():
    """Shifting the window by one frame changes nothing but the window: the attention of
    frames 1.. equals that of the window that starts there.
    """
    q = torch.randn(1, 1, 6, 8)
    from eadbench.models.stda import rotate

    same = q[..., :1, :].expand(-1, -1, 6, -1)
    scores = rotate(same) @ rotate(same).transpose(-1, -2)
    assert torch.allclose(scores[..., 1:, 1:], scores[..., :-1, :-1], atol=1e-5)


def test_clip_of_equal_frames_stays_one():
    x = torch.randn(B, 1, H, W, C).expand(-1, F, -1, -1, -1)
    y = opened("strip_hvt")(x)
    assert torch.allclose(y, y[:, :1].expand_as(y), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 3, 5), (2, 3, 1, 4)])
def test_degenerate_sizes(kind, shape):
    x = torch.randn(*shape, C)
    y = opened(kind)(x)
    assert y.shape == x.shape and y.isfinite().all()


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "none"])
def test_bf16_agrees_with_fp32(kind):
    x = torch.randn(B, F, H, W, C)
    module = opened(kind)
    expected = module(x)
    low = module.bfloat16()(x.bfloat16()).float()
    assert (low - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("kind", ["full", "joint", "strip_hvt"])
def test_fused_and_plain_back_ends_agree(kind):
    x = torch.randn(B, F, H, W, C)
    module = opened(kind)
    with sdpa_kernel(SDPBackend.MATH):
        expected = module(x)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert torch.allclose(module(x), expected, atol=1e-5)


def test_strips_are_views_of_the_projections():
    strip = opened("strip_hvt").column
    x = torch.randn(B, F, H, W, C)
    assert strip._strips(x).data_ptr() == x.data_ptr()


def test_one_checkpoint_for_rows_full_and_joint():
    state = opened("strip_h").state_dict()
    for kind in ("full", "joint"):
        STDA(C, 2, kind).load_state_dict(state)
