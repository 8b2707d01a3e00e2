"""Small evaluators on disk, and clips with a real face (scikit-image's astronaut, moved
about).
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from eadbench.core import schemas
from eadbench.core.tables import write_table
from eadbench.media.audio import write_wav
from eadbench.media.video import write_video
from eadbench.scores.config import ScoresConfig
from eadbench.zoo.config import ZooConfig
from eadbench.zoo.make import ArtefactInputs, make

SIZE, FRAMES = 96, 40
EVALUATORS = {
    "sync": "syncnet_evaluator",
    "emotion": "emotion",
    "fid": "inception",
    "fvd": "i3d",
    "lpips": "lpips",
    "face_id": "face_id",
}
ARTEFACTS = {
    "syncnet_evaluator": {
        "kind": "syncnet_evaluator",
        "how": "trained",
        "options": {"width": 0.1, "size": 64, "dim": 16, "steps": 2, "clips": 2, "windows": 6},
    },
    "emotion": {
        "kind": "emotion",
        "how": "trained",
        "options": {"width": 0.125, "size": 48, "frames": 6, "steps": 2, "clips": 4, "frames_per_clip": 6},
    },
    "face_id": {
        "kind": "face_id",
        "how": "trained",
        "options": {"width": 0.125, "size": 48, "dim": 16, "steps": 2, "batch": 8, "frames_per_clip": 4},
    },
    "inception": {"kind": "inception", "how": "random", "options": {"channels": [4, 6], "size": 48}},
    "i3d": {"kind": "i3d", "how": "random", "options": {"channels": [4, 6], "size": 32}},
    "lpips": {"kind": "lpips", "how": "random"},
}


def astronaut(frames: int = FRAMES, size: int = SIZE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A real face that sways and whose mouth region stretches with the audio: frames
    ``(T, S, S, 3)`` and audio.
    """
    from skimage import data

    rng = np.random.default_rng(seed)
    image = cv2.resize(data.astronaut()[0:256, 96:352], (size, size), interpolation=cv2.INTER_AREA)
    opening = np.abs(np.sin(np.arange(frames) * rng.uniform(0.5, 0.9) + rng.uniform(0, 3)))
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    frame_list = []
    for k, amount in enumerate(opening):
        mouth = (
            0.04
            * amount
            * np.exp(-(((rows - 0.72) / 0.06) ** 2 + ((columns - 0.47) / 0.12) ** 2))
            * np.sign(rows - 0.68)
        )
        shift = 0.02 * np.sin(k / 7 + seed)
        frame_list.append(
            cv2.remap(
                image,
                (columns + shift).astype(np.float32) * size,
                (rows - mouth).astype(np.float32) * size,
                cv2.INTER_LINEAR,
            )
        )
    loud = np.repeat(opening, 640)
    audio = (
        0.3 * loud * np.sin(np.arange(frames * 640) * 0.08 * (1 + seed % 3))
        + 0.001 * rng.standard_normal(frames * 640)
    ).astype(np.float32)
    return np.stack(frame_list), audio


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory, tiny_clips: Path) -> dict[str, Path]:
    """Folders of all evaluators, hardly trained."""
    root = tmp_path_factory.mktemp("evaluators")
    config = ZooConfig.model_validate({"artefacts": ARTEFACTS})
    for name in ARTEFACTS:
        make(name, config, 1, ArtefactInputs([tiny_clips], {}), root / name)
    return {name: root / name for name in ARTEFACTS}


@pytest.fixture(scope="session")
def scores_config() -> ScoresConfig:
    return ScoresConfig.model_validate(
        {
            "evaluators": EVALUATORS,
            "fid_frames": 10,
            "lpips_frames": 2,
            "fvd_fixed_n": 4,
            "bootstrap": 40,
            "few_clips": 3,
        }
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table of four clips of two speakers with a real face and labels."""
    folder = tmp_path_factory.mktemp("astronaut")
    rows = []
    for k, (speaker, emotion) in enumerate([("A", "happy"), ("A", "sad"), ("B", "happy"), ("B", "calm")]):
        name = f"{speaker}{k}-000"
        images, audio = astronaut(seed=k)
        write_video(folder / f"{name}.mp4", images, audio=audio)
        write_wav(folder / f"{name}.wav", audio)
        rows.append(
            {
                "clip_id": name,
                "recording_id": name[:-4],
                "corpus": "faces",
                "speaker": speaker,
                "emotion": emotion,
                "split": "test",
                "video": f"{name}.mp4",
                "audio": f"{name}.wav",
                "frames": FRAMES,
                "fps": 25.0,
                "size": SIZE,
                "status": "kept",
                "reason": "",
            }
        )
    write_table(folder / "clips.parquet", rows, schemas.CLIPS)
    return folder / "clips.parquet"


def settings_text(config: ScoresConfig) -> str:
    return json.dumps({"seed": 1, "device": "cpu", "scores": config.model_dump(mode="json")})
