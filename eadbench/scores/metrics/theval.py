"""THEval's eight measures (Quignon et al., CVPR Findings 2026), its composite, and the
correlation of loudness with the lips' opening.

``eadbench.scores.dynamics`` has the formulas and names every difference from THEval's
code.
"""

from typing import TYPE_CHECKING

import numpy as np

from eadbench.core.status import DROPPED, KEPT
from eadbench.scores import dynamics, landmarks
from eadbench.scores.metrics.audio import AudioLevels
from eadbench.scores.metrics.base import Chunk, Metric, Part, Value
from eadbench.scores.names import BUILDS_ON

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair
    from eadbench.scores.summarise import Summary

SOURCE = (
    "THEval (Quignon et al. 2026), on one pass of the face mesh; docs/reference_code.md names the differences"
)
CITES = ("quignon2026theval",)
NOISE = "; where the face is small or blurred, noise of the face mesh"
LEAST = 1e-9  # magnitude of a mean of the real clips that others can be divided by


class Dynamics(Part):
    """What moves in the video to evaluate."""

    reads = ("fake", "landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.face = dynamics.FaceDynamics()

    def update(self, chunk: Chunk) -> None:
        self.face.add(chunk.marks, *chunk.fake.shape[1:3])

    def finish(self) -> None:
        self.face.frozen = self.clip.still("fake")


class Loudness(Part):
    """RMS of the driving audio in windows of 50 ms."""

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.loudness = dynamics.loudness(clip.audio())

    def needs_second_pass(self) -> bool:
        return self.clip.audio_was_cut()

    def volume(self, frames: int) -> np.ndarray:
        """Loudness at each frame's time, ``(frames,)``."""
        return dynamics.at_frames(self.loudness, frames, self.clip.config.fps)


class _Dynamics(Metric):
    direction, source, cites, parts, range = "none", SOURCE, CITES, (Dynamics,), (0, None)

    def value_of(self, face: dynamics.FaceDynamics) -> float:
        """The value of one video."""
        raise NotImplementedError

    def compute(self) -> Value:
        face = self.part(Dynamics).face
        return Value(self.value_of(face), len(face.face_rows))


class ThevalLips(_Dynamics):
    name, label, unit = "theval_lips", "Lip dynamics (THEval)", "px"
    meaning = (
        "mean over all pairs of lip points of the standard deviation over time of their distance, "
        "pixels of a 256-pixel frame"
    )
    reacts = "how much the lips change shape, the size of the face in the frame" + NOISE

    def value_of(self, face: dynamics.FaceDynamics) -> float:
        return face.lips()


class ThevalBrows(_Dynamics):
    name, label, unit = "theval_brows", "Brow dynamics (THEval)", "eye distances"
    meaning = (
        "mean change from frame to frame of each brow's distance to its eye, in distances between the eyes"
    )
    reacts = "motion of the brows, blinks, trembling" + NOISE

    def value_of(self, face: dynamics.FaceDynamics) -> float:
        return face.brows()


class ThevalHead(_Dynamics):
    name, label = "theval_head", "Head dynamics (THEval)"
    meaning = (
        "root of (mean deviation of pitch, yaw and roll in degrees times mean variance of their changes, "
        "plus mean variance of the head's place in pixels of a 256-pixel frame)"
    )
    reacts = "turns and shifts of the head, most of all their unrest" + NOISE

    def value_of(self, face: dynamics.FaceDynamics) -> float:
        return face.head()


class ThevalSilence(Metric):
    name, label, direction, unit = "theval_silence", "Silent lip motion (THEval)", "none", "eye distances"
    meaning = (
        "median distance of the lips' opening from its mean over silences of 0.3 s and longer, in distances "
        "between the eyes' outer corners"
    )
    reacts = "motion that the audio does not ask for; breathing and smiles of real clips, too"
    source, cites, range, parts, needs_audio = SOURCE, CITES, (0, None), (Dynamics, AudioLevels), True

    def compute(self) -> Value:
        face = self.part(Dynamics).face
        silent = dynamics.long_silence(self.part(AudioLevels).silent(face.frames), self.clip.config.fps)
        count = int(silent.sum())
        if not count:
            return Value(None, 0, DROPPED, f"no silence of {dynamics.SHORTEST_SILENCE:g} s")
        return Value(face.stability(silent), count)


class _Speech(Metric):
    """A value of the lips' opening and the loudness during speech."""

    parts, needs_audio = (Dynamics, AudioLevels, Loudness), True

    def value_of(self, opening: np.ndarray, volume: np.ndarray) -> float:
        """The value from both curves ``(T,)``."""
        raise NotImplementedError

    def compute(self) -> Value:
        face = self.part(Dynamics).face
        speech = ~self.part(AudioLevels).silent(face.frames)
        opening, frame_numbers = face.opening(speech)
        count = len(frame_numbers)
        if speech.sum() < dynamics.LEAST_SPEECH * face.frames or count < 2:
            return Value(None, count, DROPPED, f"only {count} frames of speech with a face")
        volume = self.part(Loudness).volume(face.frames)[frame_numbers]
        return Value(self.value_of(opening, volume), count)


class ThevalSync(_Speech):
    name, label, direction = "theval_sync", "Lips against loudness (THEval)", "none"
    meaning = (
        "mean distance of the lips' opening from the loudness of the audio in speech, each scaled to 0..1 "
        "over the clip"
    )
    reacts = (
        "whether the mouth opens where the audio is loud; also speech with loud closed and quiet open "
        "phonemes, so read it beside the real clips' value"
    )
    source, cites, range = SOURCE, CITES, (0, 1)

    def value_of(self, opening: np.ndarray, volume: np.ndarray) -> float:
        return dynamics.gap(opening, volume)


class LoudnessCorrelation(_Speech):
    name, label, direction = "loudness_correlation", "Loudness correlation", "up"
    meaning = "correlation of the lips' opening with the loudness of the audio in speech, -1..1"
    reacts = (
        "whether the mouth opens where the audio is loud, needs neither a real clip nor SyncNet; real "
        "speech is far from 1. A mouth that stands still has none"
    )
    source, cites, range = "ours, after THEval's lip sync (Quignon et al. 2026)", CITES, (-1, 1)

    def value_of(self, opening: np.ndarray, volume: np.ndarray) -> float:
        return landmarks.correlation(opening, volume)


DYNAMICS = BUILDS_ON["theval"]
QUALITY = ("theval_aesthetics", "theval_mouth", "theval_face")


class ThevalScore(Metric):
    """Mean closeness of THEval's measures to the real clips' values.

    Its variant says of which: ``all`` eight, ``dynamics`` (the five that need no
    package beside), or these ``without`` what has no value in both cells. Other than in
    THEval's code, a clip counts for a measure only where both it and the real clip have
    a value, and a measure that has none, or 0 for the real clips, is left out and named
    in place of ending the work.
    """

    name, label, direction, kind = "theval", "THEval score", "up", "set"
    meaning = (
        "mean over THEval's measures of 1 - |m - r| / |r|, m and r the means over clips of the method and of "
        "the real clips"
    )
    reacts = (
        "whatever moves one of its measures away from the real clips', in either direction; a method that "
        "copies the real video has 1"
    )
    source, cites, range, parts, needs_audio = SOURCE, CITES, (None, 1), (Dynamics,), True

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        from eadbench.scores.bootstrap import interval_about

        configured = [name for name in (*DYNAMICS, *QUALITY) if name in summary.config.metrics]
        tables = {name: _paired_values(summary, name) for name in configured}
        used = [n for n, table in tables.items() if len(table) and abs(table.real.mean()) > LEAST]
        if not used:
            summary.empty_row(cls.name, "none of its measures has values of both cells")
            return
        clips = sorted(set().union(*(tables[name].index for name in used)))
        # the first row of weights counts every clip once and gives the value itself
        counts = np.vstack([np.ones(len(clips)), summary.counts(clips)])
        parts = []
        for name in used:
            table = tables[name].reindex(clips)
            weights = counts * table.fake.notna().to_numpy()
            with np.errstate(invalid="ignore", divide="ignore"):
                fake = (weights @ table.fake.fillna(0).to_numpy()) / weights.sum(1)
                real = (weights @ table.real.fillna(0).to_numpy()) / weights.sum(1)
                parts.append(dynamics.closeness(fake, real))
        value, *replicates = np.mean(parts, 0)
        low = high = None
        if replicates:
            low, high = interval_about(value, np.array(replicates))
            high = min(high, 1.0)
        all_measures = set(QUALITY) <= set(configured)
        expected = (*DYNAMICS, *QUALITY) if all_measures else DYNAMICS
        missing = [n.removeprefix("theval_") for n in expected if n not in used]
        more = [n.removeprefix("theval_") for n in used if n not in expected]
        variant = "all" if all_measures else "dynamics"
        if more:
            variant += f" with {'+'.join(more)}"
        if missing:
            variant += f" without {'+'.join(missing)}"
        warnings = summary.warnings(cls.name, clips, summary.total)
        if missing:
            warnings.insert(0, f"without {', '.join(missing)}, which have no values of both cells")
        signature, total = _signature([tables[name] for name in used]), summary.total
        summary.row(cls.name, float(value), low, high, clips, total, signature, None, variant, warnings)


def _paired_values(summary: "Summary", name: str):
    """By clip, the values of a measure in both cells, with the signature of the first."""
    fake, real = summary.cell.rows, summary.real.rows
    fake = fake[(fake.metric == name) & (fake.status == KEPT)].set_index("clip_id")
    real = real[(real.metric == name) & (real.status == KEPT)].set_index("clip_id")
    table = fake[["value", "extractor", "weights_sha256", "resolution"]].rename(columns={"value": "fake"})
    return table.join(real.value.rename("real"), how="inner").dropna(subset=["fake", "real"])


def _signature(tables: list) -> dict[str, object]:
    """One signature of several measures: their extractors and hashes, each once."""
    firsts = [table.iloc[0] for table in tables]
    extractors = dict.fromkeys((row.extractor, row.weights_sha256) for row in firsts)
    sizes = {row.resolution for row in firsts}
    return {
        "extractor": "+".join(dict.fromkeys(name for name, _ in extractors)),
        "weights_sha256": "+".join(dict.fromkeys(sha for _, sha in extractors if sha)),
        "resolution": sizes.pop() if len(sizes) == 1 else None,
    }


METRICS: tuple[type[Metric], ...] = (
    ThevalLips, ThevalBrows, ThevalHead, ThevalSilence, ThevalSync, LoudnessCorrelation, ThevalScore,
)  # fmt: skip
