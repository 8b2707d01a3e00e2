"""How loud the audio is: what metrics of silence, of lip sync and of loudness share."""

from typing import TYPE_CHECKING

import numpy as np

from eadbench.scores import landmarks
from eadbench.scores.metrics.base import Part

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair


class AudioLevels(Part):
    """RMS of the driving audio, frame by frame."""

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.levels = landmarks.levels(clip.audio(), clip.config.fps)

    def needs_second_pass(self) -> bool:
        return self.clip.audio_was_cut()

    @property
    def loudest(self) -> float:
        """Level of the loudest frame in dBFS."""
        peak = self.levels.max(initial=0.0)
        return 20 * np.log10(peak) if peak > 0 else -np.inf

    def silent(self, frames: int) -> np.ndarray:
        """Which frames are silent, ``(frames,)`` bool."""
        return landmarks.silent(self.levels, frames, self.clip.config.silence_db)
