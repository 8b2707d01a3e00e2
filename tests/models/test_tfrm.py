"""TFRM: the frame graph."""

import pytest
import torch

from eadbench.models.tfrm import TFRM

KINDS = ["gcn", "gat", "learned"]
B, F, C, H, W = 2, 9, 16, 3, 5


def opened(kind: str, **options) -> TFRM:
    torch.manual_seed(0)
    module = TFRM(C, kind, **options)
    module.to_out.reset_parameters()
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_identity_at_initialisation_and_learns_from_there(kind):
    x = torch.randn(B, F, C, H, W)
    module = TFRM(C, kind)
    y = module(x)
    assert torch.equal(y, x)
    y.square().sum().backward()
    assert module.to_out.weight.grad.abs().max() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("band", "layers"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_messages_reach_exactly_the_band_in_both_directions(kind, band, layers):
    x = torch.randn(1, F, C, H, W, requires_grad=True)
    t = F // 2
    opened(kind, band=band, layers=layers)(x)[0, t].square().sum().backward()
    reached = x.grad[0].abs().amax((1, 2, 3)) > 0
    expected = (torch.arange(F) - t).abs() <= min(band * layers, F)
    assert torch.equal(reached, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_frames_stay_equal(kind):
    """Also at the ends of the clip, where frames have fewer neighbours."""
    x = torch.randn(B, 1, C, H, W).expand(-1, F, -1, -1, -1)
    y = opened(kind)(x)
    assert torch.allclose(y, y[:, :1].expand_as(y), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_time_reversal(kind):
    x = torch.randn(B, F, C, H, W)
    module = opened(kind)
    assert torch.allclose(module(x.flip(1)), module(x).flip(1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_adjacency_rows_sum_to_one_within_the_band(kind):
    _, graph = opened(kind, band=2, layers=3)(torch.randn(B, F, C, H, W), return_adjacency=True)
    assert graph.shape == (B, 3, F, F)
    assert torch.allclose(graph.sum(-1), torch.ones(B, 3, F), atol=1e-5)
    beyond = (torch.arange(F)[:, None] - torch.arange(F)).abs() > 2
    assert graph[..., beyond].abs().max() == 0
    assert graph[..., ~beyond].min() > 0


def test_learned_edges_depend_on_content_fixed_ones_do_not():
    x = torch.randn(2, F, C, H, W)
    for kind, same in (("gcn", True), ("gat", False), ("learned", False)):
        graph = opened(kind)(x, return_adjacency=True)[1]
        assert torch.allclose(graph[0], graph[1], atol=1e-6) == same


@pytest.mark.parametrize("kind", KINDS)
def test_nearer_frames_weigh_more_by_the_prior(kind):
    """With equal frames only the prior is left."""
    graph = opened(kind, band=3)(torch.zeros(1, F, C, H, W), return_adjacency=True)[1][0, 0]
    row = graph[F // 2, F // 2 : F // 2 + 4]
    assert (row.diff() < 0).all()


def test_change_is_the_same_at_all_pixels():
    x = torch.randn(B, F, C, H, W)
    change = opened("learned")(x) - x
    assert torch.allclose(change, change[..., :1, :1].expand_as(change), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_frame_and_bf16(kind):
    module = opened(kind)
    assert module(torch.randn(1, 1, C, 1, 1)).isfinite().all()
    x = torch.randn(B, F, C, H, W)
    expected = module(x)
    low = module.bfloat16()(x.bfloat16()).float()
    assert (low - expected).abs().max() < 0.05 * expected.abs().max()
