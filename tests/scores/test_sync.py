"""The SyncNet evaluator against a plain reading of syncnet_python's definition."""

import math

import numpy as np
import pytest
import python_speech_features
import torch
from torch.nn import functional

from eadbench.core.errors import EadbenchError
from eadbench.models.syncnet_evaluator import SHIFT, SyncNetV2, distances_around, sync_from_distances
from eadbench.zoo.evaluator_data import resize
from eadbench.zoo.kinds.syncnet_evaluator import SyncEvaluator, SyncNetOptions, in_clip_loss


@pytest.fixture(scope="module")
def evaluator() -> SyncEvaluator:
    torch.manual_seed(0)
    net = SyncNetV2(width=0.1, size=64, dim=24).train()
    # gives the batch norms statistics that are not trivial
    net.embed_lips(torch.rand(16, 3, 5, 64, 64) * 255)
    net.embed_audio(torch.randn(16, 1, 13, 20) * 10)
    return SyncEvaluator(net, SyncNetOptions(width=0.1, size=64, dim=24))


def clip(frames: int, seconds_of_audio: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(frames)
    audio = rng.standard_normal(int((seconds_of_audio or frames / 25) * 16000)) * 0.1
    return rng.integers(0, 256, (frames, 64, 64, 3), np.uint8), (
        np.round(audio.clip(-1, 0.99) * 32768) / 32768
    ).astype(np.float32)


def reference(net: SyncNetV2, frames: np.ndarray, audio: np.ndarray, shift: int = 15) -> dict[str, float]:
    """Window by window, shift by shift."""
    video = torch.from_numpy(frames[..., ::-1].astype(np.float32)).permute(3, 0, 1, 2)[None]
    mfcc = torch.from_numpy(
        python_speech_features.mfcc((audio * 32768).astype(np.int16), 16000).T.astype(np.float32)
    )[None, None]
    last = min(len(frames), math.floor(len(audio) / 640)) - 5
    with torch.no_grad():
        lips = torch.cat(
            [net.netfclip(net.netcnnlip(video[:, :, i : i + 5]).flatten(1)) for i in range(last)]
        )
        audio_embeddings = torch.cat(
            [net.netfcaud(net.netcnnaud(mfcc[..., 4 * i : 4 * i + 20]).flatten(1)) for i in range(last)]
        )
    padded = torch.nn.functional.pad(audio_embeddings, (0, 0, shift, shift))
    rows = [
        torch.nn.functional.pairwise_distance(
            lips[[i]].repeat(2 * shift + 1, 1), padded[i : i + 2 * shift + 1]
        )
        for i in range(last)
    ]
    mean = torch.stack(rows, 1).mean(1)
    least, position = mean.min(0)
    return {
        "offset": float(shift - position),
        "confidence": float(mean.median() - least),
        "min_distance": float(least),
    }


@pytest.mark.parametrize(("frames", "seconds"), [(40, None), (22, None), (6, None), (40, 1.1), (30, 2.0)])
def test_equals_the_definition(evaluator, frames, seconds):
    x, a = clip(frames, seconds)
    scores, expected = evaluator.score(x, a, batch=7), reference(evaluator.net, x, a)
    assert scores == pytest.approx(expected, abs=1e-4)


def test_too_short_says_so(evaluator):
    with pytest.raises(EadbenchError, match="5 frames of video with audio, at least 6"):
        evaluator.score(*clip(5))
    with pytest.raises(EadbenchError, match="0 frames"):
        evaluator.score(clip(40)[0], np.zeros(0, np.float32))


@pytest.mark.parametrize("lead", [-4, 0, 3])
def test_offset_is_positive_when_the_audio_leads(lead):
    """Audio that leads by k frames: the audio that belongs to frame i comes at frame i
    - k.
    """
    rng = np.random.default_rng(0)
    code = torch.from_numpy(rng.standard_normal((60, 8)).astype(np.float32)) * 10
    lips, audio = code[10:50], code[10 + lead : 50 + lead]
    scores = sync_from_distances(distances_around(lips, functional.pad(audio, (0, 0, SHIFT, SHIFT))))
    assert scores["offset"] == lead
    assert scores["min_distance"] < 5 < scores["confidence"]


def test_published_network_has_the_published_parameters():
    with torch.device("meta"):
        state = SyncNetV2().state_dict()
    weights = {name: tuple(value.shape) for name, value in state.items() if "num_batches" not in name}
    assert weights["netcnnaud.0.weight"] == (64, 1, 3, 3) and weights["netcnnaud.18.weight"] == (
        512,
        256,
        5,
        4,
    )
    assert weights["netcnnlip.0.weight"] == (96, 3, 5, 7, 7) and weights["netcnnlip.18.weight"] == (
        512,
        256,
        1,
        6,
        6,
    )
    assert weights["netfclip.3.weight"] == weights["netfcaud.3.weight"] == (1024, 512)


def test_too_small_crops_are_refused():
    with pytest.raises(ValueError, match="64 is the least"):
        SyncNetV2(0.1, size=48)


def test_region_is_cut_before_scaling():
    frames = np.zeros((2, 100, 100, 3), np.uint8)
    frames[:, 50:, 20:80] = 255
    assert (resize(frames, 64, (0.5, 1.0, 0.2, 0.8)) == 255).all()
    assert resize(frames, 100).shape == frames.shape


def test_loss_prefers_matching_windows():
    code = torch.randn(24, 8) * 5
    assert in_clip_loss(code, code, 12) < 0.1 < 2 < in_clip_loss(code, code.roll(1, 0), 12)
