"""The same face, filmed differently: the aligned clip must not care."""

import cv2
import numpy as np
import pytest
from clips.faulty_corpus import CONFIG, make_index
from material import face_frames, hum

from eadbench.clips.cut import cut_shard
from eadbench.core import schemas
from eadbench.core.tables import read_table
from eadbench.media.video import read_frames, write_video

FRAMES = 30


def tilted(frames: np.ndarray, degrees: float) -> list[np.ndarray]:
    high, wide = frames.shape[1:3]
    turn = cv2.getRotationMatrix2D((wide / 2, high / 2), degrees, 1)
    return [cv2.warpAffine(frame, turn, (wide, high), borderMode=cv2.BORDER_REPLICATE) for frame in frames]


def resized(frames: np.ndarray, scale: float) -> list[np.ndarray]:
    return [
        cv2.resize(
            frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        )
        for frame in frames
    ]


WAYS = {
    "plain": lambda frames: frames,
    "half": lambda frames: resized(frames, 0.5),
    "double": lambda frames: resized(frames, 2.0),
    "large": lambda frames: resized(frames, 4.0),
    "tilted": lambda frames: tilted(frames, 25),
    "other_tilt": lambda frames: tilted(frames, -40),
    "letterboxed": lambda frames: np.pad(frames, ((0, 0), (60, 100), (240, 40), (0, 0))),
    "darker": lambda frames: frames // 2,
    "mirrored": lambda frames: frames[:, :, ::-1],
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Aligned frames, landmarks and jitter of each way of filming."""
    folder = tmp_path_factory.mktemp("ways")
    (folder / "source").mkdir()
    frames = face_frames(FRAMES, 240, 240, 0.9)
    for name, way in WAYS.items():
        write_video(folder / "source" / f"{name}.mp4", way(frames), audio=hum(FRAMES / 25), crf=10)
    cut_shard(
        "mine",
        "0-of-1",
        make_index(folder / "corpora", folder / "source"),
        folder / "clips" / "cut.parquet",
        CONFIG,
    )
    offsets = {}
    for row in read_table(folder / "clips" / "cut.parquet", schemas.CLIPS).to_dict("records"):
        assert (row["status"], row["frames"]) == ("kept", FRAMES), row["recording_id"]
        with np.load(folder / "clips" / row["track"]) as track:
            offsets[row["recording_id"]] = (
                read_frames(folder / "clips" / row["video"]),
                track["landmarks"],
                row["jitter"],
            )
    return offsets


@pytest.mark.parametrize("name", [name for name in WAYS if name not in ("plain", "mirrored")])
def test_the_aligned_face_is_the_same(clips, name):
    frames, landmarks, jitter = clips[name]
    plain_frames, plain_landmarks, _ = clips["plain"]
    inner = slice(CONFIG.size // 4, 3 * CONFIG.size // 4)
    shown = frames[:, inner, inner].astype(float) * (2 if name == "darker" else 1)
    assert np.abs(landmarks - plain_landmarks).mean() < 0.015 * CONFIG.size
    assert np.abs(shown - plain_frames[:, inner, inner]).mean() < 9
    assert jitter < 1.0


def test_mirrored_is_the_mirror(clips):
    inner = slice(CONFIG.size // 4, 3 * CONFIG.size // 4)
    turned = clips["mirrored"][0][:, :, ::-1]
    assert np.abs(turned[:, inner, inner].astype(float) - clips["plain"][0][:, inner, inner]).mean() < 12
