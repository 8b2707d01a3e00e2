"""The AV offset returns the delay that was put in, through files, the reader of sound
and picture, and the metric itself.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from eadbench.audit.distortions import REGISTRY, Footage
from eadbench.media.audio import write_wav
from eadbench.media.video import write_video
from eadbench.models.syncnet_evaluator import SHIFT, distances_around, sync_from_distances
from eadbench.scores.clip import Measurer
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import Evaluators, MetricSignature
from eadbench.scores.task import ScoreTask

FRAMES, WINDOW = 60, 5


class LevelSync:
    """In the place of SyncNet: windows of five frames are told by their brightness,
    those of the sound by its level. Distances are the real ones.
    """

    def stream(self, audio: np.ndarray, batch: int = 0) -> "LevelSync":
        made = LevelSync()
        made.sound = np.sqrt(np.square(audio[: len(audio) // 640 * 640].reshape(-1, 640)).mean(1)) * 255
        made.light = []
        return made

    def add(self, frames: np.ndarray) -> None:
        self.light += frames.mean((1, 2, 3)).tolist()

    def result(self) -> dict[str, float]:
        count = min(len(self.light), len(self.sound)) - WINDOW
        lips, sound = (
            torch.tensor(np.stack([side[k : k + WINDOW] for k in range(count)]), dtype=torch.float32)
            for side in (self.light, self.sound)
        )
        return sync_from_distances(distances_around(lips, functional.pad(sound, (0, 0, SHIFT, SHIFT))))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Footage]:
    """A video whose brightness is the level of its sound, frame by frame."""
    level = np.random.default_rng(0).uniform(0.1, 0.9, FRAMES)
    frames = np.stack([np.full((32, 32, 3), round(255 * one), np.uint8) for one in level])
    tone = np.sqrt(2) * np.sin(2 * np.pi * 400 * np.arange(FRAMES * 640) / 16000) * np.repeat(level, 640)
    path = tmp_path_factory.mktemp("offset") / "clip.mp4"
    write_video(path, frames)
    return path, Footage(
        frames, (0.7 * tone).astype(np.float32), 25.0, np.full((FRAMES, 478, 2), np.nan, np.float32)
    )


@pytest.mark.parametrize(("name", "sign"), [("audio_early", 1), ("audio_late", -1)])
def test_the_offset_is_the_delay_that_was_put_in_positive_where_the_audio_is_early(
    clip, tmp_path, name, sign
):
    video, footage = clip
    config = ScoresConfig.model_validate(
        {"evaluators": {"sync": "syncnet_evaluator"}, "metrics": ["sync_offset"]}
    )
    measurer = Measurer(
        config, Evaluators({"sync": LevelSync()}, {"sync": MetricSignature("levels", "0" * 64)})
    )
    found = {}
    for frames in range(11):
        sound = tmp_path / f"{frames}.wav"
        write_wav(sound, REGISTRY[name].apply(footage, frames, np.random.default_rng(0)).audio)
        found[frames] = (
            measurer.measure(ScoreTask("clip", fake=video, audio=sound)).values["sync_offset"].value
        )
    measurer.close()
    assert found == {frames: sign * frames for frames in range(11)}
