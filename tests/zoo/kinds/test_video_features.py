"""VideoMAE v2 and V-JEPA: files of the published form against the networks' definition,
written down the plain way; and the reference packages, where they are installed.
"""

import math

import numpy as np
import pytest
import torch
from score.published import videomae_state, vjepa_states, write_videomae, write_vjepa
from torch.nn.functional import conv3d, gelu, interpolate, layer_norm

from eadbench.core.errors import EadbenchError
from eadbench.scores.frechet import frechet_distance
from eadbench.scores.kid import ClipKernels
from eadbench.zoo import load
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.config import ZooConfig
from eadbench.zoo.kinds import videomae_v2, vjepa
from eadbench.zoo.make import ArtefactInputs, make

HEADS = 16


def attended(q, k, v):
    """Softmax attention of ``(B, N, D)`` in 16 heads."""
    q, k, v = (x.unflatten(2, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def normed(state, name, x, eps=1e-6):
    return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def encoded(state, video, places, bias):
    kernel = state["patch_embed.proj.weight"]
    x = conv3d(video, kernel, state["patch_embed.proj.bias"], kernel.shape[2:]).flatten(2).transpose(1, 2)
    x = x + places
    for k in range(2):
        block = f"blocks.{k}."
        y = normed(state, f"{block}norm1", x) @ state[f"{block}attn.qkv.weight"].T + bias(block)
        x = x + linear(state, f"{block}attn.proj", attended(*y.chunk(3, -1)))
        y = gelu(linear(state, f"{block}mlp.fc1", normed(state, f"{block}norm2", x)))
        x = x + linear(state, f"{block}mlp.fc2", y)
    return x


@pytest.fixture
def windows() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 16, 96, 96, 3), np.uint8)


def loaded(kind: str, folder):
    write_card(
        folder, Card(artefact=kind, kind=kind, how="fetched", id=kind, source="", licence="", files={})
    )
    return load(folder)


def features(net, windows):
    return net.run([np.stack([net.prepare(frame) for frame in window]) for window in windows])


def pixels_of(windows, size):
    frames = torch.from_numpy(windows).permute(0, 1, 4, 2, 3).flatten(0, 1).float() / 255
    scaled = interpolate(frames, (size, size), mode="bilinear", align_corners=False)
    return scaled.unflatten(0, windows.shape[:2]).transpose(1, 2)


