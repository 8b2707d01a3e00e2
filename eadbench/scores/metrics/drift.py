"""Metrics over time: what changes from the beginning of a long clip to its end, by bins
of equal length.

A clip's value is the slope of a line through its bins, per second; the bins themselves
are kept as features ``bins-NAME`` and become the rows of the metric's ``_bins``.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.core.status import DROPPED
from eadbench.scores.landmarks import MeshMotion
from eadbench.scores.metrics.base import Chunk, Metric, Part, Value
from eadbench.scores.metrics.emotion import FaceInputs
from eadbench.scores.metrics.identity import RealIdentity
from eadbench.scores.metrics.sync import SyncDistances

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair
    from eadbench.scores.config import ScoresConfig
    from eadbench.scores.summarise import Summary

FEWEST = 3  # bins that a slope rests on
FACES = 4  # of each bin, whose identity is measured
STEP = 5  # frames between two whose sharpness is measured


def bin_frames(config: "ScoresConfig") -> int:
    """Frames of a bin."""
    return max(1, round(config.bin_seconds * config.fps))


def bins_of(frames: int, config: "ScoresConfig") -> int:
    """Whole bins of a clip; the remainder at its end belongs to none. 0 where there are
    too few for a slope.
    """
    count = frames // bin_frames(config)
    return count if count >= FEWEST else 0


class _InTime(Part):
    """A number by bin; ``values (bins,)``, NaN where there is none. Of clips that are
    too short nothing is read.
    """

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.frames, self.length = 0, bin_frames(clip.config)
        self.bins = bins_of(clip.expected, clip.config)
        if not self.bins:
            self.reads = ()

    def update(self, chunk: Chunk) -> None:
        if self.bins:
            self.take(chunk)
        self.frames += len(chunk.fake)

    def take(self, chunk: Chunk) -> None:
        """Take in the next frames; ``self.frames`` came before them."""

    def needs_second_pass(self) -> bool:
        return bins_of(self.frames, self.clip.config) != self.bins

    @property
    def values(self) -> np.ndarray:
        """The number of each bin."""
        starts = range(0, self.bins * self.length, self.length)
        return np.array([self.bin_value(first, first + self.length) for first in starts])

    def bin_value(self, first: int, last: int) -> float:
        """The number of frames ``first`` to ``last``; NaN if there is none."""
        raise NotImplementedError


class IdentityInTime(_InTime):
    """Cosine of a few faces' mean embedding in each bin to that of the clip whose face
    is shown.
    """

    reads = ("fake", "landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        net = clip.evaluators.nets["face_id"]
        self.inputs = FaceInputs(net, FACES * self.bins, clip.expected, clip.expected_faces)
        self.embeddings: np.ndarray | None = None

    def take(self, chunk: Chunk) -> None:
        self.inputs.add(chunk.fake, chunk.marks)

    def needs_second_pass(self) -> bool:
        return super().needs_second_pass() or (self.bins > 0 and self.inputs.sampler.needs_second_pass())

    def finish(self) -> None:
        if self.bins:
            self.embeddings = self.inputs.results()

    def bin_value(self, first: int, last: int) -> float:
        frame_numbers = np.array(self.inputs.frame_numbers)
        embeddings = self.embeddings[(frame_numbers >= first) & (frame_numbers < last)]
        real = self.part(RealIdentity).mean
        if not len(embeddings):
            return np.nan
        mean = embeddings.mean(0, dtype=np.float64)
        return float(mean @ real / (np.linalg.norm(mean) * np.linalg.norm(real)))


class SharpnessInTime(_InTime):
    """Variance of the Laplacian, over that of the first bin."""

    reads = ("fake",)

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.by_frame: dict[int, float] = {}

    def take(self, chunk: Chunk) -> None:
        from eadbench.scores.image import sharpness

        for k in range(-self.frames % STEP, len(chunk.fake), STEP):
            self.by_frame[self.frames + k] = sharpness(chunk.fake[k])

    def mean(self, first: int, last: int) -> float:
        """Mean over frames ``first`` to ``last``."""
        values = [value for number, value in self.by_frame.items() if first <= number < last]
        return float(np.mean(values)) if values else np.nan

    def bin_value(self, first: int, last: int) -> float:
        start = self.mean(0, self.length)
        if not start > 0:
            raise EadbenchError("the beginning has no texture to compare with")
        return self.mean(first, last) / start


class JitterInTime(_InTime):
    """RMS second difference of the face points, in per cent of the eye distance."""

    reads = ("fake", "landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.motions: list[MeshMotion] = [MeshMotion() for _ in range(self.bins)]

    def take(self, chunk: Chunk) -> None:
        for k, motion in enumerate(self.motions):
            first, last = k * self.length - self.frames, (k + 1) * self.length - self.frames
            marks = chunk.marks[max(0, first) : max(0, last)]
            if len(marks):
                motion.add(marks)

    def finish(self) -> None:
        for motion in self.motions:
            motion.frozen = self.clip.still("fake")

    def bin_value(self, first: int, last: int) -> float:
        motion = self.motions[first // self.length]
        return motion.jitter() if motion.seen else np.nan


class SyncInTime(_InTime):
    """SyncNet's confidence of the windows that begin in each bin."""

    reads = ("fake",)

    def bin_value(self, first: int, last: int) -> float:
        from eadbench.models.syncnet_evaluator import sync_from_distances

        clip_distances = self.part(SyncDistances)
        if clip_distances.stream is None:
            raise EadbenchError("the audio is silent")
        distances = clip_distances.stream.distances()[first:last]
        return float(sync_from_distances(distances)["confidence"]) if len(distances) else np.nan


