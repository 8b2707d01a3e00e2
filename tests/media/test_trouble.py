"""Files as people have them: holes, jumps, cancelled channels, stretches of recordings
without index, starts between key frames.
"""

from fractions import Fraction

import av
import numpy as np
import pytest
from material import face_frames, hum

from eadbench.core.errors import EadbenchError
from eadbench.media.audio import RATE, read_audio
from eadbench.media.reading import decode
from eadbench.media.video import (
    VideoWriter,
    iter_decoded_frames,
    iter_frames,
    probe,
    read_frames,
    replace_audio,
    write_video,
)

FRAMES = 75
# frame k is grey 16 + 3 k
PATTERNS = np.stack([np.full((64, 96, 3), 16 + 3 * k, np.uint8) for k in range(FRAMES)])
B_FRAMES = {"crf": "4", "bf": "2", "b-adapt": "0", "g": "12", "x264-params": "scenecut=0:threads=1"}


def which(frames: np.ndarray) -> list[int]:
    """The numbers of patterns that frames show."""
    return [round((frame.mean() - 16) / 3) for frame in frames]


def write(
    path,
    frames=PATTERNS,
    codec="libx264",
    options=None,
    stamps=None,
    sound=None,
    sound_codec="aac",
    rate=25,
    **kind,
):
    """A video whose frame k is due at ``stamps[k]`` seconds, and blocks of audio
    ``(seconds, samples)``, each channel a row.
    """
    unit = Fraction(1, 90000)
    with av.open(str(path), "w", **kind) as container:
        video = container.add_stream(codec, rate=rate, options=options or {"crf": "4", "bf": "0"})
        video.height, video.width, video.pix_fmt = *frames[0].shape[:2], "yuv420p"
        if stamps is not None:
            video.codec_context.time_base = Fraction(1, 1000) if "mkv" in str(path) else unit
        audio = None
        if sound:
            layout = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}[len(sound[0][1])]
            audio = container.add_stream(sound_codec, rate=RATE, layout=layout)
        for k, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = (
                    round(stamps[k] / video.codec_context.time_base),
                    video.codec_context.time_base,
                )
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for seconds, samples in sound or []:
            sample = audio.codec_context.format.name
            scaled = (
                np.round(samples * 32767).astype("<i2") if sample == "s16" else samples.astype(np.float32)
            )
            packed = scaled.T.reshape(1, -1) if audio.codec_context.format.is_packed else scaled
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format=sample, layout=layout)
            block.sample_rate, block.pts, block.time_base = RATE, round(seconds * RATE), Fraction(1, RATE)
            container.mux(audio.encode(block))
        if audio:
            container.mux(audio.encode())
    return path


def blocks(samples: np.ndarray, size: int = 640):
    """Cut ``(channels, n)`` into the blocks that :func:`write` takes, due one after the
    other.
    """
    samples = np.atleast_2d(samples)
    return [(first / RATE, samples[:, first : first + size]) for first in range(0, samples.shape[1], size)]


# Order and time of frames


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_b_frames_in_avi_come_in_order_and_on_time(tmp_path, codec):
    options = B_FRAMES if codec == "libx264" else {"bf": "2", "qmin": "1", "qmax": "2"}
    path = write(tmp_path / "v.avi", codec=codec, options=options)
    for fps in (None, 25):
        assert which(read_frames(path, fps)) == list(range(FRAMES))
    assert [round(time * 25) for time, _ in iter_frames(path)] == list(range(FRAMES))


@pytest.mark.parametrize(
    "spoil", [lambda t: t + 0.001, lambda t: abs(t + 0.003 * np.sin(1e5 * t)), lambda t: t + 0.333]
)
def test_late_and_jittering_stamps_change_no_frame(tmp_path, spoil):
    path = write(tmp_path / "v.mkv", stamps=[spoil(k / 25) for k in range(FRAMES)])
    assert which(read_frames(path, 25)) == list(range(FRAMES))