def test_videomae_gives_the_normalised_mean_of_its_tokens(tmp_path, windows):
    write_videomae(tmp_path)
    net = loaded("videomae_v2", tmp_path)
    state = videomae_state()

    def bias(block):
        value = state[f"{block}attn.v_bias"]
        return torch.cat([state[f"{block}attn.q_bias"], torch.zeros_like(value), value])

    angles = np.arange(2048)[:, None] / np.power(10000, 2 * (np.arange(32) // 2) / 32)
    positions = torch.tensor(np.where(np.arange(32) % 2, np.cos(angles), np.sin(angles)), dtype=torch.float)
    tokens = encoded(state, pixels_of(windows, 224), positions, bias)
    expected = normed(state, "fc_norm", tokens.mean(1))
    assert net.resolution == 224 and features(net, windows) == pytest.approx(expected.numpy(), abs=2e-5)


def test_vjepa_gives_what_its_probe_pools(tmp_path, windows):
    write_vjepa(tmp_path)
    net = loaded("vjepa", tmp_path)
    state, probe = vjepa_states()
    mean, deviation = (torch.tensor(x).view(3, 1, 1, 1) for x in (vjepa.MEAN, vjepa.DEVIATION))
    video = (pixels_of(windows, net.resolution) - mean) / deviation
    tokens = encoded(state, video, state["pos_embed"], lambda block: state[f"{block}attn.qkv.bias"])
    tokens = normed(state, "norm", tokens)
    block = "pooler.cross_attention_block."
    query, seen = probe["pooler.query_tokens"].expand(2, -1, -1), normed(probe, f"{block}norm1", tokens, 1e-5)
    pair = linear(probe, f"{block}xattn.kv", seen).chunk(2, -1)
    attended_query = query + linear(
        probe, f"{block}xattn.proj", attended(linear(probe, f"{block}xattn.q", query), *pair)
    )
    inner = gelu(linear(probe, f"{block}mlp.fc1", normed(probe, f"{block}norm2", attended_query, 1e-5)))
    expected = (attended_query + linear(probe, f"{block}mlp.fc2", inner))[:, 0]
    assert net.resolution == 64 and features(net, windows) == pytest.approx(expected.numpy(), abs=2e-5)


def test_at_the_published_size_it_has_a_thousand_million_numbers():
    sizes = videomae_v2.TransformerOptions(width=1408, depth=40, heads=16, inner=6144, size=224, patch=14)
    with torch.device("meta"):
        net = videomae_v2.network(sizes)
    assert sum(value.numel() for value in net.parameters()) == 1_011_667_072


def test_other_files_are_refused(tmp_path):
    torch.save({"module": {"head.weight": torch.ones(1)}}, tmp_path / videomae_v2.OFFICIAL)
    with pytest.raises(EadbenchError, match="not a tuned VideoMAE v2"):
        loaded("videomae_v2", tmp_path)
    write_vjepa(tmp_path)
    torch.save({"encoder": {}}, tmp_path / vjepa.ENCODER)
    with pytest.raises(EadbenchError, match="'target_encoder' holds no blocks"):
        loaded("vjepa", tmp_path)


@pytest.mark.parametrize("kind", ["videomae_v2", "vjepa"])
def test_random_ones_see_motion_and_are_the_same_again(kind, tmp_path):
    small = {"width": 48, "depth": 2, "heads": 4, "inner": 96, "size": 32, "patch": 16}
    config = ZooConfig.model_validate({"artefacts": {"a": {"kind": kind, "how": "random", "options": small}}})
    cards = [make("a", config, 1, ArtefactInputs(), tmp_path / name) for name in ("one", "two")]
    assert cards[0].sha256 == cards[1].sha256
    net = load(tmp_path / "one")
    frames = np.random.default_rng(0).integers(0, 256, (16, 40, 40, 3), np.uint8)
    moving, still = features(net, np.stack([frames, frames[:1].repeat(16, 0)]))
    assert moving.shape == (48,) and np.abs(moving - still).max() > 0.05


def test_jedi_is_the_biased_square_kernel_and_resampling_counts_copies():
    rng = np.random.default_rng(0)
    x, y, clip = rng.normal(0, 1, (12, 5)), rng.normal(0.5, 1, (12, 5)), np.repeat(np.arange(4), 3)
    kernels = ClipKernels(x, clip, y, clip, 4, degree=2, offset=0.0, biased=True)

    def plain(a, b):
        own = [np.square(p @ q.T / 5).mean() for p, q in ((a, a), (b, b), (a, b))]
        return own[0] + own[1] - 2 * own[2]

    assert kernels.value(np.ones(4), np.ones(4)) == pytest.approx(plain(x, y))
    drawn = np.array([2, 0, 1, 1])
    many = np.concatenate([np.flatnonzero(clip == c) for c in (0, 0, 2, 3)])
    assert kernels.value(drawn, drawn) == pytest.approx(plain(x[many], y[many]))


def test_cd_fvd_of_the_package_is_ours_but_for_n_less_1():
    package = pytest.importorskip("cdfvd.utils.metric_utils")
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    both_sets = [rng.normal(m, 1, (120, 16)) for m in (0, 0.4)]
    moments = []
    for one_set in both_sets:
        stats = package.FeatureStats(capture_mean_cov=True)
        stats.append(one_set)
        moments.append(stats.get_mean_cov())
    (m, a), (n, b) = moments
    expected = np.square(m - n).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    means = np.square(both_sets[0].mean(0) - both_sets[1].mean(0)).sum()
    assert expected == pytest.approx(means + (frechet_distance(*both_sets) - means) * 119 / 120, rel=1e-6)


def test_jedi_of_the_package_is_ours():
    package = pytest.importorskip("videojedi.mmd_polynomial")
    rng = np.random.default_rng(0)
    x, y, clip = rng.normal(0, 1, (30, 8)), rng.normal(0.5, 1, (30, 8)), np.arange(30)
    ours = ClipKernels(x, clip, y, clip, 30, degree=2, offset=0.0, biased=True).value(
        np.ones(30), np.ones(30)
    )
    assert ours == pytest.approx(package.mmd_poly(x, y, degree=2, coef0=0), rel=1e-9)
