"""`samples render`: a whole frame in, a whole frame out."""

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from material import face_frames, hum, photo

from eadbench.clips.config import ClipsConfig
from eadbench.core.errors import EadbenchError
from eadbench.core.settings import Settings
from eadbench.media.audio import write_wav
from eadbench.media.video import read_frames, write_video
from eadbench.samples.faces import follow
from eadbench.samples.render import Request, render

GIVEN = {"seed": 1, "device": "cpu", "samples": {"sampler": {"steps": 2, "overlap": 2}, "crf": 4}, "clips": {"size": 64}}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, a picture and half a second of sound."""
    folder = tmp_path_factory.mktemp("render inputs")
    write_video(folder / "face.mp4", face_frames(20, 240, 200), crf=4)
    cv2.imwrite(str(folder / "face.png"), cv2.cvtColor(photo(), cv2.COLOR_RGB2BGR))
    write_wav(folder / "speech.wav", hum(0.6))
    return folder


def run(world, out: Path, name: str = "silent", **request) -> np.ndarray:
    asked = Request(**({"video": None, "image": None} | request))
    render(asked, world.runs[name], out.parent, world.parts, Settings(GIVEN), {}, out)
    return read_frames(out).astype(int)


def test_only_the_face_of_a_video_changes(world, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    images = run(world, out, video=inputs / "face.mp4", audio=inputs / "speech.wav")
    source = read_frames(inputs / "face.mp4").astype(int)[:15]
    assert images.shape == source.shape == (15, 200, 240, 3), "as long as the speech"
    changed = np.abs(images - source).mean((0, 3))
    assert changed[:20].max() < 12 and changed[:, :40].max() < 12, "the surroundings stay"
    assert (changed > 20).mean() > 0.02, "the face was drawn anew"
    with av.open(str(out)) as file:
        assert "synthetic" in file.metadata["comment"] and file.streams.audio


def test_a_picture_speaks_as_long_as_the_speech(world, inputs: Path, tmp_path: Path) -> None:
    images = run(world, tmp_path / "out.mp4", image=inputs / "face.png", audio=inputs / "speech.wav")
    assert images.shape == (15, 256, 256, 3)
    assert np.abs(images[0] - photo()).mean((0, 1, 2)) < 30


def test_same_request_same_bytes(world, inputs: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        run(world, tmp_path / name, image=inputs / "face.png", audio=inputs / "speech.wav")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_coordinates_of_emotion_move_the_picture(world, inputs: Path, tmp_path: Path) -> None:
    common = {"image": inputs / "face.png", "audio": inputs / "speech.wav"}
    sad = run(world, tmp_path / "a.mp4", "full", valence=-0.8, arousal=-0.3, **common)
    happy = run(world, tmp_path / "b.mp4", "full", valence=0.8, arousal=0.5, **common)
    assert np.abs(sad - happy).max() > 5


def test_an_emotion_that_cannot_be_told_is_an_error(world, inputs: Path, tmp_path: Path) -> None:
    common = {"image": inputs / "face.png", "audio": inputs / "speech.wav"}
    with pytest.raises(EadbenchError, match="cannot be told"):
        run(world, tmp_path / "a.mp4", "silent", emotion="angry", **common)
    with pytest.raises(EadbenchError, match="unknown emotion 'furious'"):
        run(world, tmp_path / "a.mp4", "full", emotion="furious", **common)


@pytest.mark.parametrize(("request_", "message"), [({}, "either"), ({"video": "x.mp4"}, "no such file"), ({"image": "grey.png"}, "no face")])
def test_bad_requests(world, inputs: Path, tmp_path: Path, request_: dict, message: str) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    given = {key: tmp_path / value for key, value in request_.items()}
    with pytest.raises(EadbenchError, match=message):
        run(world, tmp_path / "out.mp4", audio=inputs / "speech.wav", **given)
    assert not (tmp_path / "out.mp4").exists()


def test_alignment_goes_there_and_back(inputs: Path) -> None:
    """The aligned frames are the source seen through the matrices."""
    face = follow(inputs / "face.mp4", 10, ClipsConfig(size=96), 96, still=False)
    assert face.frames == 10 and face.matrix.shape == (10, 2, 3)
    for whole, aligned, matrix in zip(face.whole(), face.aligned(), face.matrix, strict=True):
        direct = cv2.warpAffine(whole, matrix, (96, 96), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        assert np.abs(direct.astype(int) - aligned)[8:-8, 8:-8].mean() < 4


EXTRA = Path(os.environ.get("EADBENCH_EXTRA_VIDEOS", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.skipif(not (EXTRA / "real_speaker.mp4").is_file(), reason=f"no real_speaker.mp4 in {EXTRA}; set EADBENCH_EXTRA_VIDEOS")
def test_a_filmed_speaker(world, inputs: Path, tmp_path: Path) -> None:
    path = EXTRA / "real_speaker.mp4"
    write_wav(tmp_path / "short.wav", hum(0.2))
    images = run(world, tmp_path / "out.mp4", video=path, audio=tmp_path / "short.wav")
    source = read_frames(path, limit=5).astype(int)
    assert images.shape == source.shape
    changed = np.abs(images - source).mean((0, 3)) > 15
    assert 0.005 < changed.mean() < 0.3, "a part of the frame changed, the face"