def test_a_pause_of_some_seconds_is_kept_and_a_jump_of_hours_is_an_error(tmp_path):
    pause = write(tmp_path / "pause.mp4", PATTERNS[:20], stamps=[k / 25 + 5 * (k > 9) for k in range(20)])
    assert which(read_frames(pause, 25)) == [*range(9), *[9] * 126, *range(10, 20)]
    jump = write(tmp_path / "jump.mp4", PATTERNS[:20], stamps=[k / 25 + 7200 * (k > 9) for k in range(20)])
    with pytest.raises(EadbenchError, match="time stamps of the video jump by 7200 s after frame 9"):
        read_frames(jump, 25)
    assert len(read_frames(jump)) == 20
    with pytest.raises(EadbenchError, match="time stamps of the video jump"):
        list(iter_decoded_frames(jump, end=8000, fps=25))
    assert which(np.stack([image for _, image in iter_frames(jump, end=0.8, fps=25)])) == [
        *range(10),
        *[9] * 10,
    ]


def test_a_start_between_two_key_frames_is_filled_and_noted(tmp_path):
    whole = write(tmp_path / "whole.mkv", options=B_FRAMES | {"bf": "0"}, sound=blocks(hum(3.0)))
    with av.open(str(whole)) as old, av.open(str(tmp_path / "cut.mkv"), "w") as new:
        tracks = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            # frame 4, key frames 0 and 12
            if packet.pts is not None and packet.pts * packet.time_base >= Fraction(160, 1000):
                packet.stream = tracks[packet.stream.index]
                new.mux(packet)
    notes = []
    assert which(read_frames(tmp_path / "cut.mkv", 25, notes=notes)) == [*[12] * 8, *range(12, FRAMES)]
    assert notes == ["the first 0.32 s have no frame: the first one stands there"]
    assert (
        np.abs(read_audio(tmp_path / "cut.mkv")[2000:40000] - read_audio(whole)[2000 + 2560 : 42560]).max()
        < 0.01
    )


def test_transport_streams_joined_byte_by_byte_go_on(tmp_path):
    for name, frames, tone in (("a", PATTERNS[:50], hum(2.0)), ("b", PATTERNS[50:], -hum(1.0))):
        write(tmp_path / f"{name}.ts", frames, options=B_FRAMES, sound=blocks(tone), sound_codec="mp2")
    (tmp_path / "ab.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert which(read_frames(tmp_path / "ab.ts", 25)) == list(range(FRAMES))
    for first in range(0, FRAMES - 8, 5):
        pictures = iter_decoded_frames(tmp_path / "ab.ts", first / 25, (first + 7) / 25, fps=25)
        assert which([frame.rgb() for frame in pictures]) == list(range(first, first + 7))
    second, whole = read_audio(tmp_path / "b.ts"), read_audio(tmp_path / "ab.ts")
    assert np.abs(read_audio(tmp_path / "ab.ts", start=2.3, end=2.6) - whole[36800:41600]).max() < 0.01
    part = second[4000:14000]
    shifts = {s: np.abs(whole[36000 + s : 46000 + s] - part).max() for s in range(-800, 801)}
    assert min(shifts.values()) < 0.02 and abs(min(shifts, key=shifts.get)) < 0.04 * RATE, (
        "video and audio parted"
    )


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [("ts", "libx264", B_FRAMES), ("mpg", "mpeg2video", {"bf": "2", "qmax": "2"})],
)
def test_stretches_behind_a_joint_are_those_of_the_whole(tmp_path, suffix, codec, options):
    sweep = (0.4 * np.sin(np.cumsum(0.1 + 0.1 * np.arange(48000) / 48000))).astype(np.float32)
    data = b""
    for first, last in ((0, 50), (50, 60), (60, 75)):
        part, sound = tmp_path / f"{first}.{suffix}", blocks(sweep[first * 640 : last * 640])
        data += write(part, PATTERNS[first:last], codec, options, sound=sound, sound_codec="mp2").read_bytes()
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(data)
    whole = read_audio(path)
    for first in range(2, FRAMES - 8, 6):
        start = first / 25
        frames = iter_decoded_frames(path, start, start + 0.2, fps=25)
        assert which([frame.rgb() for frame in frames]) == list(range(first, first + 5))
        part, offset = read_audio(path, start=start, end=start + 0.2), first * 640
        assert len(part) == 3200
        assert (
            min(np.abs(part - whole[offset + s : offset + s + 3200]).max() for s in range(-16, 17)) < 0.01
        ), first


