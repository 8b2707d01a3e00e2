"""Metrics that compare two videos frame by frame."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.scores.metrics.base import Chunk, FrameMean, FrameSampler, Metric, Part, Value, batch_size

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair

SIDE = 256
BATCH = 2, 8  # frames of SIDE pixels to an LPIPS batch, fewer of larger ones; on a CPU and on a GPU


class Ssim(FrameMean):
    name, label, direction = "ssim", "SSIM", "up"
    meaning = "structural similarity to the clip (Gaussian window, sigma 1.5, RGB), mean over frames, -1..1"
    source = "Wang et al. 2004; equal to scikit-image"
    reacts = (
        "every difference of pixels: a face shifted by a pixel, another brightness, blur, the codec. A "
        "method that pastes the real frame around the mouth is high by that alone"
    )
    cites = ("wang2004ssim",)
    range = (-1, 1)

    def of_pair(self, fake: np.ndarray, real: np.ndarray) -> float:
        from eadbench.scores import image

        try:
            return image.ssim(fake, real)
        except ValueError as error:
            raise EadbenchError(str(error)) from error


class Psnr(FrameMean):
    name, label, direction = "psnr", "PSNR", "up"
    meaning = "peak signal-to-noise ratio to the clip in dB, mean over frames, capped at 100"
    source = "equal to scikit-image"
    reacts = "the same as SSIM; favours blurred results"
    unit, range = "dB", (0, 100)

    def of_pair(self, fake: np.ndarray, real: np.ndarray) -> float:
        from eadbench.scores import image

        return image.psnr(fake, real)


class PerceptualDistances(Part):
    """LPIPS of evenly spread pairs."""

    reads = ("pair",)

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.sampler = FrameSampler(clip.config.lpips_frames, clip.expected_common)
        self.net = clip.evaluators.nets["lpips"]
        self.pending: list[tuple[np.ndarray, np.ndarray]] = []
        self.distances: list[float] = []
        self.pixels = batch_size(self.net, *BATCH) * SIDE**2

    def update(self, chunk: Chunk) -> None:
        from eadbench.scores.image import same_memory

        if chunk.pair is None:
            return
        fake, real = chunk.pair
        for k in self.sampler.pick(len(fake)):
            if same_memory(fake[k], real[k]):
                self.distances.append(0.0)
                continue
            self.pending.append((fake[k], real[k]))
            if len(self.pending) >= max(1, self.pixels // fake[k][..., 0].size):
                self._run()

    def _run(self) -> None:
        import torch

        if not self.pending:
            return
        videos = []
        for frames in zip(*self.pending, strict=True):
            images = torch.from_numpy(np.stack(frames)).to(self.net.device).permute(0, 3, 1, 2)
            videos.append(images.float().div_(127.5).sub_(1))
        with torch.inference_mode():
            self.distances += self.net(*videos).double().tolist()
        self.pending = []

    def finish(self) -> None:
        self._run()

    def needs_second_pass(self) -> bool:
        return self.sampler.needs_second_pass()


class Lpips(Metric):
    name, label, direction = "lpips", "LPIPS", "down"
    meaning = (
        "perceptual distance to the clip (AlexNet, frames as they are), mean over frames, 0 for equal ones"
    )
    source = "Zhang et al. 2018; the weights of the package lpips"
    reacts = (
        "texture and sharpness more than SSIM, small shifts less; the real frame around the mouth "
        "helps here, too"
    )
    cites = ("zhang2018lpips",)
    range = (0, None)
    evaluator, paired, aligned, parts = "lpips", True, True, (PerceptualDistances,)

    def compute(self) -> Value:
        distances = self.part(PerceptualDistances).distances
        return Value(float(np.mean(distances)) if distances else None, len(distances))


class _Ratio(Metric):
    """Mean of a number per frame over the clip's, over the common frames."""

    reads = ("pair",)
    paired, ideal, range = True, 1.0, (0, None)

    def __init__(self, clip: "ClipPair | None" = None) -> None:
        super().__init__(clip)
        self.sums, self.counts, self.frames = [0.0, 0.0], 0, 0

    def add(self, fake: float, real: float) -> None:
        self.sums[0] += fake
        self.sums[1] += real
        self.counts += 1

    def real_value(self, number: int, fake_value: float, compute: Callable[[], float]) -> float:
        """The value of a frame of the clip's own video: stored by an earlier run, that of
        the video to evaluate if it is the same one, or computed now.
        """
        if self.clip is None:
            return compute()
        kind = self.name.removesuffix("_ratio")
        value_of_real = (lambda: fake_value) if self.clip.same else compute
        return self.clip.reference.per_frame(kind, number, value_of_real)

    def compute(self) -> Value:
        if self.sums[1] <= 0:
            raise EadbenchError("the real video does not vary")
        return Value(self.sums[0] / self.sums[1], self.frames)


class MotionEnergyRatio(_Ratio):
    name, label, direction = "motion_energy_ratio", "Motion energy ratio", "none"
    meaning = "squared frame difference over the clip's; 0 is frozen"
    reacts = "noise and flicker count as motion"
    source = "ours"

    def __init__(self, clip: "ClipPair | None" = None) -> None:
        super().__init__(clip)
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def update(self, chunk: Chunk) -> None:
        from eadbench.scores.image import squared_difference

        for fake, real in chunk.pairs():
            if self.last is not None:
                last_fake, last_real = self.last
                fake_value = squared_difference(last_fake, fake)
                compute = partial(squared_difference, last_real, real)
                self.add(fake_value, self.real_value(self.frames - 1, fake_value, compute))
            self.last = fake, real
            self.frames += 1


class SharpnessRatio(_Ratio):
    name, label, direction = "sharpness_ratio", "Sharpness ratio", "none"
    meaning = "variance of the Laplacian of the luma over the clip's, means over frames; below 1 is blurred"
    source = "Pech-Pacheco et al. 2000"
    reacts = "noise counts as sharpness; the codec takes it away"

    def update(self, chunk: Chunk) -> None:
        from eadbench.scores.image import sharpness

        for fake, real in chunk.pairs():
            fake_value = sharpness(fake)
            self.add(fake_value, self.real_value(self.frames, fake_value, partial(sharpness, real)))
            self.frames += 1


METRICS: tuple[type[Metric], ...] = (Ssim, Psnr, Lpips, MotionEnergyRatio, SharpnessRatio)
