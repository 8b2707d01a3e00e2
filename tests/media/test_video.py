"""Codecs: round trips, time stamps, rotation, damage."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.media.audio import read_audio, write_wav
from eadbench.media.video import VideoWriter, iter_frames, probe, read_frames, replace_audio, write_video


def grey(level, size=(64, 96)):
    return np.full((*size, 3), level, np.uint8)


def levels(frames):
    return frames.reshape(len(frames), -1).mean(1)


def test_round_trip_keeps_frames_audio_and_tags(tmp_path):
    path = tmp_path / "a b é.mp4"
    samples = (0.4 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)).astype(np.float32)
    write_video(path, [grey(4 * k) for k in range(50)], 25, audio=samples, metadata={"comment": "synthetic"})
    info = probe(path)
    assert (info.width, info.height, info.fps, info.sample_rate, info.codec) == (96, 64, 25.0, 16000, "h264")
    assert np.abs(levels(read_frames(path)) - 4 * np.arange(50)).max() < 2
    got = read_audio(path)
    assert np.corrcoef(got[2000:30000], samples[2000:30000])[0, 1] > 0.98, "the audio is shifted"
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == "synthetic"


def test_same_frames_same_bytes(tmp_path):
    for name in "ab":
        write_video(
            tmp_path / f"{name}.mp4", [grey(9 * k) for k in range(9)], 25, audio=np.zeros(6000, np.float32)
        )
    assert sha256_of(tmp_path / "a.mp4") == sha256_of(tmp_path / "b.mp4")


@pytest.mark.parametrize("fps", [30, 24, Fraction(30000, 1001), 12, 60])
def test_resampling_keeps_time(tmp_path, fps):
    count = int(2 * fps)
    write_video(tmp_path / "v.mp4", [grey(int(250 * k / count)) for k in range(count)], fps)
    times, images = zip(*iter_frames(tmp_path / "v.mp4", fps=25), strict=True)
    assert abs(len(images) - 25 * count / fps) <= 1
    lag = np.arange(len(times)) / 25 - np.array(times)
    assert lag.min() > -0.02 - 1e-6, "a frame comes more than half an interval before its time"
    assert lag.max() < max(1 / fps - 0.02, 0.02) + 1e-6


def test_variable_rate_is_resampled_by_time_stamps(tmp_path):
    path = tmp_path / "vfr.mp4"
    stamps = [0, 40, 80, 400, 440, 1000]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(grey(40 * number), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    images = read_frames(path, 25)
    shown = np.round(levels(images) / 40).astype(int)
    expected = np.searchsorted(stamps, 40 * np.arange(len(shown)), "right") - 1
    assert (shown == expected).all()


def test_start_and_end_cut_by_time(tmp_path):
    write_video(tmp_path / "v.mp4", [grey(2 * k) for k in range(100)], 25)
    times = [t for t, _ in iter_frames(tmp_path / "v.mp4", start=1.0, end=2.0)]
    assert times[0] == pytest.approx(1.0)
    assert len(times) == 25


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "v.mp4") as writer:
        writer.add(grey(0))
        raise RuntimeError
    with pytest.raises(EadbenchError, match="no frame"), VideoWriter(tmp_path / "v.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_damage_is_an_error_that_names_the_file(tmp_path):
    whole, cut, text = tmp_path / "v.mp4", tmp_path / "cut.mp4", tmp_path / "text.mp4"
    write_video(
        whole, [np.random.default_rng(k).integers(0, 255, (64, 96, 3), np.uint8) for k in range(50)], 25
    )
    cut.write_bytes(whole.read_bytes()[:20000])
    text.write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    notes = []
    assert 0 < len(read_frames(cut, notes=notes)) < 50
    assert "its header says 2.00 s: is the file truncated?" in notes[-1]
    for path in (text, tmp_path / "empty.mp4", tmp_path / "none.mp4"):
        with pytest.raises(EadbenchError, match="opened"):
            probe(path)
    write_wav(tmp_path / "s.wav", np.zeros(1000, np.float32))
    with pytest.raises(EadbenchError, match="no video"):
        read_frames(tmp_path / "s.wav")
    with pytest.raises(EadbenchError, match="no audio"):
        read_audio(whole)


@pytest.mark.parametrize("name", ["10:30 call.mp4", "file:v.mp4", "concat:a|b.mp4", "v%03d.mp4", "-v.mp4"])
def test_a_name_is_a_name_whatever_ffmpeg_makes_of_it(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(name, [grey(80)] * 10, audio=np.zeros(6400, np.float32))
    assert (len(read_frames(name)), len(read_audio(name, end=0.4)), probe(name).width) == (10, 6400, 96)
    replace_audio(name, f"new {name}", np.zeros(6400, np.float32))
    assert {path.name for path in tmp_path.iterdir()} == {name, f"new {name}"}


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_squeezed_pixels_in_bt709_keep_their_colours(full_range, tmp_path):
    """A filter that is not told matrix and range converts to BT.601, and the tags that
    are put back afterwards are wrong.
    """
    colours = np.array([(200, 120, 90), (60, 140, 60), (40, 60, 160), (255, 255, 255), (0, 0, 0)])
    image = np.repeat(np.repeat(colours[None].astype(np.uint8), 64, 0), 64, 1)
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 320, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        context, kind = stream.codec_context, ColorRange.JPEG if full_range else ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = kind
        for k in range(3):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=kind)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    notes = []
    (_, first), *_ = iter_frames(tmp_path / "v.mp4", notes=notes)
    assert first.shape == (64, 426, 3) and "squeezed" in notes[0]
    shown = first[32, [int((k + 0.5) * 426 / 5) for k in range(5)]].astype(int)
    assert np.abs(shown - colours).max() <= 4, shown
