"""The AV offset returns the delay that was put in, through files, the reader of audio
and video, and the metric itself.
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
    """Replaces SyncNet: the embedding of five frames is their brightness, that of the
    audio its level. Distances are computed as by the real one.
    """

    def stream(self, audio: np.ndarray, batch: int = 0) -> "LevelSync":
        stream = LevelSync()
        by_frame = audio[: len(audio) // 640 * 640].reshape(-1, 640)
        stream.levels = np.sqrt(np.square(by_frame).mean(1)) * 255
        stream.brightness = []
        return stream

    def add(self, frames: np.ndarray) -> None:
        self.brightness += frames.mean((1, 2, 3)).tolist()

    def result(self) -> dict[str, float]:
        count = min(len(self.brightness), len(self.levels)) - WINDOW
        lips, audio = (
            torch.tensor(np.stack([values[k : k + WINDOW] for k in range(count)]), dtype=torch.float32)
            for values in (self.brightness, self.levels)
        )
        return sync_from_distances(distances_around(lips, functional.pad(audio, (0, 0, SHIFT, SHIFT))))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Footage]:
    """A video whose brightness is the level of its audio, frame by frame."""
    levels = np.random.default_rng(0).uniform(0.1, 0.9, FRAMES)
    frames = np.stack([np.full((32, 32, 3), round(255 * level), np.uint8) for level in levels])
    tone = np.sqrt(2) * np.sin(2 * np.pi * 400 * np.arange(FRAMES * 640) / 16000) * np.repeat(levels, 640)
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
    offsets = {}
    for frames in range(11):
        audio = tmp_path / f"{frames}.wav"
        write_wav(audio, REGISTRY[name].apply(footage, frames, np.random.default_rng(0)).audio)
        measured = measurer.measure(ScoreTask("clip", fake=video, audio=audio))
        offsets[frames] = measured.values["sync_offset"].value
    measurer.close()
    assert offsets == {frames: sign * frames for frames in range(11)}
