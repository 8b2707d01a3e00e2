"""Metrics of sets: how far the features of all generated clips lie from those of the
real ones.
"""

from collections import deque
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from eadbench.core.seeds import rng_for
from eadbench.scores.metrics.base import Batches, Chunk, FrameSampler, Metric, Part, batch_size

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair
    from eadbench.scores.store import View
    from eadbench.scores.summarise import Summary

FRAMES, WINDOWS = (8, 32), 4  # to a batch; frames on a CPU and on a GPU
LATENTSYNC_START = 20  # LatentSync's FVD script looks at frames 20 to 35
KID_ROWS = 2000  # frames of a set that KID uses, spread evenly: its kernel matrix is of that size
FIXED_DRAWS = 50
TRANSFORMER_FRAMES = 16  # of a window of cd-FVD and JEDi


class FrameFeatures(Part):
    """Features of evenly spread frames; stored as feature ``inception``."""

    reads = ("fake",)

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.net = clip.evaluators.nets["fid"]
        self.sampler = FrameSampler(clip.config.fid_frames, clip.expected)
        self.batches = Batches(self.net.run, batch_size(self.net, *FRAMES))

    def update(self, chunk: Chunk) -> None:
        for k in self.sampler.pick(len(chunk.fake)):
            self.batches.add(self.net.prepare(chunk.fake[k : k + 1]))

    def needs_second_pass(self) -> bool:
        return self.sampler.needs_second_pass()

    def finish(self) -> None:
        features = self.batches.results()
        if features is not None:
            self.clip.features["inception"] = features


class WindowFeatures(Part):
    """Features of windows of frames, by protocol; stored as ``i3d-{protocol}``. A clip
    too short for a protocol has none of it.
    """

    reads = ("fake",)

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.net, protocols = clip.evaluators.nets["fvd"], clip.config.fvd_protocols
        self.length, self.stride = clip.config.fvd_window, clip.config.fvd_stride
        self.recent = {protocol: deque(maxlen=self.length) for protocol in protocols}
        self.batches = {p: Batches(lambda windows, p=p: self.net.run(windows, p), WINDOWS) for p in protocols}
        self.frames = 0

    def _starts(self, protocol: str, start: int) -> bool:
        """Whether a window begins at that frame."""
        if protocol == "latentsync":
            return start == LATENTSYNC_START
        return start >= 0 and start % self.stride == 0

    def update(self, chunk: Chunk) -> None:
        for frame in chunk.fake:
            self.frames += 1
            in_latentsync = LATENTSYNC_START < self.frames <= LATENTSYNC_START + self.length
            for protocol, recent in self.recent.items():
                if protocol == "latentsync" and not in_latentsync:
                    continue
                recent.append(self.net.prepare(frame, protocol))
                if len(recent) == self.length and self._starts(protocol, self.frames - self.length):
                    self.batches[protocol].add([np.stack(recent)])

    def finish(self) -> None:
        for protocol, batches in self.batches.items():
            features = batches.results()
            if features is not None:
                self.clip.features[f"i3d-{protocol}"] = features


class _TransformerWindows(Part):
    """Features of windows of 16 frames by a transformer; stored under the role's name. A
    clip of fewer frames has none.
    """

    reads = ("fake",)
    role: str

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.net, self.stride = clip.evaluators.nets[self.role], clip.config.fvd_stride
        self.recent: deque[np.ndarray] = deque(maxlen=TRANSFORMER_FRAMES)
        self.batches, self.frames = Batches(self.net.run, batch_size(self.net, 1, WINDOWS)), 0

    def update(self, chunk: Chunk) -> None:
        for frame in chunk.fake:
            self.frames += 1
            self.recent.append(self.net.prepare(frame))
            start = self.frames - TRANSFORMER_FRAMES
            if start >= 0 and start % self.stride == 0:
                self.batches.add([np.stack(self.recent)])

    def finish(self) -> None:
        features = self.batches.results()
        if features is not None:
            self.clip.features[self.role] = features


class MaeWindows(_TransformerWindows):
    """By VideoMAE v2."""

    role = "cdfvd"


class JepaWindows(_TransformerWindows):
    """By V-JEPA."""

    role = "jedi"