class _Slope(Metric):
    """Slope of a line through a clip's bins, per second."""

    ideal = 0.0
    source = "ours"

    def compute(self) -> Value:
        part, config = self.part(self.parts[0]), self.clip.config
        if not part.bins:
            seconds = part.frames / config.fps
            reason = f"{seconds:.1f} s are no {FEWEST} bins of {config.bin_seconds:g} s"
            return Value(None, part.frames, DROPPED, reason)
        values = part.values
        self.clip.features[f"bins-{self.name.removesuffix('_slope')}"] = np.float64(values)
        finite = np.isfinite(values)
        if finite.sum() < FEWEST:
            raise EadbenchError(f"{finite.sum()} bins have a value, {FEWEST} needed")
        seconds = (np.arange(part.bins) + 0.5) * config.bin_seconds
        slope, _ = np.polyfit(seconds[finite], values[finite], 1)
        return Value(float(slope), part.bins * part.length)


class _Bins(Metric):
    """Means over clips by bin, a row each; ``variant`` is the stretch."""

    kind, source = "set", "ours"
    slope: ClassVar[type[_Slope]]

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        from eadbench.scores.summarise import signature_of

        rows = summary.cell.rows[summary.cell.rows.metric == cls.slope.name]
        kind, length = f"bins-{cls.name.removesuffix('_bins')}", summary.config.bin_seconds
        clips = summary.cell.features.clips(kind)
        values = dict(zip(clips, summary.cell.features.view(kind, clips), strict=True))
        signature = signature_of(rows)
        if not values:
            warning = f"nothing measured: no clip has {FEWEST} bins of {length:g} s"
            summary.row(cls.name, None, None, None, [], summary.total, signature, None, None, [warning])
        for k in range(max(map(len, values.values()), default=0)):
            long_clips = [clip for clip in clips if len(values[clip]) > k]
            measured = [clip for clip in long_clips if np.isfinite(values[clip][k])]
            bin_values = np.array([values[clip][k] for clip in measured])
            stretch = f"{k * length:g}-{(k + 1) * length:g}s"
            summary.mean_of(cls.name, measured, bin_values, len(long_clips), signature, stretch)


class CsimSlope(_Slope):
    name, label, direction = "csim_slope", "CSIM per second", "none"
    meaning = (
        "slope over time of CSIM by bins (cosine of identity embeddings to the clip whose face is shown), "
        "per second; below 0 the person is lost"
    )
    reacts = "the same as CSIM; pose and expression that change in the course of a clip"
    cites = ("deng2019arcface",)
    evaluator, parts = "face_id", (IdentityInTime, RealIdentity)


class SharpnessSlope(_Slope):
    name, label, direction = "sharpness_slope", "Sharpness per second", "none"
    meaning = (
        "slope over time of the sharpness by bins (variance of the Laplacian, as a share of the first "
        "bin's), per second; below 0 the video blurs"
    )
    reacts = "noise that grows, which counts as sharpness; a face that comes nearer"
    parts = (SharpnessInTime,)


class SyncSlope(_Slope):
    name, label, direction = "sync_slope", "Sync per second", "none"
    meaning = "slope over time of Sync (LSE-C) by bins, per second; below 0 lips and audio drift apart"
    reacts = "the same as Sync (LSE-C); pauses of speech, whose bins have a low confidence"
    cites = ("chung2016syncnet", "prajwal2020wav2lip")
    evaluator, parts, needs_audio = "sync", (SyncInTime, SyncDistances), True


class JitterSlope(_Slope):
    name, label, direction = "jitter_slope", "Jitter per second", "none"
    meaning = "slope over time of the jitter by bins (in per cent of eye distance), per second"
    reacts = "trembling that grows, and fast motion alike"
    parts = (JitterInTime,)


class CsimBins(_Bins):
    name, label, direction, slope = "csim_bins", "CSIM in time", "up", CsimSlope
    meaning = "CSIM by bins of time (see variant), mean over the clips that last so long, -1..1"
    reacts = "the same as CSIM; later bins rest on fewer clips"
    cites, evaluator, range = CsimSlope.cites, "face_id", (-1, 1)


class SharpnessBins(_Bins):
    name, label, direction, slope = "sharpness_bins", "Sharpness in time", "none", SharpnessSlope
    meaning = "sharpness by bins of time (see variant) as a share of the first bin's"
    reacts = "the same as its slope; later bins rest on fewer clips"
    ideal, range = 1.0, (0, None)


class SyncBins(_Bins):
    name, label, direction, slope = "sync_bins", "Sync in time", "up", SyncSlope
    meaning = "Sync (LSE-C) by bins of time (see variant), mean over the clips that last so long"
    reacts = "the same as Sync (LSE-C) on short clips; later bins rest on fewer clips"
    cites, evaluator, range = SyncSlope.cites, "sync", (0, None)


class JitterBins(_Bins):
    name, label, direction, slope = "jitter_bins", "Jitter in time", "none", JitterSlope
    meaning = "jitter by bins of time (see variant), in per cent of eye distance"
    reacts = "the same as Jitter; later bins rest on fewer clips"
    unit, range = "% of eye distance", (0, None)


METRICS: tuple[type[Metric], ...] = (
    CsimSlope, SharpnessSlope, SyncSlope, JitterSlope, CsimBins, SharpnessBins, SyncBins, JitterBins,
)  # fmt: skip
