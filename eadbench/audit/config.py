"""Section ``audit`` of the config: which clips are distorted, and how."""

from pydantic import Field

from eadbench.audit.names import DISTORTIONS, DistortionName
from eadbench.core.section import CorpusName, Section

READS = {
    "run": (
        "seed",
        "device",
        "scores",
        "-scores.few_clips",
        "-scores.together",
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
    distortions: tuple[DistortionName, ...] = DISTORTIONS
