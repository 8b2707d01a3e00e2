"""The ``studio:`` mapping of a corpus in the config: what the studio films for it."""

import re
from fractions import Fraction
from typing import Literal

from pydantic import Field, field_validator, model_validator

from eadbench.core.section import Section

Layout = Literal["hdtf", "mead", "ravdess"]
Fault = Literal["silent", "faceless", "broken", "untimed"]

ACTOR_FORM = {"hdtf": r"(RD|WDA|WRA)/[A-Za-z]+\d*", "mead": r"[MW]\d{3}", "ravdess": r"Actor_\d{2}"}
MEAD_EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
LAYOUT_EMOTIONS = {"mead": MEAD_EMOTIONS, "ravdess": RAVDESS_EMOTIONS, "hdtf": ()}


class StudioConfig(Section):
    """What to film.

    Attributes:
        layout: Whose files and names to imitate: ``hdtf``, ``mead`` or ``ravdess``.
        actors: Ids in the corpus's own form: ``WDA/OliveMarsh0`` (group/video name; the
            speaker is the name without digits), ``M003``/``W009``, or ``Actor_01`` (odd
            numbers are men, even ones women).
        test_actors: Those of ``actors`` that speak the sentences kept for testing; the
            others never speak them. RAVDESS has two statements for all.
        emotions: Folder words of MEAD or RAVDESS; empty takes all of the layout. HDTF's
            speakers drift between moods by themselves.
        levels: Intensity levels, MEAD 1..3, RAVDESS 1..2 (neutral has only 1); empty
            takes all.
        levels_in_turn: MEAD only: each actor plays each emotion at one of the levels,
            which take turns over actors and emotions. That leaves time for more actors,
            and what is learned from many faces serves unseen ones better.
        sentences: Sentences per (actor, emotion, level) for MEAD; statements (1 or 2)
            for RAVDESS.
        repetitions: Repetitions of each statement, RAVDESS only.
        seconds: Length of each HDTF video. The other layouts last as long as the
            sentence.
        size: Width and height of the frames in pixels, even numbers. HDTF's face has
            about 0.42 of the height, the others' about 0.7.
        fps: Frame rate, a number or a fraction such as ``30000/1001``.
        crf: Quality of the x264 encoding; lower is better.
        faults: HDTF only: extra videos with one fault each: ``silent`` (no audio),
            ``faceless`` (no face), ``broken`` (truncated file), ``untimed`` (no time
            stamps in the lists).
    """

    layout: Layout
    actors: list[str] = Field(min_length=1)
    test_actors: list[str] = Field(default_factory=list)
    emotions: list[str] = Field(default_factory=list)
    levels: list[int] = Field(default_factory=list)
    levels_in_turn: bool = False
    sentences: int = Field(1, ge=1)
    repetitions: int = Field(1, ge=1, le=2)
    seconds: float = Field(45.0, ge=6.0)
    size: tuple[int, int] = (256, 256)
    fps: str | float = "25"
    crf: int = Field(20, ge=0, le=51)
    faults: list[Fault] = Field(default_factory=list)

    @field_validator("fps", mode="before")
    @classmethod
    def _fps_is_a_fraction(cls, value: object) -> str:
        text = str(value)
        try:
            positive = Fraction(text) > 0
        except (ValueError, ZeroDivisionError):
            positive = False
        if not positive:
            raise ValueError("fps is a positive number or a fraction such as 30000/1001")
        return text

    @field_validator("size")
    @classmethod
    def _sides_are_even(cls, value: tuple[int, int]) -> tuple[int, int]:
        if any(length % 2 or length < 96 for length in value):
            raise ValueError("both sides must be even and at least 96 pixels")
        return value

    @model_validator(mode="after")
    def _fits_the_layout(self) -> "StudioConfig":
        for actor in self.actors:
            if not re.fullmatch(ACTOR_FORM[self.layout], actor):
                raise ValueError(
                    f"actor {actor!r} does not look like one of {self.layout}: {ACTOR_FORM[self.layout]}"
                )
        if len(set(self.actors)) != len(self.actors):
            raise ValueError("an actor is listed twice")
        unlisted_actors = sorted(set(self.test_actors) - set(self.actors))
        if unlisted_actors:
            raise ValueError(f"test_actors that are not among actors: {', '.join(unlisted_actors)}")
        layout_emotions = LAYOUT_EMOTIONS[self.layout]
        unknown_words = [word for word in self.emotions if word not in layout_emotions]
        if unknown_words:
            raise ValueError(
                f"emotions unknown to {self.layout}: {', '.join(unknown_words)}; known: "
                f"{', '.join(layout_emotions) or 'none'}"
            )
        highest_level = 2 if self.layout == "ravdess" else 3
        if any(not 1 <= level <= highest_level for level in self.levels):
            raise ValueError(f"levels of {self.layout} are 1..{highest_level}")
        if self.layout == "ravdess" and self.sentences > 2:
            raise ValueError("RAVDESS has two statements")
        if self.faults and self.layout != "hdtf":
            raise ValueError("faults are for the hdtf layout")
        return self

    @property
    def rate(self) -> Fraction:
        """Frames per second as a fraction."""
        return Fraction(self.fps)

    @property
    def words(self) -> tuple[str, ...]:
        """The emotions to film, in the corpus's own words."""
        return tuple(self.emotions) or LAYOUT_EMOTIONS[self.layout]

    @property
    def strengths(self) -> tuple[int, ...]:
        """The intensity levels to film."""
        layout_levels = (1, 2) if self.layout == "ravdess" else (1, 2, 3)
        return tuple(self.levels) or layout_levels
