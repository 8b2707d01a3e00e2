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
from eadbench.media.audio import read_audio, write_wav
from eadbench.media.video import read_frames, write_video
from eadbench.samples.faces import reference_frames, track_face
from eadbench.samples.render import RenderRequest, paste_frames, render

SETTINGS = {
    "seed": 1,
    "device": "cpu",
    "samples": {"sampler": {"steps": 2, "overlap": 2}, "crf": 4},
    "clips": {"size": 64},
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, an image and half a second of audio."""
    folder = tmp_path_factory.mktemp("render inputs")
    write_video(folder / "face.mp4", face_frames(20, 240, 200), crf=4)
    cv2.imwrite(str(folder / "face.png"), cv2.cvtColor(photo(), cv2.COLOR_RGB2BGR))
    write_wav(folder / "speech.wav", hum(0.6))
    return folder


def run(world, out: Path, name: str = "silent", **request) -> np.ndarray:
    render_request = RenderRequest(**({"video": None, "image": None} | request))
    render(render_request, world.runs[name], out.parent, world.parts, Settings(SETTINGS), {}, out)
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


def test_an_image_speaks_as_long_as_the_speech(world, inputs: Path, tmp_path: Path) -> None:
    images = run(world, tmp_path / "out.mp4", image=inputs / "face.png", audio=inputs / "speech.wav")
    assert images.shape == (15, 256, 256, 3)
    assert np.abs(images[0] - photo()).mean((0, 1, 2)) < 30


def test_same_request_same_bytes(world, inputs: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        run(world, tmp_path / name, image=inputs / "face.png", audio=inputs / "speech.wav")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_coordinates_of_emotion_change_the_frames(world, inputs: Path, tmp_path: Path) -> None:
    common = {"image": inputs / "face.png", "audio": inputs / "speech.wav"}
    sad = run(world, tmp_path / "a.mp4", "full", valence=-0.8, arousal=-0.3, **common)
    happy = run(world, tmp_path / "b.mp4", "full", valence=0.8, arousal=0.5, **common)
    assert np.abs(sad - happy).max() > 5


def test_an_emotion_that_the_run_cannot_read_is_an_error(world, inputs: Path, tmp_path: Path) -> None:
    common = {"image": inputs / "face.png", "audio": inputs / "speech.wav"}
    with pytest.raises(EadbenchError, match="cannot read the emotion"):
        run(world, tmp_path / "a.mp4", "silent", emotion="angry", **common)
    with pytest.raises(EadbenchError, match="unknown emotion 'furious'"):
        run(world, tmp_path / "a.mp4", "full", emotion="furious", **common)


@pytest.mark.parametrize(
    ("request_", "message"),
    [({}, "either"), ({"video": "x.mp4"}, "no such file"), ({"image": "grey.png"}, "no face")],
)
def test_bad_requests(world, inputs: Path, tmp_path: Path, request_: dict, message: str) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    paths = {key: tmp_path / value for key, value in request_.items()}
    with pytest.raises(EadbenchError, match=message):
        run(world, tmp_path / "out.mp4", audio=inputs / "speech.wav", **paths)
    assert not (tmp_path / "out.mp4").exists()


def test_alignment_goes_there_and_back(inputs: Path) -> None:
    """The aligned frames are the source seen through the matrices."""
    face = track_face(inputs / "face.mp4", 10, ClipsConfig(size=96, margin=0.5), 96, still=False)
    assert face.frames == 10 and face.matrix.shape == (10, 2, 3)
    for whole, aligned, matrix in zip(face.whole(), face.aligned(), face.matrix, strict=True):
        direct = cv2.warpAffine(
            whole, matrix, (96, 96), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        assert np.abs(direct.astype(int) - aligned)[8:-8, 8:-8].mean() < 4


CARD = np.full((200, 240, 3), (20, 60, 140), np.uint8)
cv2.putText(CARD, "EPISODE 1", (20, 110), 0, 1.2, (255, 255, 255), 3)


def arranged(*pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of the face (positive numbers of them) and of a card without one
    (negative), and which are the face's.
    """
    face = face_frames(sum(n for n in pieces if n > 0), 240, 200)
    frames, shown = [], []
    for n in pieces:
        frames += [CARD] * -n if n < 0 else list(face[sum(shown) : sum(shown) + n])
        shown += [n > 0] * abs(n)
    return np.stack(frames), np.array(shown)


@pytest.mark.parametrize("pieces", [(-8, 12), (8, -5, 7), (12, -8), (-3, 6, -2, 6, -3), (4, -1, 10)], ids=str)
def test_frames_without_face_pass_through_and_every_other_is_in_its_place(
    inputs: Path, tmp_path: Path, pieces: tuple[int, ...], caplog
) -> None:
    frames, shown = arranged(*pieces)
    write_video(tmp_path / "a.mp4", frames, crf=4)
    alone = track_face(inputs / "face.mp4", 20, ClipsConfig(size=96, margin=0.5), 96, still=False)
    face = track_face(tmp_path / "a.mp4", 100, ClipsConfig(size=96, margin=0.5), 96, still=False)
    assert face.frames == len(face.sights) == len(face.matrix) == len(frames)
    assert [face.has_face(k) for k in range(len(frames))] == shown.tolist()
    assert f"no face in {(~shown).sum()} of {len(frames)} frames" in caplog.text
    moved = np.abs(face.matrix[shown] - alone.matrix[: shown.sum()])
    assert moved[..., 2].max() < 3 and moved[..., :2].max() < 0.05, "the face is where it is without the card"
    placed = list(face.aligned())
    assert len(placed) == len(frames) and np.abs(placed[0].astype(int) - placed[-1]).mean() < 12, (
        "never the card"
    )
    assert len(reference_frames(face, 50)) == shown.sum()
    drawn = [np.full((96, 96, 3), 255, np.uint8)] * len(frames)
    for k, (whole, pasted) in enumerate(
        zip(face.whole(), paste_frames(face, iter(drawn), "mouth"), strict=True)
    ):
        changed = (whole != pasted).any(2).mean()
        assert changed > 0.02 if shown[k] else changed == 0


def test_a_card_before_the_face_keeps_length_and_audio(world, tmp_path: Path) -> None:
    frames, shown = arranged(-6, 14)
    write_video(tmp_path / "a.mp4", frames, crf=4)
    write_wav(tmp_path / "speech.wav", hum(0.8))
    images = run(world, tmp_path / "out.mp4", video=tmp_path / "a.mp4", audio=tmp_path / "speech.wav")
    source = read_frames(tmp_path / "a.mp4").astype(int)
    assert images.shape == source.shape
    change = (np.abs(images - source).mean(3) > 20).mean((1, 2))
    assert change[~shown].max() < 0.001 and change[shown].min() > 0.01
    assert len(read_audio(tmp_path / "out.mp4")) / 16000 == pytest.approx(0.8, abs=0.05)


def test_a_face_that_is_blurred_for_a_moment_is_drawn_and_one_that_left_is_not(tmp_path: Path) -> None:
    frames = face_frames(24, 240, 200)
    hidden = frames.copy()
    # the bare backdrop: too short a gap to count by itself
    hidden[8:11] = face_frames(24, 240, 200, scale=0.01)[8:11]
    write_video(tmp_path / "left.mp4", hidden, crf=4)
    face = track_face(
        tmp_path / "left.mp4", 24, ClipsConfig(size=96, margin=0.5, cut_threshold=200), 96, still=False
    )
    assert face.faceless == 0, "with a threshold that nothing reaches, the gap is a moment's"
    face = track_face(tmp_path / "left.mp4", 24, ClipsConfig(size=96, margin=0.5), 96, still=False)
    assert [k for k in range(24) if not face.has_face(k)] == [8, 9, 10]


EXTRA = Path(os.environ.get("EADBENCH_EXTRA_VIDEOS", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.skipif(
    not (EXTRA / "real_speaker.mp4").is_file(),
    reason=f"no real_speaker.mp4 in {EXTRA}; set EADBENCH_EXTRA_VIDEOS",
)
def test_a_filmed_speaker(world, inputs: Path, tmp_path: Path) -> None:
    path = EXTRA / "real_speaker.mp4"
    write_wav(tmp_path / "short.wav", hum(0.2))
    images = run(world, tmp_path / "out.mp4", video=path, audio=tmp_path / "short.wav")
    source = read_frames(path, limit=5).astype(int)
    assert images.shape == source.shape
    changed = np.abs(images - source).mean((0, 3)) > 15
    assert 0.005 < changed.mean() < 0.3, "a part of the frame changed, the face"
