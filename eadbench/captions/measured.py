"""The captioner that measures: it reads the face mesh, compares with what is usual for
that face, and writes what stands out.

It never sees a label. The usual is the median over the speaker's own clips, drawn
towards the corpus's where there are few of them. An emotion is named by the pattern
(``wording.yaml``) that explains the deviations best; it can be wrong, and
`captions report` says how often.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd

from eadbench.captions.answers import Answer, Outcome
from eadbench.captions.config import MeasuredConfig
from eadbench.captions.measures import MEASURES, measure_track
from eadbench.captions.wording import cue_phrases, sentence, wording
from eadbench.core import seals
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.progress import track
from eadbench.core.schemas import ClipsRow
from eadbench.core.seeds import rng_for
from eadbench.core.tables import KEPT

log = logging.getLogger(__name__)
# Smallest usual spread per measure, in distances of the eyes: below it lies what the
# mesh itself trembles.
LEAST_SPREAD = 0.004
NOISE = 1.2  # spread, in units of the usual one, that a face of a given emotion still has around its pattern
NEUTRAL_BONUS = 0.4  # in units of squared deviation: an emotion must explain that much more than nothing does


class MeasuredCaptioner:
    """Describes the clips of one table."""

    id = "measured-1"
    prompt_version = None

    def __init__(self, clips: Sequence[ClipsRow], config: MeasuredConfig, seed: int) -> None:
        self.seed = seed
        self._measure = cache(lambda path: measure_track(seals.checked(path)))
        self.baseline = SpeakerBaseline(clips, self._measure, config)

    def describe(self, clips: Sequence[ClipsRow]) -> Iterator[Outcome]:
        """One outcome per row, in order."""
        for clip in clips:
            try:
                deviations = self.baseline.deviations(clip.speaker, self._measure(clip.track))
            except Exception as error:
                yield Outcome(clip.clip_id, None, reason_of(error, clip.clip_id))
                continue
            yield Outcome(clip.clip_id, write_answer(deviations, self.seed, clip.clip_id))


class SpeakerBaseline:
    """What is usual: medians per speaker and of the corpus, and one spread per measure."""

    def __init__(self, clips: Sequence[ClipsRow], measure, config: MeasuredConfig) -> None:
        picked, taken = [], defaultdict(int)
        for clip in sorted(clips, key=lambda clip: hashlib.blake2b(clip.clip_id.encode()).hexdigest()):
            if clip.status == KEPT and taken[clip.speaker or ""] < config.clips_per_speaker:
                picked.append(clip)
                taken[clip.speaker or ""] += 1
        rows, speakers = [], []
        for clip in track(picked, "measure faces", unit="clip"):
            try:
                values = measure(clip.track)
            except Exception as error:
                log.warning(
                    "%s tells nothing of what is usual: %s", clip.clip_id, reason_of(error, clip.clip_id)
                )
                continue
            rows.append(vector(values))
            speakers.append(clip.speaker or "")
        if not rows:
            raise EadbenchError(
                "no clip of the corpus has a usable track",
                "clips table",
                "see `clips report` for what was lost",
            )
        table = pd.DataFrame(rows, index=speakers)
        self.corpus = table.median()
        counts = table.groupby(level=0).size()
        weight = counts / (counts + config.shrink)
        medians = table.groupby(level=0).median()
        self.speakers = medians.mul(weight, axis=0) + np.outer(1 - weight, self.corpus)
        residual = table - self.speakers.loc[table.index].to_numpy()
        # From the tails, since a corpus of acted emotions has most faces at rest in any
        # one measure.
        self.spread = ((residual.quantile(0.9) - residual.quantile(0.1)) / 2.563).clip(lower=LEAST_SPREAD)

    def deviations(self, speaker: str | None, values: Mapping[str, float]) -> dict[str, float]:
        """Measures of a clip as deviations from the speaker's usual, in units of the
        usual spread; ``asymmetry`` is that of the mouth, unsigned.
        """
        key = speaker or ""
        centre = self.speakers.loc[key] if key in self.speakers.index else self.corpus
        z = (pd.Series(vector(values)) - centre) / self.spread
        scaled = z.to_dict()
        scaled["asymmetry"] = abs(scaled.pop("mouth_side"))
        return {name: float(np.clip(scaled[name], -4, 4)) for name in MEASURES}


def vector(values: Mapping[str, float]) -> dict[str, float]:
    """The measures that the statistics are made of, in a fixed order."""
    return {name: values[name] for name in (*[m for m in MEASURES if m != "asymmetry"], "mouth_side")}


@cache
def patterns() -> tuple[list[str], np.ndarray]:
    """Names and patterns ``(E, M)`` of the emotions that have one."""
    table = {name: e["pattern"] for name, e in wording()["emotions"].items() if e["pattern"]}
    return list(table), np.array([[pattern.get(m, 0.0) for m in MEASURES] for pattern in table.values()])


def name_emotion(deviations: Mapping[str, float]) -> tuple[str, float, float]:
    """Emotion, intensity and confidence (both 0..1) of a face.

    Each pattern is scaled to fit the deviations best (scale 1 is a full-blown emotion,
    at most 1.5); the emotion whose scaled pattern leaves the least unexplained wins,
    against ``neutral``, which explains nothing but needs nothing. Confidence is the
    winner's share in a softmax over what is left.
    """
    names, table = patterns()
    z = np.array([deviations[m] for m in MEASURES])
    z[MEASURES.index("head_motion")] = 0.0
    scale = np.clip(table @ z / (table**2).sum(1), 0, 1.5)
    unexplained = ((z - scale[:, None] * table) ** 2).sum(1)
    unexplained = np.append(unexplained, (z**2).sum() - NEUTRAL_BONUS)
    odds = np.exp(-(unexplained - unexplained.min()) / (2 * NOISE**2))
    best = int(unexplained.argmin())
    emotion = [*names, "neutral"][best]
    intensity = 0.0 if emotion == "neutral" else float(np.clip(scale[best], 0.05, 1))
    return emotion, intensity, float(odds[best] / odds.sum())


def write_answer(deviations: Mapping[str, float], seed: int, clip_id: str) -> Answer:
    """Put a face into one or two sentences; which of several phrasings is drawn by the
    clip's name.
    """
    rng = rng_for(seed, "captions", clip_id)

    def pick(options) -> str:
        return options[int(rng.integers(len(options)))]

    emotion, intensity, confidence = name_emotion(deviations)
    text = sentence(pick(wording()["captions"]), emotion, intensity, cue_phrases(deviations, pick), pick)
    return Answer(
        description=text, emotion=emotion, intensity=round(intensity, 3), confidence=round(confidence, 3)
    )