def test_a_joint_at_which_the_audio_begins_first_is_no_damage(tmp_path):
    first = write(
        tmp_path / "a.ts", PATTERNS[:50], options=B_FRAMES, sound=blocks(hum(2.0)), sound_codec="mp2"
    )
    late = [0.4 + k / 25 for k in range(25)]
    second = write(
        tmp_path / "b.ts",
        PATTERNS[50:],
        options=B_FRAMES,
        stamps=late,
        sound=blocks(hum(1.4)),
        sound_codec="mp2",
    )
    path, notes = tmp_path / "ab.ts", []
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames = which(read_frames(path, 25, notes=notes))
    assert sorted(set(frames)) == list(range(FRAMES)) and frames == sorted(frames)
    assert abs(len(frames) - 85) <= 1
    assert len(notes) == 1 and notes[0].startswith("no video from 2.0"), notes
    assert abs(len(read_audio(path)) / RATE - 3.4) < 0.1


# Damage


def grainy(seconds=3):
    """Noise, so that every frame takes many bytes."""
    return np.random.default_rng(0).integers(0, 255, (25 * seconds, 64, 96, 3)).astype(np.uint8)


def test_damage_in_the_middle_is_noted_with_its_place(tmp_path):
    path = write(
        tmp_path / "v.ts",
        grainy(),
        options={"crf": "20", "g": "10"},
        sound=blocks(hum(3.0)),
        sound_codec="mp2",
    )
    data = path.read_bytes()
    offset = len(data) // 2 // 188 * 188
    path.write_bytes(data[:offset] + data[offset + 188 * 20 :])
    notes = []
    assert len(read_frames(path, 25, notes=notes)) == FRAMES
    assert any("the video is damaged at 1." in note for note in notes), notes


