"""THEval's eight measures (Quignon et al., CVPR Findings 2026), its composite, and the
correlation of loudness with the lips' opening.

``eadbench.scores.dynamics`` has the formulas and names every difference from THEval's
code.
"""

from typing import TYPE_CHECKING

import numpy as np

from eadbench.core.status import DROPPED, KEPT
from eadbench.scores import dynamics, landmarks
from eadbench.scores.metrics.base import Chunk, Metric, Part, Value
from eadbench.scores.metrics.sound import SoundLevels
from eadbench.scores.names import BUILDS_ON

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair
    from eadbench.scores.summarise import Summary

SOURCE = (
    "THEval (Quignon et al. 2026), on one pass of the face mesh; docs/reference_code.md names the differences"
)
CITES = ("quignon2026theval",)
NOISE = "; where the face is small or blurred, noise of the face mesh"
LEAST = 1e-9  # of a value of the real clips that a share can be taken of


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
    """RMS of the sound that drives the video in windows of 50 ms."""

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.loudness = dynamics.loudness(clip.audio())

    def misjudged(self) -> bool:
        return self.clip.sound_was_cut()

    def volume(self, frames: int) -> np.ndarray:
        """Loudness at each frame's time, ``(frames,)``."""
        return dynamics.at_frames(self.loudness, frames, self.clip.config.fps)


class _Dynamics(Metric):
    direction, source, cites, parts, range = "none", SOURCE, CITES, (Dynamics,), (0, None)

    def of(self, face: dynamics.FaceDynamics) -> float:
        raise NotImplementedError

    def compute(self) -> Value:
        face = self.part(Dynamics).face
        return Value(self.of(face), len(face.known))


class ThevalLips(_Dynamics):
    name, label, unit = "theval_lips", "Lip dynamics (THEval)", "px"
    meaning = (
        "mean over all pairs of lip points of the standard deviation over time of their distance, "
        "pixels of a 256-pixel frame"
    )
    reacts = "how much the lips change shape, the size of the face in the picture" + NOISE

    def of(self, face: dynamics.FaceDynamics) -> float:
        return face.lips()


class ThevalBrows(_Dynamics):
    name, label, unit = "theval_brows", "Brow dynamics (THEval)", "eye distances"
    meaning = (
        "mean change from frame to frame of each brow's distance to its eye, in distances between the eyes"
    )
    reacts = "motion of the brows, blinks, trembling" + NOISE

    def of(self, face: dynamics.FaceDynamics) -> float:
        return face.brows()


class ThevalHead(_Dynamics):
    name, label = "theval_head", "Head dynamics (THEval)"
    meaning = (
        "root of (mean deviation of pitch, yaw and roll in degrees times mean variance of their changes, "
        "plus mean variance of the head's place in pixels of a 256-pixel frame)"
    )
    reacts = "turns and shifts of the head, most of all their unrest" + NOISE

    def of(self, face: dynamics.FaceDynamics) -> float:
        return face.head()


class ThevalSilence(Metric):
    name, label, direction, unit = "theval_silence", "Silent lip motion (THEval)", "none", "eye distances"
    meaning = (
        "median distance of the lips' opening from its mean over silences of 0.3 s and longer, in distances "
        "between the eyes' outer corners"
    )
    reacts = "motion that the sound does not ask for; breathing and smiles of real clips, too"
    source, cites, range, parts, sound = SOURCE, CITES, (0, None), (Dynamics, SoundLevels), True

    def compute(self) -> Value:
        face = self.part(Dynamics).face
        silent = dynamics.long_silence(self.part(SoundLevels).silent(face.frames), self.clip.config.fps)
        count = int(silent.sum())
        if not count:
            return Value(None, 0, DROPPED, f"no silence of {dynamics.SHORTEST_SILENCE:g} s")
        return Value(face.stability(silent), count)


