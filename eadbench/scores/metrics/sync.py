"""How well lips and audio match, by SyncNet and by LatentSync's StableSyncNet."""

from typing import TYPE_CHECKING

import numpy as np

from eadbench.core.status import DROPPED
from eadbench.scores.landmarks import SILENCE_DBFS
from eadbench.scores.metrics.audio import AudioLevels
from eadbench.scores.metrics.base import Chunk, Metric, Part, Value, batch_size

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair

BATCH = 16, 32  # windows, on a CPU and on a GPU
STABLE_SOURCE = (
    "LatentSync (Li et al. 2024), its training's cosine; docs/reference_code.md names the differences"
)
SOURCE = "Chung and Zisserman 2016, named as in Wav2Lip (Prajwal et al. 2020); equal to syncnet_python"


class SyncDistances(Part):
    """Distances of lips and audio at all shifts, windows embedded as the frames come.

    Attributes:
        role: Of the network.
        batch: Windows at a time, on a CPU and on a GPU.
    """

    reads = ("fake",)
    role, batch = "sync", BATCH

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        audio = clip.audio()
        self.samples, self.frames = len(audio), 0
        self.loudest = self.part(AudioLevels).loudest
        net = clip.evaluators.nets[self.role]
        self.stream = None if self.silent else net.stream(audio, batch_size(net, *self.batch))

    @property
    def silent(self) -> bool:
        """Whether the audio is silence."""
        return self.samples > 0 and self.loudest < SILENCE_DBFS

    def update(self, chunk: Chunk) -> None:
        self.frames += len(chunk.fake)
        if self.stream is not None:
            self.stream.add(chunk.fake)

    def needs_second_pass(self) -> bool:
        return self.clip.audio_was_cut()

    def result(self, key: str) -> Value:
        """One of SyncNet's numbers.

        Raises:
            EadbenchError: If video or audio is too short.
        """
        if self.stream is None:
            level = f"loudest frame at {self.loudest:.0f} dBFS"
            if self.loudest == -np.inf:
                level = "digital silence"
            reason = f"the audio is silent ({level}, {SILENCE_DBFS:g} dBFS needed)"
            return Value(None, None, DROPPED, reason)
        return Value(self.stream.result()[key], min(self.frames, self.samples // 640))


class StableSimilarities(SyncDistances):
    """Cosines of lips and audio at all shifts by the second network."""

    reads = ("fake", "landmarks")
    role, batch = "sync2", (2, 32)

    def update(self, chunk: Chunk) -> None:
        self.frames += len(chunk.fake)
        if self.stream is not None:
            self.stream.add(chunk.fake, chunk.marks)


class _Sync(Metric):
    evaluator, parts, source, needs_audio = "sync", (SyncDistances,), SOURCE, True
    key: str

    def compute(self) -> Value:
        return self.part(self.parts[0]).result(self.key)


class SyncConfidence(_Sync):
    name, label, direction, key = "sync", "Sync (LSE-C)", "up", "confidence"
    meaning = (
        "SyncNet confidence: median less minimum of the mean distance over shifts of ±15 frames; "
        "silence has none"
    )
    reacts = (
        "a mouth that does not follow the audio; hardly a constant delay, which the search over shifts "
        "undoes (see AV offset). Also the codec, the sharpness and the crop of the mouth. A method "
        "trained against a SyncNet scores better here than viewers would rate it"
    )
    cites = ("chung2016syncnet", "prajwal2020wav2lip")
    range = (0, None)


class SyncDistance(_Sync):
    name, label, direction, key = "lse_d", "LSE-D", "down", "min_distance"
    meaning = "SyncNet's least mean distance over those shifts; silence has none"
    reacts = "the same as Sync (LSE-C); compares within one crop and one level of compression only"
    cites = ("chung2016syncnet", "prajwal2020wav2lip")
    range = (0, None)


class SyncOffset(_Sync):
    name, label, direction, key, ideal = "sync_offset", "AV offset", "none", "offset", 0.0
    meaning = (
        "shift of that least distance in frames, positive when the audio leads (comes too early), "
        "negative when it lags"
    )
    reacts = "the delay alone; where Sync (LSE-C) is low it means little"
    cites = ("chung2016syncnet",)
    unit, range = "frames", (-15, 15)


class StableSync(_Sync):
    name, label, direction, key = "stable_sync", "StableSync", "up", "similarity"
    meaning = (
        "mean cosine of lips and audio by StableSyncNet over windows of 16 frames, the audio where it is; "
        "silence has none"
    )
    reacts = (
        "a mouth that does not follow the audio, a delay (nothing searches for it), the sharpness of the "
        "mouth. Methods trained against this network, LatentSync first, score better than viewers would "
        "rate them; those trained against the first SyncNet do not by construction"
    )
    cites = ("li2024latentsync",)
    evaluator, parts, source, range = "sync2", (StableSimilarities,), STABLE_SOURCE, (0, 1)


class StableSyncOffset(_Sync):
    name, label, direction, key, ideal = "stable_sync_offset", "StableSync offset", "none", "offset", 0.0
    meaning = (
        "shift of the greatest mean cosine in frames, positive when the audio leads (comes too early), "
        "negative when it lags"
    )
    reacts = "the delay alone; where StableSync is low at every shift it means little"
    cites = ("li2024latentsync",)
    evaluator, parts, source, unit, range = "sync2", (StableSimilarities,), STABLE_SOURCE, "frames", (-15, 15)


METRICS: tuple[type[Metric], ...] = (SyncConfidence, SyncDistance, SyncOffset, StableSync, StableSyncOffset)