def test_audio_that_is_cut_off_within_a_packet_is_read_up_to_there(tmp_path):
    path = write(tmp_path / "v.mp4", sound=blocks(hum(3.0)), container_options={"movflags": "faststart"})
    with av.open(str(path)) as container:
        sizes = [
            (p.pos, p.size) for p in container.demux(audio=0) if p.pts is not None and p.pts * p.time_base > 1
        ]
    path.write_bytes(path.read_bytes()[: sizes[0][0] + sizes[0][1] // 2])
    notes = []
    assert 0.9 * RATE < len(read_audio(path, notes=notes)) < 1.2 * RATE
    assert notes[-1].startswith("the audio ends at ") and notes[-1].endswith("is the file truncated?")


def test_a_hole_is_noted_with_its_place(tmp_path):
    path = write(
        tmp_path / "v.ts",
        stamps=[k / 25 + (k > 30) for k in range(FRAMES)],
        sound=blocks(hum(4.0)),
        sound_codec="mp2",
    )
    notes = []
    assert len(read_frames(path, 25, notes=notes)) == FRAMES + 25
    assert notes == ["no video from 1.24 to 2.24 s: the frame before it stands there"]
    assert read_frames(path, 25, limit=30, notes=(early := [])).shape[0] == 30
    assert early == [], "noted where nobody looked"


@pytest.mark.parametrize(("name", "codec"), [("v.mp4", "mpeg4"), ("v.mkv", "libx264"), ("v.flv", "flv1")])
def test_a_file_that_ends_before_its_header_says_is_noted(tmp_path, name, codec):
    options = {"g": "1", "qmin": "1", "qmax": "2"} if codec != "libx264" else B_FRAMES
    path = write(
        tmp_path / name,
        grainy(),
        codec,
        options,
        container_options={"movflags": "faststart"} if "mp4" in name else {},
    )
    assert read_frames(path, 25, notes=(whole := [])).shape[0] == FRAMES
    assert whole == []
    with av.open(str(path)) as container:
        end = next(p.pos for p in container.demux() if p.pts is not None and p.pts * p.time_base > 2)
    path.write_bytes(path.read_bytes()[: end - 30])
    notes = []
    count = len(read_frames(path, 25, notes=notes))
    assert 48 <= count <= 55
    assert any(note.endswith("its header says 3.00 s: is the file truncated?") for note in notes), notes


@pytest.mark.parametrize("name", ["v.flv", "v.mkv", "v.mp4", "v.mov"])
def test_a_late_start_is_no_loss_at_the_end(tmp_path, name):
    late = [0.8 + k / 25 for k in range(FRAMES)]
    path, notes = write(tmp_path / name, options=B_FRAMES, stamps=late, sound=blocks(hum(3.8))), []
    assert which(read_frames(path, 25, notes=notes)) == list(range(FRAMES))
    read_audio(path, notes=notes)
    assert notes == []


# Stretches

OPEN = B_FRAMES | {"x264-params": "open-gop=1:scenecut=0:threads=1"}
MPEG2 = {"bf": "2", "g": "9", "qmax": "2"}
CONTAINERS = {
    **dict.fromkeys(("mp4", "mkv", "avi", "ts", "flv"), ("libx264", B_FRAMES)),
    "webm": ("libvpx-vp9", {"deadline": "realtime", "g": "12"}),
    "mpg": ("mpeg2video", MPEG2),
    "mpeg2.ts": ("mpeg2video", MPEG2),
    "open.mkv": ("libx264", OPEN),
    "open.ts": ("libx264", OPEN),
    "far.ts": ("libx264", B_FRAMES | {"g": "300"}),
    "open.avi": ("libx264", OPEN),
    "mpeg4.avi": ("mpeg4", {"bf": "2", "g": "12", "qmin": "1", "qmax": "2"}),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_stretches_are_slices_of_the_whole(tmp_path, name):
    codec, options = CONTAINERS[name]
    grain = np.random.default_rng(0).integers(-12, 13, (64, 96, 1))
    path = write(
        tmp_path / f"v.{name}", np.clip(PATTERNS.astype(int) + grain, 0, 255).astype(np.uint8), codec, options
    )
    whole = read_frames(path)
    assert which(whole) == list(range(FRAMES))
    for first in range(0, FRAMES - 12, 3):
        start, end = first / 25, (first + 7) / 25
        part = list(iter_decoded_frames(path, start, end))
        assert [p.number for p in part] == list(range(first, first + 7)), first
        assert np.array_equal(np.stack([p.rgb() for p in part]), whole[first : first + 7])
        again = np.stack([p.rgb() for p in iter_decoded_frames(path, start, end, fps=25)])
        assert np.array_equal(again, whole[first : first + 7])
    assert which([p.rgb() for p in iter_decoded_frames(path, 1.7, 1.9, fps=25)]) == [42, 43, 44, 45, 46], (
        "nearest, half an interval up"
    )
    assert which([p.rgb() for p in iter_decoded_frames(path, 2.9, 9.0, fps=25)]) == [72, 73, 74]
    assert list(iter_decoded_frames(path, 30.0, 31.0)) == []


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("v.h264", "libx264", B_FRAMES),
        ("v.m2v", "mpeg2video", MPEG2),
        ("v.m4v", "mpeg4", {"qmin": "1", "qmax": "2"}),
    ],
)
def test_raw_streams_begin_with_their_first_frame_and_are_read_in_stretches(tmp_path, name, codec, options):
    path = write(
        tmp_path / name, codec=codec, options=options, format=name[2:] if "m2v" not in name else None
    )
    notes = []
    assert which(read_frames(path, 25, notes=notes)) == list(range(FRAMES))
    assert notes == []
    for first in (1, 20, 50):
        part = list(iter_decoded_frames(path, first / 25, (first + 7) / 25, fps=25))
        assert which([frame.rgb() for frame in part]) == list(range(first, first + 7))


def test_a_stretch_of_audio_is_of_audio_to_its_last_sample(tmp_path):
    tone = (0.4 * np.sin(0.9 * np.arange(48000))).astype(np.float32)
    path = write(tmp_path / "v.mkv", sound=blocks(tone, 641), sound_codec="pcm_s16le")
    for rate in (RATE, 22050, 48000):
        whole = read_audio(path, rate)
        for start in (0.3, 1.0, 1.5):
            part, offset = read_audio(path, rate, start, start + 0.2), round(start * rate)
            assert len(part) == round(0.2 * rate)
            shifted = [
                np.abs(part - whole[offset + s : offset + s + len(part)]).max() for s in range(-24, 25)
            ]
            assert min(shifted) < 0.05, (rate, start)


def test_a_place_in_the_audio_of_matroska_is_found_by_its_video(tmp_path):
    path = write(tmp_path / "v.mkv", options=B_FRAMES, sound=blocks(hum(3.0)))
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        first = next(decode(container, stream, 2.5))
        assert first.time <= 2.5
        assert next(container.demux(stream)).pts * stream.time_base > 1.5, "read from the beginning"


def test_an_end_that_is_a_sum_is_no_later_than_the_frame_there(tmp_path):
    path = write(tmp_path / "v.mp4")
    assert 1.1 + 0.3 > 1.4
    assert which([p.rgb() for p in iter_decoded_frames(path, 1.1, 1.1 + 0.3)]) == list(range(28, 35))


@pytest.mark.parametrize("name", ["v.ts", "v.mpg"])
def test_stretches_of_a_recording_whose_clock_wraps_around(tmp_path, name):
    """33 bits of 90 kHz: every 26.5 hours; FFmpeg dates what is before as negative."""
    codec, options = CONTAINERS[name[2:]]
    wrap = {"container_options": {"output_ts_offset": str(2**33 / 90000 - 1.1)}}
    path = write(tmp_path / name, PATTERNS[:30], codec, options, **wrap)
    assert which(read_frames(path, 25)) == list(range(30))
    for first in range(1, 24, 3):
        part = iter_decoded_frames(path, first / 25, (first + 5) / 25, fps=25)
        assert which([frame.rgb() for frame in part]) == list(range(first, first + 5))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi"])
def test_stretches_of_audio_are_slices_of_the_whole(tmp_path, name):
    samples = (0.4 * np.sin(np.cumsum(0.1 + 0.1 * np.arange(48000) / 48000))).astype(np.float32)
    path = write(tmp_path / name, options=B_FRAMES, sound=blocks(samples))
    whole = read_audio(path)
    for start in (0.3, 1.0, 1.51234, 2.5):
        part = read_audio(path, start=start, end=start + 0.4)
        offset = round(start * RATE)
        assert len(part) == 6400
        shifts = {s: np.abs(part - whole[offset + s : offset + s + 6400]).max() for s in range(-16, 17)}
        best = min(shifts, key=shifts.get)
        assert shifts[best] < 0.01, "to the last sample"
        assert abs(best) <= (0 if name == "v.mp4" else 16), (
            "stamps of this format are rounded to a millisecond at worst"
        )


# Holes and changes of the audio


@pytest.mark.parametrize("hole", [0.02, 0.08, 0.4, 12.0])
def test_holes_are_filled_with_silence(tmp_path, hole):
    n, offset = round(hole * RATE), 640 * 20
    samples = hum(3.0)
    cut = [(t if t < offset / RATE else t + hole, block) for t, block in blocks(samples, 320)]
    path = write(tmp_path / "v.mkv", sound=cut, sound_codec="pcm_s16le")
    meant = np.concatenate([samples[:offset], np.zeros(n, np.float32), samples[offset:]])
    got = read_audio(path)
    assert len(got) == len(meant)
    assert np.abs(got - meant).max() < 2 / 32768


def test_overlaps_are_dropped_and_jitter_is_left_alone(tmp_path):
    samples = hum(3.0)
    jitter = [(max(0, t + 0.005 * np.sin(1e5 * t)), block) for t, block in blocks(samples)]
    got = read_audio(write(tmp_path / "jitter.mkv", sound=jitter, sound_codec="pcm_s16le"))
    assert np.abs(got[: len(samples)] - samples[: len(got)]).max() < 2 / 32768
    overlap = [(t if t < 1 else max(t - 0.2, 1 + (t - 1) / 1000), block) for t, block in blocks(samples)]
    got = read_audio(write(tmp_path / "overlap.mkv", sound=overlap, sound_codec="pcm_s16le"))
    assert abs(len(got) - 2.8 * RATE) <= 640
    assert np.abs(got[20000:40000] - samples[23200:43200]).max() < 2 / 32768


def test_a_stretch_within_a_hole_is_silence(tmp_path):
    samples = hum(3.0)
    cut = [
        (0.3 + t + 0.4 * (t >= 1), block) for t, block in blocks(samples)
    ]  # nothing until 0.3, none from 1.3
    path = write(tmp_path / "v.mkv", sound=cut, sound_codec="pcm_s16le")
    whole = read_audio(path)
    for start, end in ((0.0, 0.2), (0.1, 0.3), (1.35, 1.55), (1.2, 1.5), (1.4, 1.6), (0.2, 0.5)):
        part = read_audio(path, start=start, end=end)
        meant = whole[round(start * RATE) : round(end * RATE)]
        assert len(part) == len(meant), (start, end)
        assert np.abs(part - meant).max() < 0.01
    assert len(read_audio(path, start=3.2, end=4.2)) == round(0.5 * RATE), "the audio ends at 3.7"


def test_audio_that_jumps_by_hours_is_an_error(tmp_path):
    jump = [(t if t < 1 else t + 7200, block) for t, block in blocks(hum(2.0))]
    path = write(tmp_path / "v.mkv", sound=jump, sound_codec="pcm_s16le")
    with pytest.raises(EadbenchError, match=r"time stamps of the audio jump by 7200 s at 1\.0 s"):
        read_audio(path)
    assert len(read_audio(path, end=3.0)) == RATE


def joined(path, *kinds):
    """A transport stream with one track of AAC, a second each of other rates and
    layouts.
    """
    with av.open(str(path), "w") as whole:
        track, end = None, Fraction(0)
        for k, (rate, channels) in enumerate(kinds):
            part = path.with_name(f"{k}.aac")
            with av.open(str(part), "w", format="adts") as container:
                stream = container.add_stream("aac", rate=rate, layout={1: "mono", 2: "stereo"}[channels])
                tone = np.tile(
                    0.4 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32), (channels, 1)
                )
                frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout=stream.layout.name)
                frame.sample_rate = rate
                container.mux(stream.encode(frame))
                container.mux(stream.encode())
            with av.open(str(part)) as container:
                track = track or whole.add_stream_from_template(container.streams.audio[0])
                for packet in container.demux():
                    if packet.size:
                        packet.pts = packet.dts = round(end * 90000)
                        packet.time_base, packet.stream = Fraction(1, 90000), track
                        whole.mux(packet)
                        end += Fraction(1024, rate)
    return path


