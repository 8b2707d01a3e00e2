"""What is to be measured of one clip; imports nothing large, so that folders are paired
and refused at once.
"""

from dataclasses import dataclass
from pathlib import Path

from eadbench.core.status import FAILED

ANIMATES = "the method animates one image: the head is not where frame by frame the clip has it"


@dataclass(frozen=True)
class ScoreTask:
    """One clip to measure.

    Attributes:
        clip_id: Its id.
        speaker: Who is shown.
        emotion: Target emotion.
        intensity: Intensity of the target emotion, in (0, 1]; ``None`` if unknown.
        fake: The video to evaluate; ``None`` with ``problem`` where there is none.
        real: The clip's own video, for paired metrics; ``None`` where they do not
            apply.
        audio: Driving audio; ``None``: that of ``fake``.
        frames: Frames that count; ``None`` for all.
        crop: Whether both videos are first cut to the face of the real one.
        unpaired: Why paired metrics do not apply; empty if they do.
        unaligned: Why metrics do not apply that need the head where the clip has it;
            empty if they do.
        problem: Why there is nothing to measure.
        status: Status of the rows then.
    """

    clip_id: str
    speaker: str | None = None
    emotion: str | None = None
    intensity: float | None = None
    fake: Path | None = None
    real: Path | None = None
    audio: Path | None = None
    frames: int | None = None
    crop: bool = False
    unpaired: str = ""
    unaligned: str = ""
    problem: str = ""
    status: str = FAILED
