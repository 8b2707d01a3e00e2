"""What to film for each layout: one job per recording, with everything that decides its
bytes.
"""

import base64
import hashlib
import math
from dataclasses import asdict, dataclass

import numpy as np

from eadbench.core.emotions import common_name
from eadbench.core.seeds import rng_for
from eadbench.synthetic.acting import EXPRESSIONS, STRENGTH
from eadbench.synthetic.config import StudioConfig
from eadbench.synthetic.texts import RAVDESS, pool

RAVDESS_NUMBER = {
    "neutral": 1,
    "calm": 2,
    "happy": 3,
    "sad": 4,
    "angry": 5,
    "fearful": 6,
    "disgust": 7,
    "surprised": 8,
}
RAVDESS_STRENGTH = {1: 0.7, 2: 1.0}
FAULT_NAMES = {
    "silent": "RD/Radio61",
    "faceless": "WRA/CharlesSlides",
    "broken": "WDA/BrookTorn",
    "untimed": "RD/Radio24",
}
TAKES = ".takes"  # parts of archives
MEAN_SECONDS = 2.6  # of a sentence, for `--minutes`


@dataclass(frozen=True)
class FilmJob:
    """One recording.

    Attributes:
        key: Its main file, relative to the studio's folder.
        layout: Layout.
        actor: Speaker's id.
        lines: ``(text, emotion, strength)``.
        size, fps, crf, seed: As in the config.
        seconds: Length where the layout fixes it, else 0.
        audio: Separate audio file, if the layout has one.
        fault: See ``StudioConfig.faults``; empty for a recording without fault.
        sound: Whether the video has an audio track.
    """

    key: str
    layout: str
    actor: str
    lines: tuple[tuple[str, str, float], ...]
    size: tuple[int, int]
    fps: str
    crf: int
    seed: int
    seconds: float = 0.0
    audio: str = ""
    fault: str = ""
    sound: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        """All files that it writes."""
        return (self.key, self.audio) if self.audio else (self.key,)

    def facts(self) -> dict:
        """As JSON can hold it."""
        return asdict(self)


def jobs_of(config: StudioConfig, seed: int) -> list[FilmJob]:
    """The plan of a corpus, ordered by actor."""
    return {"mead": _mead, "ravdess": _ravdess, "hdtf": _hdtf}[config.layout](config, seed)


def _common(config: StudioConfig, seed: int) -> dict:
    return {
        "layout": config.layout,
        "size": tuple(config.size),
        "fps": config.fps,
        "crf": config.crf,
        "seed": seed,
    }


def _mead(config: StudioConfig, seed: int) -> list[FilmJob]:
    jobs = []
    for actor_index, actor in enumerate(config.actors):
        texts = pool(actor in config.test_actors)
        number = 0
        order = rng_for(seed, "studio", "order", actor).permutation(len(texts))
        for word_index, word in enumerate(config.words):
            for level in _levels(config, word, actor_index + word_index):
                for n in range(1, config.sentences + 1):
                    text = texts[order[number % len(texts)]]
                    number += 1
                    take = f"{word}/level_{level}/{n:03d}"
                    strength = 0.0 if word == "neutral" else STRENGTH[level]
                    jobs.append(
                        FilmJob(
                            key=f"{actor}/video/front/{take}.mp4", audio=f"{actor}/audio/{take}.m4a",
                            actor=actor, sound=False,
                            lines=((text, common_name(word), strength),), **_common(config, seed),
                        )
                    )  # fmt: skip
    return jobs


def _levels(config: StudioConfig, word: str, turn: int) -> tuple[int, ...]:
    """Levels at which an actor plays an emotion."""
    if word == "neutral":
        return (1,)
    if config.levels_in_turn:
        return (config.strengths[turn % len(config.strengths)],)
    return config.strengths


def _ravdess(config: StudioConfig, seed: int) -> list[FilmJob]:
    jobs = []
    for actor in config.actors:
        for word in config.words:
            for intensity in config.strengths if word != "neutral" else (1,):
                for statement in range(1, config.sentences + 1):
                    for repetition in range(1, config.repetitions + 1):
                        strength = 0.0 if word == "neutral" else RAVDESS_STRENGTH[intensity]
                        numbers = (1, RAVDESS_NUMBER[word], intensity, statement, repetition)
                        fields = "-".join([*(f"{number:02d}" for number in numbers), actor[-2:]])
                        line = (RAVDESS[statement - 1], common_name(word), strength)
                        common = _common(config, seed) | {"actor": actor, "lines": (line,)}
                        jobs.append(FilmJob(key=f"{TAKES}/{actor}/01-{fields}.mp4", **common))
                        # the real archives hold each video without audio, too; one per
                        # actor is enough here
                        if word == "neutral":
                            jobs.append(
                                FilmJob(key=f"{TAKES}/{actor}/02-{fields}.mp4", sound=False, **common)
                            )
    return jobs


def video_id(name: str) -> str:
    """Eleven characters made from a video's name, like the ids of a video site."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _hdtf(config: StudioConfig, seed: int) -> list[FilmJob]:
    jobs = []
    entries = [(name, "", config.seconds) for name in config.actors]
    entries += [(FAULT_NAMES[fault], fault, min(config.seconds, 12.0)) for fault in config.faults]
    for name, fault, seconds in entries:
        rng = rng_for(seed, "studio", "script", name)
        texts = pool(name in config.test_actors)
        order = rng.permutation(len(texts))
        count = math.ceil(seconds / 2.2)
        moods = rng.permutation([e for e in EXPRESSIONS if e != "neutral"])[:3]
        mood_order = ["neutral", *moods]
        lines = tuple(
            (
                texts[order[k % len(texts)]],
                str(mood_order[(k // 4) % 4]),
                float(np.round(rng.uniform(0.5, 0.9), 2)) if (k // 4) % 4 else 0.0,
            )
            for k in range(count)
        )
        jobs.append(
            FilmJob(
                key=f"videos/{video_id(name)}.mp4", actor=name, lines=lines, seconds=float(seconds),
                fault=fault, sound=fault != "silent",
                **_common(config, seed),
            )
        )  # fmt: skip
    return jobs


def hdtf_cuts(seconds: float) -> dict[str, float]:
    """Times of the cuts in an HDTF-like video, whole seconds: ``card`` ends, ``second``
    camera begins, ``slide`` begins and ends, ``end`` of the second stretch. Stretches
    are card..slide (with a cut inside) and after..end; short videos have one stretch
    only.
    """
    last = math.floor(seconds) - 1
    card = 1 if seconds < 20 else 2
    if seconds < 20:
        return {"card": card, "second": last, "slide": last, "after": last, "end": last}
    slide = card + round(0.5 * (last - card))
    return {
        "card": card,
        "second": card + round(0.55 * (slide - card)),
        "slide": slide,
        "after": slide + 2,
        "end": last,
    }