@pytest.mark.parametrize(
    "kinds",
    [
        ((16000, 1), (16000, 2)),
        ((16000, 2), (16000, 1)),
        ((16000, 1), (44100, 1)),
        ((48000, 2), (16000, 1), (48000, 2)),
    ],
)
def test_audio_that_changes_its_kind_is_read_on(tmp_path, kinds):
    notes = []
    got = read_audio(joined(tmp_path / "a.ts", *kinds), notes=notes)
    assert abs(len(got) / RATE - len(kinds)) < 0.25
    for k in range(len(kinds)):
        middle = got[round((k + 0.4) * RATE) : round((k + 0.8) * RATE)]
        assert np.abs(middle).max() == pytest.approx(0.4, abs=0.03)
        assert np.abs(np.fft.rfft(middle)).argmax() / 0.4 == pytest.approx(300, abs=3)
    assert len(notes) == len(kinds) - 1 and "the audio changes at" in notes[0]


# Level and channels


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
@pytest.mark.parametrize("channels", [1, 2, 4, 6, 8])
def test_a_peak_stays(tmp_path, codec, channels):
    tone = 0.9 * np.sin(2 * np.pi * 250 * np.arange(32000) / RATE)
    path = write(tmp_path / "v.mkv", sound=blocks(np.tile(tone, (channels, 1))), sound_codec=codec)
    assert np.abs(read_audio(path)).max() == pytest.approx(0.9, abs=1e-3)