class _Speech(Metric):
    """Something of the lips' opening and the loudness while somebody speaks."""

    parts, sound = (Dynamics, SoundLevels, Loudness), True

    def of(self, opening: np.ndarray, volume: np.ndarray) -> float:
        raise NotImplementedError

    def compute(self) -> Value:
        face = self.part(Dynamics).face
        speech = ~self.part(SoundLevels).silent(face.frames)
        opening, at = face.opening(speech)
        if speech.sum() < dynamics.LEAST_SPEECH * face.frames or len(at) < 2:
            return Value(None, len(at), DROPPED, f"only {len(at)} frames of speech with a face")
        return Value(self.of(opening, self.part(Loudness).volume(face.frames)[at]), len(at))


class ThevalSync(_Speech):
    name, label, direction = "theval_sync", "Lips against loudness (THEval)", "none"
    meaning = (
        "mean distance of the lips' opening from the loudness of the sound in speech, each scaled to 0..1 "
        "over the clip"
    )
    reacts = (
        "whether the mouth opens where the sound is loud; also speech with loud closed and quiet open "
        "sounds, so read it beside the real clips' value"
    )
    source, cites, range = SOURCE, CITES, (0, 1)

    def of(self, opening: np.ndarray, volume: np.ndarray) -> float:
        return dynamics.gap(opening, volume)


class LoudnessCorrelation(_Speech):
    name, label, direction = "loudness_correlation", "Loudness correlation", "up"
    meaning = "correlation of the lips' opening with the loudness of the sound in speech, -1..1"
    reacts = (
        "whether the mouth opens where the sound is loud, needs neither a real clip nor SyncNet; real "
        "speech is far from 1. A mouth that stands still has none"
    )
    source, cites, range = "ours, after THEval's lip sync (Quignon et al. 2026)", CITES, (-1, 1)

    def of(self, opening: np.ndarray, volume: np.ndarray) -> float:
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
    source, cites, range, parts, sound = SOURCE, CITES, (None, 1), (Dynamics,), True

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        from eadbench.scores.bootstrap import interval_about

        wanted = [n for n in (*DYNAMICS, *QUALITY) if n in summary.config.metrics]
        tables = {name: _both(summary, name) for name in wanted}
        used = [n for n, table in tables.items() if len(table) and abs(table.real.mean()) > LEAST]
        if not used:
            summary.nothing(cls.name, "none of its measures has values of both sides")
            return
        clips = sorted(set().union(*(tables[name].index for name in used)))
        counts = np.vstack([np.ones(len(clips)), summary.counts(clips)])
        parts = []
        for name in used:
            table = tables[name].reindex(clips)
            weights = counts * table.fake.notna().to_numpy()
            with np.errstate(invalid="ignore", divide="ignore"):
                fake, real = (
                    (weights @ table[side].fillna(0).to_numpy()) / weights.sum(1) for side in ("fake", "real")
                )
                parts.append(dynamics.closeness(fake, real))
        value, *replicates = np.mean(parts, 0)
        low, high = interval_about(value, np.array(replicates)) if replicates else (None, None)
        whole = "all" if set(QUALITY) <= set(wanted) else "dynamics"
        expected = (*DYNAMICS, *QUALITY) if whole == "all" else DYNAMICS
        missing = [n.removeprefix("theval_") for n in expected if n not in used]
        more = [n.removeprefix("theval_") for n in used if n not in expected]
        variant = whole + "".join(
            f" {word} {'+'.join(names)}" for word, names in (("with", more), ("without", missing)) if names
        )
        told = summary.warnings(cls.name, clips, summary.total)
        if missing:
            told.insert(0, f"without {', '.join(missing)}, which have no values of both sides")
        summary.row(
            cls.name,
            float(value),
            low,
            None if high is None else min(high, 1.0),
            clips,
            summary.total,
            _signature([tables[name] for name in used]),
            None,
            variant,
            told,
        )


def _both(summary: "Summary", name: str):
    """By clip, the values of a measure in both cells, with the signature of the first."""
    sides = {}
    for side, cell in (("fake", summary.cell), ("real", summary.real)):
        rows = cell.rows[(cell.rows.metric == name) & (cell.rows.status == KEPT)].set_index("clip_id")
        sides[side] = rows
    table = sides["fake"][["value", "extractor", "weights_sha256", "resolution"]].rename(
        columns={"value": "fake"}
    )
    return table.join(sides["real"].value.rename("real"), how="inner").dropna(subset=["fake", "real"])


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
