"""Metrics that compare the pictures of two videos frame by frame."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.scores.metrics.base import Chunk, FrameMean, Metric, Part, Spread, Value, batch_size

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair

SIDE = 256
BATCH = 2, 8  # frames of this side that LPIPS takes at a time, fewer of larger ones; on a CPU and on a GPU


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
        self.choice = Spread(clip.config.lpips_frames, clip.expected_common)
        self.net, self.waiting, self.found = clip.evaluators.nets["lpips"], [], []
        self.pixels = batch_size(self.net, *BATCH) * SIDE**2

    def update(self, chunk: Chunk) -> None:
        from eadbench.scores.image import one_frame

        if chunk.pair is None:
            return
        fake, real = chunk.pair
        for k in self.choice.pick(len(fake)):
            if one_frame(fake[k], real[k]):
                self.found.append(0.0)
                continue
            self.waiting.append((fake[k], real[k]))
            if len(self.waiting) >= max(1, self.pixels // fake[k][..., 0].size):
                self._run()

    def _run(self) -> None:
        import torch

        if not self.waiting:
            return
        sides = (
            torch.from_numpy(np.stack(side))
            .to(self.net.device)
            .permute(0, 3, 1, 2)
            .float()
            .div_(127.5)
            .sub_(1)
            for side in zip(*self.waiting, strict=True)
        )
        with torch.inference_mode():
            self.found += self.net(*sides).double().tolist()
        self.waiting = []

    def finish(self) -> None:
        self._run()

    def misjudged(self) -> bool:
        return self.choice.misjudged()


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
        found = self.part(PerceptualDistances).found
        return Value(float(np.mean(found)) if found else None, len(found))


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

    def real_value(self, number: int, own: float, of: Callable[[], float]) -> float:
        """The number of a frame of the clip's own video: known from before, that of the
        other side if it is the same video, or computed now.
        """
        if self.clip is None:
            return of()
        return self.clip.reference.per_frame(
            self.name.removesuffix("_ratio"), number, (lambda: own) if self.clip.same else of
        )

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
                before = self.last
                own = squared_difference(before[0], fake)
                self.add(
                    own,
                    self.real_value(
                        self.frames - 1,
                        own,
                        lambda before=before, real=real: squared_difference(before[1], real),
                    ),
                )
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
            own = sharpness(fake)
            self.add(own, self.real_value(self.frames, own, lambda real=real: sharpness(real)))
            self.frames += 1


METRICS: tuple[type[Metric], ...] = (Ssim, Psnr, Lpips, MotionEnergyRatio, SharpnessRatio)