def test_where_channels_cancel_the_louder_one_is_taken(tmp_path):
    voice, notes = hum(2.0), []
    path = write(
        tmp_path / "v.mkv", sound=blocks(np.stack([0.8 * voice, -0.84 * voice])), sound_codec="pcm_s16le"
    )
    got = read_audio(path, notes=notes)
    assert np.abs(got + 0.84 * voice).max() < 1e-3
    assert notes == ["the channels of the audio cancel each other: channel 2 is taken alone"]
    other = []
    one_sided = write(
        tmp_path / "one.mkv", sound=blocks(np.stack([voice, 0 * voice])), sound_codec="pcm_s16le"
    )
    assert np.abs(read_audio(one_sided, notes=other) - voice / 2).max() < 1e-3
    assert other == []


# Pictures


def test_a_video_that_changes_its_size_is_scaled_to_the_first(tmp_path):
    with av.open(str(tmp_path / "raw.h264"), "w", format="h264") as container:
        for size in ((64, 96), (48, 64)):
            encoder = av.CodecContext.create("libx264", "w")
            encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = (
                *size,
                "yuv420p",
                Fraction(1, 25),
            )
            if not container.streams:
                stream = container.add_stream("libx264", rate=25)
                stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
                encoder = stream
            for k in range(5):
                container.mux(
                    encoder.encode(
                        av.VideoFrame.from_ndarray(np.full((*size, 3), 40 * k + 20, np.uint8), format="rgb24")
                    )
                )
            container.mux(encoder.encode())
    notes = []
    frames = read_frames(tmp_path / "raw.h264", 25, notes=notes)
    assert frames.shape[1:] == (64, 96, 3)
    assert np.abs(frames.mean((1, 2, 3)) - np.tile(40 * np.arange(5) + 20, 2)).max() < 3
    assert notes == ["the video changes to 64x48 yuv420p at 0.20 s: scaled to 96x64 yuv420p"]


