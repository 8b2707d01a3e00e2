"""Sampling: windows, blending, seams, memory, conditions."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_clips import talking_oval

from eadbench.core.errors import EadbenchError
from eadbench.models.config import EADNetConfig
from eadbench.samples.composite import Compositor
from eadbench.samples.config import SamplerConfig
from eadbench.samples.pipeline import RenderClip, Sampler
from eadbench.samples.run import TrainedRun, load_eadnet, load_vae
from eadbench.samples.schedulers import SCHEDULERS, make_scheduler
from eadbench.samples.windows import blend_weights, chunks, crossfade_weights

CPU = torch.device("cpu")
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}


@pytest.mark.parametrize("frames", [8, 9, 13, 14, 50, 131])
@pytest.mark.parametrize(("overlap", "at_once"), [(0, 1), (2, 1), (2, 3), (5, 4), (7, 100)])
def test_chunks_cover_every_frame_once(frames: int, overlap: int, at_once: int) -> None:
    covered = []
    previous = None
    for chunk in chunks(frames, 8, overlap, at_once):
        assert len(chunk.starts) <= at_once and chunk.length <= 8 + (at_once - 1) * (8 - overlap)
        if previous is not None:
            assert (
                chunk.first == previous.first + previous.finished
                and chunk.carried == previous.length - previous.finished >= min(overlap, 1)
            )
        covered += range(chunk.first, chunk.first + chunk.finished)
        previous = chunk
        weights = blend_weights(chunk, overlap)
        assert torch.allclose(weights.sum(0), torch.ones(chunk.length)) and (weights >= 0).all()
    assert covered == list(range(frames))


def test_windows_that_do_not_advance_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot cover"):
        list(chunks(20, 8, 8, 1))
    with pytest.raises(ValueError, match="cannot cover"):
        list(chunks(7, 8, 2, 1))


def test_crossfade_weights_fall_from_one_to_zero() -> None:
    weights = crossfade_weights(3)
    assert weights.tolist() == [0.75, 0.5, 0.25] and len(crossfade_weights(0)) == 0


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_schedulers_reach_the_clean_sample_of_a_perfect_model(name: str) -> None:
    """With the true noise predicted, every sampler must end at the clean sample."""
    scheduler = make_scheduler(name, SCHEDULE, 20)
    clean = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    state = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(2)) * scheduler.init_noise_sigma
    abar = scheduler.alphas_cumprod
    for time in scheduler.timesteps:
        x = scheduler.scale_model_input(state, time)
        level = int(time.floor())
        noise = (x - abar[level].sqrt() * clean) / (1 - abar[level]).sqrt()
        state = scheduler.step(noise, time, state).prev_sample
    assert (state - clean).abs().mean() < 0.05


class Oracle(torch.nn.Module):
    """A network that predicts the clean sample ``target(frame)`` from the masked
    latents, window by window with an offset of its own.

    ``disagree`` shifts what each window believes, so that windows side by side would
    show a seam.
    """

    def __init__(self, frames: int = 8, disagree: float = 0.0) -> None:
        super().__init__()
        self.config = EADNetConfig(
            image_size=32,
            frames=frames,
            audio_dim=4,
            audio_layers=1,
            text_dim=4,
            prediction="epsilon",
            block_channels=(32,),
            attention_levels=(0,),
            norm_groups=8,
            heads=4,
        )
        self.disagree, self.calls, self.seen = disagree, [], []
        self.abar = make_scheduler("ddim", SCHEDULE, 1).alphas_cumprod

    def forward_with_guidance(
        self,
        noisy,
        timesteps,
        mask,
        masked,
        reference,
        audio,
        text=None,
        vai=None,
        audio_scale=1.0,
        text_scale=1.0,
    ):
        self.calls.append(len(noisy))
        self.seen.append(
            {"noisy": noisy, "audio": audio, "vai": vai, "text": text, "scales": (audio_scale, text_scale)}
        )
        # by the first audio state of the window
        offset = (
            self.disagree
            * torch.sign(torch.sin(audio[:, 0, 0, 0] * 12.9898) + 1e-9)[:, None, None, None, None]
        )
        clean = masked + offset
        abar = self.abar[timesteps.long()][:, None, None, None, None]
        return (noisy - abar.sqrt() * clean) / (1 - abar).sqrt()


class Blocks(torch.nn.Module):
    """A VAE whose latents are the means of 4 x 4 blocks."""

    def __init__(self) -> None:
        super().__init__()
        from types import SimpleNamespace

        self.config = SimpleNamespace(block_out_channels=(1, 1, 1), shift_factor=0.0, scaling_factor=1.0)
        self._simple = SimpleNamespace

    def encode(self, x):
        small = torch.nn.functional.avg_pool2d(x, 4)
        latents = torch.cat([small, small[:, :1]], 1)
        return self._simple(latent_dist=self._simple(mode=lambda: latents))

    def decode(self, z):
        return self._simple(sample=torch.nn.functional.interpolate(z[:, :3], scale_factor=4.0))


def oracle_frames(
    count: int, disagree: float = 0.0, constant: bool = False, **options
) -> tuple[np.ndarray, Oracle]:
    network = Oracle(disagree=disagree)
    run = TrainedRun(network, 32, "mouth", SCHEDULE)
    config = SamplerConfig(**({"steps": 4, "colour_match": False, "feather": 0.0} | options))
    frames = np.full((count, 32, 32, 3), 120, np.uint8) if constant else talking_oval(count, 32, 5)[0]
    states = torch.arange(2 * count).float()[:, None, None].expand(-1, 1, 4).contiguous()
    clip = RenderClip("clip", iter(frames), count, frames[:4], states)
    return np.stack(list(Sampler(run, Blocks(), config, CPU, 1).render(clip))), network


def jump(images: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(images.astype(float), axis=0)).mean((1, 2, 3))


def test_no_visible_seam_at_window_borders() -> None:
    """Windows that disagree by a tenth of the range: side by side they jump at their
    borders, blended they glide.
    """
    side_by_side = jump(oracle_frames(80, disagree=0.2, constant=True, overlap=0, chunk=4)[0])
    blended = jump(oracle_frames(80, disagree=0.2, constant=True, overlap=4, chunk=4)[0])
    assert side_by_side.max() > 3, "the measure must be able to see a seam"
    assert blended.max() < 0.5 * side_by_side.max()
    across_chunks = jump(oracle_frames(80, disagree=0.2, constant=True, overlap=4, chunk=1)[0])
    assert across_chunks.max() < 0.5 * side_by_side.max(), "chunks carry their overlap to the next"


def test_windows_that_agree_leave_no_trace() -> None:
    one_window, _ = oracle_frames(40, overlap=2, chunk=1)
    many_windows, _ = oracle_frames(40, overlap=4, chunk=5)
    assert np.abs(one_window.astype(int) - many_windows.astype(int)).max() <= 1


def test_memory_does_not_grow_with_the_length() -> None:
    """However long the clip: no more windows at once than a chunk has, and frames leave
    before the clip has been read to its end.
    """
    read = []

    def endless():
        for k in range(2000):
            read.append(k)
            yield np.zeros((32, 32, 3), np.uint8)

    network = Oracle()
    sampler = Sampler(
        TrainedRun(network, 32, "mouth", SCHEDULE),
        Blocks(),
        SamplerConfig(steps=2, overlap=2, chunk=3),
        CPU,
        1,
    )
    clip = RenderClip("long", endless(), 2000, np.zeros((1, 32, 32, 3), np.uint8), torch.zeros(4000, 1, 4))
    frames = sampler.render(clip)
    for _ in range(100):
        next(frames)
    assert len(read) <= 100 + 3 * 8
    assert max(network.calls) == 3


@pytest.mark.parametrize("count", [1, 5, 8, 9, 23])
def test_any_length(count: int) -> None:
    images, _ = oracle_frames(count, overlap=2, chunk=2)
    assert images.shape == (count, 32, 32, 3)


def test_every_window_gets_its_own_audio() -> None:
    _, network = oracle_frames(40, overlap=2, chunk=3)
    from eadbench.models.conditioning import audio_windows

    states = torch.arange(80).float()[:, None, None].expand(-1, 1, 4)
    whole = audio_windows(states, 40)
    starts = [start for chunk in chunks(40, 8, 2, 3) for start in chunk.starts]
    audio = torch.cat([call["audio"] for call in network.seen[::4]])
    assert torch.equal(audio, torch.stack([whole[s : s + 8] for s in starts]))


def test_noise_depends_on_clip_and_frame_only() -> None:
    sampler = Sampler(
        TrainedRun(Oracle(), 32, "mouth", SCHEDULE, shared_noise=1.0),
        Blocks(),
        SamplerConfig(steps=1, overlap=2),
        CPU,
        1,
    )
    first, second = chunks(14, 8, 2, 1)
    a, b = sampler._noise("x", first), sampler._noise("x", second)
    assert torch.equal(a[first.finished :], b[: second.carried])
    assert not torch.equal(a, sampler._noise("y", first))
    many = torch.cat([sampler._noise(str(k), first) for k in range(60)])
    assert abs(many.std() - 1) < 0.02, "unit variance, as in training"
    assert 0.4 < np.corrcoef(a[0].flatten(), a[1].flatten())[0, 1] < 0.6, "half of it is shared"


@pytest.mark.parametrize("scheduler", ["ddim", "euler"])
def test_temperature_scales_the_first_noise(scheduler: str) -> None:
    first = {
        t: oracle_frames(8, overlap=2, scheduler=scheduler, temperature=t)[1].seen[0]["noisy"]
        for t in (0.0, 0.3, 1.0)
    }
    assert 0.8 < first[1.0].std() < 1.2
    assert torch.allclose(first[0.3], 0.3 * first[1.0], atol=1e-5)
    assert not first[0.0].any()


def test_overlap_must_be_smaller_than_the_window() -> None:
    with pytest.raises(EadbenchError, match="overlap 8"):
        Sampler(TrainedRun(Oracle(), 32, "mouth", SCHEDULE), Blocks(), SamplerConfig(overlap=8), CPU, 1)


def test_guidance_scales_reach_the_network(world) -> None:
    """Real network: scales of 1 and 1 are the plain conditional prediction; audio, text
    and vector each change the frames.
    """
    run = load_eadnet(world.runs["full"])
    vae = load_vae(world.parts["vae"], run)
    frames = talking_oval(12, 64, 3)[0]
    conditions = {
        "text": torch.randn(5, 12, generator=torch.Generator().manual_seed(1)),
        "vai": (0.5, 0.5, 1.0),
    }
    states = torch.randn(24, 2, 16, generator=torch.Generator().manual_seed(2))

    def draw(audio=states, audio_guidance=1.0, text_guidance=1.0, **changes) -> np.ndarray:
        config = SamplerConfig(steps=2, overlap=2, audio_guidance=audio_guidance, text_guidance=text_guidance)
        clip = RenderClip("c", iter(frames), 12, frames[:3], audio, **(conditions | changes))
        return np.stack(list(Sampler(run, vae, config, CPU, 1).render(clip))).astype(int)

    plain = draw()
    assert np.abs(plain - draw()).max() == 0
    for other in (
        draw(audio=states.flip(0)),
        draw(text=-conditions["text"]),
        draw(vai=(-0.5, 0.5, 1.0)),
        draw(audio_guidance=3.0),
        draw(text_guidance=3.0),
    ):
        assert np.abs(plain - other).max() > 0


def test_another_vae_is_refused(world, tmp_path: Path) -> None:
    import shutil

    run = load_eadnet(world.runs["full"])
    run.features["vae"] = "0" * 64
    shutil.copytree(world.parts["vae"], tmp_path / "vae")
    with pytest.raises(EadbenchError, match="another VAE"):
        load_vae(tmp_path / "vae", run)


def test_compositor_keeps_everything_outside_and_matches_colours() -> None:
    keep = np.ones((64, 64), np.float32)
    keep[16:48, 16:48] = 0
    original = talking_oval(3, 64, 1)[0]
    drawn = original.astype(np.float32) + 25  # the right image, too bright
    plain = Compositor(keep, 0.05, colour_match=False)(original, drawn)
    matched = Compositor(keep, 0.05, colour_match=True)(original, drawn)
    outside = keep.astype(bool)
    assert np.array_equal(plain[:, outside], original[:, outside]) and np.array_equal(
        matched[:, outside], original[:, outside]
    )
    middle = np.s_[:, 24:40, 24:40]
    assert np.abs(plain[middle].astype(int) - original[middle]).mean() > 15
    assert np.abs(matched[middle].astype(int) - original[middle]).mean() < 3
    edge = np.abs(np.diff(plain[:, 16:24, 32].astype(float) - original[:, 16:24, 32], axis=1))
    assert edge.max() < 25, "the edge is soft"
    assert Compositor(keep, 0.05, True)(original, drawn[:, ::2, ::2]).shape == original.shape


def test_an_unsharp_mask_brings_an_enlarged_frame_closer_to_the_original() -> None:
    keep = np.ones((64, 64), np.float32)
    keep[16:48, 16:48] = 0
    original = talking_oval(3, 64, 1)[0]
    small = np.stack(
        [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA) for image in original]
    ).astype(np.float32)
    plain, sharpened = (Compositor(keep, 0.05, False, amount)(original, small) for amount in (0.0, 1.0))
    inside = np.s_[:, 20:44, 20:44]
    errors = [np.square(x[inside].astype(float) - original[inside]).mean() for x in (plain, sharpened)]
    contrast = [x[inside].astype(float).std() for x in (plain, sharpened)]
    assert errors[1] < errors[0] and contrast[1] > contrast[0]
    assert np.array_equal(sharpened[:, keep.astype(bool)], original[:, keep.astype(bool)])
    flat = np.full((1, 32, 32, 3), 90, np.float32)
    assert (Compositor(keep, 0.05, False, 1.0)(original[:1], flat)[:, 20:44, 20:44] == 90).all()
