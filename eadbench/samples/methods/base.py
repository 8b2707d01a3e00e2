"""The interface of all talking-head methods."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from eadbench.core import secrets
from eadbench.core.protocols import PROTOCOLS
from eadbench.core.seeds import seed_for
from eadbench.samples.config import SamplesConfig
from eadbench.samples.manifest import RenderJob


@dataclass(frozen=True)
class MissingItem:
    """Something that a method needs and that is not on this machine."""

    what: str
    where: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.where}" + (f" ({self.hint})" if self.hint else "")


def missing_variables(env: dict[str, str]) -> list[MissingItem]:
    """Variables that ``${NAME}`` in a method's ``env:`` refers to and that are not in
    the environment.
    """
    names = [name for value in env.values() for name in secrets.missing(value)]
    return [MissingItem("variable is not in the environment", name, f"export {name}=...") for name in names]


@dataclass(frozen=True)
class Alignment:
    """How the frames of a raw result map to those of the clip. Results are aligned at
    their start, and cut to the job's frames.

    Attributes:
        missing: Frames that may be missing at the end; more is a failure.
        skip: Leading frames that are not part of the result.
        resample: Resample another frame rate by time stamps instead of refusing it.
        region: Part of the frame that is the result.
    """

    missing: int = 0
    skip: int = 0
    resample: bool = False
    region: str = "full"


@dataclass
class RawResult:
    """What a method returns for one clip: either ``frames`` or ``file``.

    Attributes:
        frames: Frames ``(H, W, 3)`` RGB uint8, rendered as they are read.
        file: A video file.
        alignment: How its frames map to those of the clip.
        verbatim: Copy the video stream of ``file`` without encoding it again.
        audio, driving_clip: Other than the job's, for the control with shuffled audio.
        reference_clip: Clip that showed the identity; null when none was used.
        caption_source: As in ``schemas.SAMPLES``.
        seconds, peak_mb: Cost as the method measured it (a child process, a share of a
            common run); null: measured around it.
    """

    frames: Iterable[np.ndarray] | None = None
    file: Path | None = None
    alignment: Alignment = field(default_factory=Alignment)
    verbatim: bool = False
    audio: Path | None = None
    driving_clip: str | None = None
    reference_clip: str | None = None
    caption_source: str | None = None
    seconds: float | None = None
    peak_mb: float | None = None


@dataclass(frozen=True)
class MethodContext:
    """What a method may use beside the jobs.

    Attributes:
        seed, device: Of the config.
        samples: The section.
        features: ``schemas.FEATURES`` of the corpus; null where the method needs none.
        run: Folder of the training run.
        parts: Artefacts of the zoo by name.
        log_folder: Where logs of programs stay.
    """

    seed: int
    device: str
    samples: SamplesConfig
    features: Path | None = None
    run: Path | None = None
    parts: dict[str, Path] = field(default_factory=dict)
    log_folder: Path | None = None

    def seed_for(self, *names: object) -> int:
        return seed_for(self.seed, "samples", *names)


class Method(ABC):
    """One method of the config.

    Class attributes:
        protocols: What it can do.
        emotion_control: How it can be given the emotion: ``none``, ``label``, ``text``
            or ``reference``.
        takes_intensity: Whether it can be given the intensity of the emotion.
    """

    protocols: ClassVar[frozenset[str]] = frozenset(PROTOCOLS) - {"dial"}
    emotion_control: str = "none"
    takes_intensity: bool = False
    licence: str = "Apache-2.0, as eadbench"

    def __init__(self, name: str, options: Any, context: MethodContext) -> None:
        self.name, self.options, self.context = name, options, context

    @property
    def hash(self) -> str:
        """sha256 of the checkpoint or recipe behind the results."""
        return ""

    def reads(self) -> list[Path]:
        """Outputs of earlier jobs beside the clips, on which results depend and which
        :attr:`hash` does not cover.
        """
        return []

    def needs(self) -> list[str]:
        """What it needs, in words, for the listing."""
        return []

    def notes(self) -> list[str]:
        """What to know before its numbers are quoted, for the listing."""
        return []

    def missing_items(self) -> list[MissingItem]:
        """What it needs and is not on this machine."""
        return []

    def prepare(self, jobs: list[RenderJob]) -> None:  # noqa: B027 (most methods need none)
        """Called once before the first clip: load a model, run a command for all clips."""

    def close(self) -> None:  # noqa: B027
        """Called once after the last clip, whatever happened."""

    def log_path(self, name: str) -> Path:
        """The file for what a program prints."""
        self.context.log_folder.mkdir(parents=True, exist_ok=True)
        return self.context.log_folder / f"{name}.log"

    @abstractmethod
    def render(self, job: RenderJob, work: Path) -> RawResult:
        """Render one clip.

        Args:
            job: The clip.
            work: A private, empty working folder; removed afterwards.

        Raises:
            EadbenchError: With the reason; costs this clip only.
        """


class UserMethod(Method):
    """A method of the user's, who states licence, control of the emotion and alignment."""

    @property
    def emotion_control(self) -> str:
        return self.options.emotion_control

    @property
    def licence(self) -> str:
        return self.options.licence

    @property
    def alignment(self) -> Alignment:
        return Alignment(
            missing=self.options.missing_frames, resample=self.options.resample, region=self.options.region
        )