def test_the_track_flagged_default_is_read(tmp_path):
    voice = hum(1.0)
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(3)]
        for k, track in enumerate(tracks):
            track.disposition = av.stream.Disposition.default if k == 1 else av.stream.Disposition(0)
        for offset in range(0, RATE, 640):
            for k, track in enumerate(tracks):
                block = np.round(voice[None, offset : offset + 640] * (k + 1) / 3 * 32767).astype("<i2")
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, offset
                container.mux(track.encode(frame))
    notes = []
    assert np.abs(read_audio(tmp_path / "v.mkv", notes=notes) - voice * 2 / 3).max() < 1e-3
    assert notes == ["3 audio tracks: number 2 is read, as ffmpeg chooses"]


# What is written


@pytest.mark.parametrize(("size", "matrix"), [((64, 96), 6), ((720, 1280), 1), ((1280, 720), 1)])
def test_files_say_how_their_colours_are_to_be_read(tmp_path, size, matrix):
    colours = np.array([[220, 30, 30], [30, 200, 40], [40, 60, 210], [128, 128, 128]], np.uint8)
    image = np.repeat(np.repeat(colours.reshape(2, 2, 3), size[0] // 2, 0), size[1] // 2, 1)
    write_video(tmp_path / "v.mp4", [image] * 3, crf=4)
    (decoded, *_) = iter_decoded_frames(tmp_path / "v.mp4")
    frame = decoded.frame
    assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (matrix, 1, 1, 1)
    corners = decoded.rgb()[8 :: size[0] // 2, 8 :: size[1] // 2].reshape(-1, 3)[[0, 1, 2, 3]].astype(int)
    assert np.abs(corners - colours).max() <= 3


def test_the_audio_of_an_mp4_is_replaced(tmp_path):
    late = [0.48 + k / 25 for k in range(FRAMES)]
    path = write(tmp_path / "v.mp4", options=B_FRAMES, stamps=late)
    replace_audio(path, tmp_path / "new.mp4", hum(3.0))
    assert np.array_equal(read_frames(tmp_path / "new.mp4"), read_frames(path))
    assert [round(25 * time) for time, _ in iter_frames(tmp_path / "new.mp4")] == list(range(FRAMES))
    assert np.abs(read_audio(tmp_path / "new.mp4")[2000:40000] - hum(3.0)[2000:40000]).max() < 0.1


@pytest.mark.parametrize("name", ["v.avi", "v.mkv"])
def test_the_audio_of_other_containers_is_not_replaced(tmp_path, name):
    path = write(tmp_path / name, options=B_FRAMES)
    with pytest.raises(EadbenchError, match="no mp4"):
        replace_audio(path, tmp_path / "new.mp4", hum(3.0))
    assert list(tmp_path.iterdir()) == [path]


def test_audio_lies_beside_its_video(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", audio=hum(40.0)) as writer:
        for frame in np.repeat(face_frames(20, 64, 64, 0.25), 50, 0):
            writer.add(frame)
    size = (tmp_path / "v.mp4").stat().st_size
    with av.open(str(tmp_path / "v.mp4")) as container:
        places = [
            (packet.stream.type, packet.pos / size, float(packet.pts * packet.time_base))
            for packet in container.demux()
            if packet.size
        ]
    audio = [(offset, time) for kind, offset, time in places if kind == "audio"]
    video = [(offset, time) for kind, offset, time in places if kind == "video"]
    assert audio[0][0] - video[0][0] < 0.05
    for offset, time in audio[:: len(audio) // 20]:
        nearest = min(video, key=lambda p: abs(p[0] - offset))
        assert abs(nearest[1] - time) < 1.5, "a second of video away"


def test_another_size_and_odd_sides_are_refused(tmp_path):
    with (
        pytest.raises(EadbenchError, match="frame 1 is 64x64, the first one is 96x64"),
        VideoWriter(tmp_path / "v.mp4") as writer,
    ):
        writer.add(np.zeros((64, 96, 3), np.uint8))
        writer.add(np.zeros((64, 64, 3), np.uint8))
    with (
        pytest.raises(EadbenchError, match="95x64 cannot be written"),
        VideoWriter(tmp_path / "v.mp4") as writer,
    ):
        writer.add(np.zeros((64, 95, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_probe_tells_the_size_as_shown(tmp_path):
    write(tmp_path / "v.mkv", options={"crf": "4", "bf": "0", "aspect": "2"})
    assert (probe(tmp_path / "v.mkv").width, probe(tmp_path / "v.mkv").height) == (192, 64)
