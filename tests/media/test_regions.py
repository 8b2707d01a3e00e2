"""Frames: regions equal slices of the whole, upright whatever the rotation; audio
read in stretches; audio replaced.
"""

import av
import numpy as np
import pytest
from material import MATRICES, face_frames, face_video, hum, turn

from eadbench.media.audio import read_audio
from eadbench.media.video import (
    DecodedFrame,
    iter_decoded_frames,
    probe,
    read_frames,
    replace_audio,
    write_video,
)


@pytest.mark.parametrize("degrees", MATRICES)
def test_regions_are_slices_of_the_upright_frame(tmp_path, degrees):
    path = turn(face_video(tmp_path / "v.mp4", 0.2, sound=None, width=96, height=64, scale=0.25), degrees)
    frame = next(iter_decoded_frames(path))
    whole = DecodedFrame(frame.frame).rgb()
    assert whole.shape == ((96, 64, 3) if degrees in (90, 270) else (64, 96, 3))
    assert (probe(path).height, probe(path).width) == whole.shape[:2]
    for x0, y0, x1, y1 in ((0, 0, 20, 30), (11, 7, 44, 50), (3, 20, 64, 63)):
        assert np.abs(frame.region(x0, y0, x1, y1).astype(int) - whole[y0:y1, x0:x1]).max() <= 1


def test_region_beyond_the_edge_repeats_it(tmp_path):
    frame = next(
        iter_decoded_frames(face_video(tmp_path / "v.mp4", 0.2, sound=None, width=96, height=64, scale=0.25))
    )
    region = frame.region(-10, -5, 106, 80)
    assert region.shape == (85, 116, 3)
    assert (region[:5] == region[5]).all() and (region[:, :10] == region[:, 10:11]).all()
    assert (frame.region(200, 200, 210, 210) == frame.rgb()[-1, -1]).all()


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p", "yuvj420p"])
def test_other_pixel_formats(tmp_path, pixels):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265" if "10" in pixels else "libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        for frame in face_frames(3, 96, 64, 0.25):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels))
            )
        container.mux(stream.encode())
    picture = next(iter_decoded_frames(path))
    whole = DecodedFrame(picture.frame).rgb()
    assert np.abs(picture.region(20, 10, 60, 50).astype(int) - whole[10:50, 20:60]).max() <= 1
    assert picture.thumbnail(48).shape == (32, 48)


def test_numbers_and_times_after_a_seek(tmp_path):
    path = face_video(tmp_path / "v.mp4", 3.0, sound=None, width=96, height=64, scale=0.25)
    late = list(iter_decoded_frames(path, 1.2, 2.0))
    assert [frame.number for frame in late] == list(range(30, 50))
    assert late[0].time == pytest.approx(1.2)


@pytest.mark.parametrize("rate", [16000, 22050])
def test_audio_in_stretches(tmp_path, rate):
    path = face_video(tmp_path / "v.mp4", 3.0, width=96, height=64, scale=0.25)
    whole, part = read_audio(path, rate), read_audio(path, rate, 1.0, 2.0)
    assert len(part) == rate
    assert np.abs(part - whole[rate : 2 * rate]).max() < 0.01
    assert 0 < len(read_audio(path, rate, 2.5, 9.0)) < 0.7 * rate
    with path.open("rb") as handle:
        assert np.array_equal(read_audio(handle, rate), whole)


def test_replacing_the_audio_leaves_the_video_alone(tmp_path):
    path = face_video(tmp_path / "v.mp4", 1.0, width=96, height=64, scale=0.25)
    replace_audio(path, tmp_path / "new.mp4", -0.5 * hum(1.0))
    assert np.array_equal(read_frames(path), read_frames(tmp_path / "new.mp4"))
    old, new = read_audio(path), read_audio(tmp_path / "new.mp4")
    n = min(len(old), len(new))
    assert np.corrcoef(old[:n], new[:n])[0, 1] < -0.95


def test_the_same_bytes_twice(tmp_path):
    frames, samples = face_frames(25, 96, 96, 0.375), hum(1.0)
    for k in range(5):
        write_video(tmp_path / f"{k}.mp4", frames, audio=samples)
    assert len({(tmp_path / f"{k}.mp4").read_bytes() for k in range(5)}) == 1