class _Frechet(Metric):
    """Fréchet distance, with an interval by bootstrap over clips."""

    kind, direction, range = "set", "down", (0, None)

    @classmethod
    def distance(cls, summary: "Summary", feature: str, variant: str | None, unit: str) -> None:
        """Add the row of one kind of features."""
        from eadbench.scores.bootstrap import FrechetBootstrap, interval_about, replicate_all

        real, fake, clips = summary.feature_views(feature)
        if sum(map(len, fake)) < 2:
            summary.empty_row(cls.name, f"fewer than two {unit} in common", variant)
            return
        bootstrap = FrechetBootstrap(real, fake)
        value, counts = bootstrap.value, summary.counts(clips)
        low = high = None
        if len(counts):
            replicates = replicate_all(bootstrap.replicate, counts, counts)
            low, high = interval_about(value, replicates, 0.0)
        rows, dims = bootstrap.rows, bootstrap.sample_sets[1].sums.shape[1]
        warnings = summary.warnings(cls.name, clips, summary.total)
        if rows <= dims:
            bias = f"{rows} {unit} for {dims} features: biased upwards, compare only at the same n"
            warnings.insert(0, bias)
        signature = summary.set_signature(cls.evaluator)
        summary.row(cls.name, value, low, high, clips, summary.total, signature, rows, variant, warnings)


class Fid(_Frechet):
    name, label, evaluator, parts = "fid", "FID", "fid", (FrameFeatures,)
    meaning = "Fréchet distance of Inception features of frames"
    source = "Heusel et al. 2017; features and distance equal to pytorch-fid"
    reacts = (
        "blur, noise, colour and the codec; also the number of frames (few give larger values, so compare "
        "at the same n). Blind to audio, to the order of the frames and to who is shown"
    )
    cites = ("heusel2017fid",)

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        cls.distance(summary, "inception", summary.variant(cls.name), "frames")


class Fvd(_Frechet):
    name, label, evaluator, parts = "fvd", "FVD", "fvd", (WindowFeatures,)
    meaning = "Fréchet distance of I3D features of 16-frame windows"
    source = (
        "Unterthiner et al. 2018; protocols of StyleGAN-V (Skorokhodov et al. 2022) and of "
        "LatentSync's script"
    )
    reacts = (
        "the same as FID, and jerks; also the number of windows. Sees single frames more than "
        "motion. Blind to audio"
    )
    cites = ("unterthiner2018fvd", "carreira2017i3d", "skorokhodov2022styleganv")

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        for protocol in summary.config.fvd_protocols:
            cls.distance(summary, f"i3d-{protocol}", protocol, "windows")


class CdFvd(_Frechet):
    name, label, evaluator, parts = "cd_fvd", "cd-FVD", "cdfvd", (MaeWindows,)
    meaning = "Fréchet distance of VideoMAE v2's features of 16-frame windows"
    source = "Ge et al. 2024, package cd-fvd; docs/reference_code.md names the differences"
    reacts = (
        "jerks, frozen and shuffled motion more than FVD, single frames less; also the number of windows. "
        "Blind to audio"
    )
    cites = ("ge2024cdfvd", "wang2023videomaev2")

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        cls.distance(summary, cls.evaluator, None, "windows")


class _Mmd(Metric):
    """Squared maximum mean discrepancy, with an interval by bootstrap over clips.

    Attributes:
        feature: Kind of features.
        options: Of :class:`eadbench.scores.kid.ClipKernels`.
        factor: Of the values.
        floor: Least value of the ends of the interval.
    """

    direction, kind = "down", "set"
    feature: str
    options: ClassVar[dict] = {}
    factor, floor = 1.0, None

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        from eadbench.scores.bootstrap import interval_about, replicate_all
        from eadbench.scores.kid import ClipKernels

        real_view, fake_view, clips = summary.feature_views(cls.feature)
        variant = summary.variant(cls.name)
        if len(clips) < 2:
            summary.empty_row(cls.name, "fewer than two clips in common", variant)
            return
        (real, real_clip), (fake, fake_clip) = _thinned(real_view), _thinned(fake_view)
        kernels = ClipKernels(real, real_clip, fake, fake_clip, len(clips), **cls.options)
        ones, counts = np.ones(len(clips)), summary.counts(clips)
        value = kernels.value(ones, ones)
        low = high = None
        if len(counts):
            replicates = replicate_all(kernels.value, counts, counts)
            low, high = interval_about(value, replicates, cls.floor)
        warnings = summary.warnings(cls.name, clips, summary.total)
        value, low, high = (None if x is None else x * cls.factor for x in (value, low, high))
        signature = summary.set_signature(cls.evaluator)
        total, frames = summary.total, len(fake)
        summary.row(cls.name, value, low, high, clips, total, signature, frames, variant, warnings)


