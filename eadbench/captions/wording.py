"""Sentences about faces, from the words in ``wording.yaml``; and the descriptions of
labels.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

# Deviations, in units of the usual spread, from which a cue is worth naming, is clear,
# is strong.
NAMED, CLEAR, STRONG = 0.7, 1.4, 2.4
# Three grades of intensity (MEAD's levels), and the intensities up to which a grade
# reaches.
GRADES = (1 / 3, 2 / 3, 1.0)
SLIGHT, MEDIUM = 0.45, 0.84
MOST_CUES = 4

Pick = Callable[[Sequence[str]], str]


@cache
def wording() -> dict[str, Any]:
    """The content of ``wording.yaml``."""
    return yaml.safe_load(files("eadbench.captions").joinpath("wording.yaml").read_text(encoding="utf-8"))


def grade_of(intensity: float) -> int:
    """0, 1 or 2: slight, clear, strong."""
    return int(intensity > SLIGHT) + int(intensity > MEDIUM)


def cue_phrases(deviations: Mapping[str, float], pick: Pick) -> list[str]:
    """The strongest cues of a face in words, at most ``MOST_CUES``, strongest first.

    Args:
        deviations: Measure to deviation in units of the usual spread.
        pick: Chooses one of several phrases.
    """
    cues, worded = wording()["cues"], []
    for measure, value in sorted(deviations.items(), key=lambda item: (-abs(item[1]), item[0])):
        phrases = cues.get(f"{measure}{'+' if value > 0 else '-'}")
        if phrases and abs(value) >= NAMED:
            worded.append(
                pick(phrases).format(
                    wording()["cue_degrees"][int(abs(value) > CLEAR) + int(abs(value) > STRONG)]
                )
            )
    return worded[:MOST_CUES]


def sentence(template: str, emotion: str, intensity: float, cues: list[str], pick: Pick) -> str:
    """Fill a template of ``wording.yaml``."""
    words = wording()["emotions"][emotion]
    joined = (
        ", ".join(cues[:-1]) + " and " + cues[-1]
        if len(cues) > 1
        else (cues or [pick(wording()["no_cues"])])[0]
    )
    adverb = wording()["degrees"][grade_of(intensity)] if emotion not in ("neutral", "calm") else "quite"
    return template.format(
        cues=joined,
        Cues=joined[0].upper() + joined[1:],
        adverb=adverb,
        adjective=pick(words["adjectives"]),
        noun=pick(words["nouns"]),
    )


def label_texts(emotion: str, intensity: float | None = None) -> tuple[str, ...]:
    """Descriptions of a label in several phrasings; they say what the emotion is
    expected to look like at that grade of intensity (the strongest when unknown). There
    are three grades, so the set of all descriptions is finite.

    Raises:
        KeyError: If the emotion is not in the common vocabulary.
    """
    unknown = intensity is None or intensity != intensity
    return _label_texts(emotion, GRADES[-1 if unknown else grade_of(intensity)])


@cache
def _label_texts(emotion: str, intensity: float) -> tuple[str, ...]:
    pattern = wording()["emotions"][emotion]["pattern"]
    deviations = {name: value * 1.5 * (0.5 + 0.5 * intensity) for name, value in pattern.items()}
    texts = []
    for number, template in enumerate(wording()["labels"]):

        def pick(options: Sequence[str], number: int = number) -> str:
            return options[number % len(options)]

        texts.append(sentence(template, emotion, intensity, cue_phrases(deviations, pick), pick))
    return tuple(texts)


def label_text(emotion: str, intensity: float | None = None) -> str:
    """The one description that stands for a label where a single text is needed, e.g.
    for caption source ``label``.
    """
    return label_texts(emotion, intensity)[0]
