"""The request to ``samples render``, checked before anything large is imported."""

from dataclasses import dataclass
from pathlib import Path

from eadbench.core.emotions import EMOTIONS, common_name
from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest


@dataclass(frozen=True)
class RenderRequest:
    """One of ``video`` and ``image``, the speech, and the emotion by name, by words or
    by coordinates.

    Raises:
        EadbenchError: If both or neither of video and image are given, a file is
            missing, or the emotion is unknown.
    """

    video: Path | None
    image: Path | None
    audio: Path
    emotion: str | None = None
    intensity: float = 1.0
    text: str | None = None
    valence: float | None = None
    arousal: float | None = None

    def __post_init__(self) -> None:
        if (self.video is None) == (self.image is None):
            raise EadbenchError(
                "name the face exactly once", "--video, --image", "give either a video or an image"
            )
        for path in (self.source, self.audio):
            if not path.is_file():
                raise EadbenchError("no such file", path, "name a file")
        try:
            common_name(self.emotion or "neutral")
        except KeyError as error:
            near = nearest(self.emotion, EMOTIONS)
            raise EadbenchError(
                f"unknown emotion {self.emotion!r}{near}", "--emotion", f"known: {', '.join(EMOTIONS)}"
            ) from error

    @property
    def source(self) -> Path:
        """The file with the face."""
        return self.video or self.image