class Kid(_Mmd):
    name, label, evaluator, parts, feature = "kid", "KID", "fid", (FrameFeatures,), "inception"
    meaning = "unbiased squared MMD of the same features, cubic kernel"
    source = "Bińkowski et al. 2018"
    reacts = "the same as FID, but few frames do not make it larger"
    cites = ("binkowski2018kid",)


class Jedi(_Mmd):
    name, label, evaluator, parts, feature = "jedi", "JEDi", "jedi", (JepaWindows,), "jedi"
    meaning = (
        "100 times the squared MMD of V-JEPA's features of 16-frame windows, square of their product / width"
    )
    source = "Luo et al. 2025, package videojedi; docs/reference_code.md names the differences"
    reacts = "the same as cd-FVD; needs fewer windows than a Fréchet distance, too few still make it larger"
    cites = ("luo2025jedi", "bardes2024vjepa")
    options, factor, floor = {"degree": 2, "offset": 0.0, "biased": True}, 100.0, 0.0
    range = (0, None)


class FvdFixed(Metric):
    name, label, direction = "fvd_fixed", "FVD at fixed n", "down"
    kind, evaluator, parts = "set", "fvd", (WindowFeatures,)
    meaning = "mean FVD over draws of the same number of windows in every cell"
    reacts = "the same as FVD; values of cells of unequal size compare, those of another n do not"
    cites = ("unterthiner2018fvd",)
    source, range = "ours", (0, None)

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        from eadbench.scores.bootstrap import interval

        size = summary.config.fvd_fixed_n
        for protocol in summary.config.fvd_protocols:
            real_view, fake_view, clips = summary.feature_views(f"i3d-{protocol}")
            variant = f"{protocol},n={size}"
            windows = min(sum(map(len, real_view)), sum(map(len, fake_view)))
            if windows < size:
                summary.empty_row(cls.name, f"{windows} windows in common, {size} needed", variant)
                continue
            real, fake = np.concatenate(list(real_view)), np.concatenate(list(fake_view))
            rng = rng_for(summary.seed, "fvd_fixed", protocol)
            values = np.array([_fvd_of_draw(real, fake, size, rng) for _ in range(FIXED_DRAWS)])
            warnings = [
                "the interval is that of the draws of windows, not of clips",
                *summary.warnings(cls.name, clips, summary.total),
            ]
            value, (low, high) = float(values.mean()), interval(values)
            signature = summary.set_signature(cls.evaluator)
            summary.row(cls.name, value, low, high, clips, summary.total, signature, size, variant, warnings)


def _fvd_of_draw(real: np.ndarray, fake: np.ndarray, size: int, rng: np.random.Generator) -> float:
    """FVD of ``size`` windows of either set, the same ones where both have as many."""
    from eadbench.scores.frechet import frechet_distance

    real_rows = rng.choice(len(real), size, replace=False)
    fake_rows = real_rows if len(real) == len(fake) else rng.choice(len(fake), size, replace=False)
    return frechet_distance(real[real_rows], fake[fake_rows])


def _thinned(view: "View") -> tuple[np.ndarray, np.ndarray]:
    """At most about ``KID_ROWS`` rows, spread evenly, with the number of the clip of
    each.
    """
    step = -(-sum(map(len, view)) // KID_ROWS)
    clips = [features[::step] for features in view]
    clip_numbers = np.repeat(np.arange(len(clips)), [len(features) for features in clips])
    return np.concatenate(clips), clip_numbers


METRICS: tuple[type[Metric], ...] = (Fid, Kid, Fvd, FvdFixed, CdFvd, Jedi)
