"""Section ``audit`` of the config: which clips are distorted, and how."""

from typing import Any

from pydantic import Field, field_validator

from eadbench.audit.names import DISTORTIONS
from eadbench.core.settings import CorpusName, Section, nearest

READS = {
    "run": (
        "seed",
        "device",
        "scores",
        "-scores.few_clips",
        "audit",
        "corpora.sets.*.kind",
        "corpora.sets.*.studio.layout",
    )
}


class AuditConfig(Section):
    """What is distorted.

    Attributes:
        corpus: Corpus whose clips are taken.
        split: Of these clips.
        max_clips: At most so many, spread evenly over speakers and emotions.
        max_seconds: Clips are cut to this.
        distortions: Names of ``eadbench.audit.distortions``; all by default.
    """

    corpus: CorpusName
    split: str = "test"
    max_clips: int = Field(6, ge=2)
    max_seconds: float = Field(2.0, gt=0.5)
    distortions: tuple[str, ...] = DISTORTIONS

    @field_validator("distortions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in DISTORTIONS:
                raise ValueError(
                    f"no distortion is named {name!r}{nearest(name, DISTORTIONS)}; known: "
                    f"{', '.join(DISTORTIONS)}"
                )
        return names

    def in_use(self) -> dict[str, Any]:
        return self.__dict__
