"""Files of many kinds, read by the layer and by ffmpeg's command line: the same frames,
the same samples.

Frames are compared in the file's own pixel format, so that no conversion to RGB blurs a
difference.
"""

import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from eadbench.media.audio import HOLE, read_audio
from eadbench.media.video import iter_decoded_frames

pytestmark = pytest.mark.skipif(
    not shutil.which("ffmpeg"), reason="ffmpeg's command line is not installed (apt-get install ffmpeg)"
)

FPS = 25
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p")
B_FRAMES = (*X264, "-bf", "2", "-b_strategy", "0", "-g", "12")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "9")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "3")
X265 = (
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:frame-threads=1:pools=1",
    "-crf",
    "14",
)
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "400k")
AAC, OPUS, PCM = ("-c:a", "aac"), ("-c:a", "libopus", "-ar", "48000"), ("-c:a", "pcm_s16le")
COUNTED = "setpts=round(N/FR/TB)"  # without, FFmpeg cuts off, and some stamps are the same
HIGH = 4  # grey levels by which two versions of FFmpeg's scaler may differ


@dataclass(frozen=True)
class Case:
    """How to make a file and what else ffmpeg has to be told to read it as the layer
    does.

    Attributes:
        name: Its name, with suffix.
        options: Of ffmpeg, behind its two inputs, a video and its audio.
        rate, size, seconds: Of the video.
        sound: Source filter of the audio.
        before: Options in front of the first input.
        change: Filters of ffmpeg that the layer applies of itself.
        stamps: The one that dates the frames before they are resampled, zero being
            where the video starts. ``None``: resampled frames are compared with
            ffmpeg's own ones, since it dates AVI's B-frames by guesses and begins anew
            at a change of size.
        shown: Size of the video as shown, if it is another.
        tolerance: Grey levels.
        notes: Parts of the notes expected, in order.
        edit: Called with the path to spoil the file.
    """

    name: str
    options: tuple[str, ...] = ()
    rate: str = "25"
    size: str = "96x64"
    seconds: float = 1.2
    sound: str = "aevalsrc=0.5*sin(2*PI*t*(200+150*t)):s=16000"
    before: tuple[str, ...] = ()
    change: str = ""
    stamps: str | None = "setpts=PTS-STARTPTS"
    shown: str = ""
    tolerance: int = 0
    notes: tuple[str, ...] = ()
    edit: object = None


def ffmpeg(*options: object) -> bytes:
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-nostdin", *map(str, options)], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def several(*channels: str) -> str:
    """Channels as different tones."""
    return "aevalsrc=" + "|".join(f"0.5*sin(2*PI*t*{c})" for c in channels) + ":s=48000"


def matrix(*values: float):
    """Writes a display matrix ``a b c d`` of MPEG-4."""

    def edit(path: Path) -> None:
        data = bytearray(path.read_bytes())
        offset = data.index(b"tkhd") + 44
        a, b, c, d = (round(v * 65536) for v in values)
        data[offset : offset + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(data)

    return edit


def made_of(*parts: tuple[str, tuple[str, ...]], suffix: str, sound: bool = False):
    """Joins raw streams, each made with other options, and wraps them up."""

    def edit(path: Path) -> None:
        joined = path.with_suffix(suffix)
        data = b""
        for k, (source, options) in enumerate(parts):
            part = path.with_name(f"part{k}{suffix}")
            ffmpeg("-f", "lavfi", "-i", source, *options, part)
            data += part.read_bytes()
        joined.write_bytes(data)
        whole = path.with_name(f"whole{path.suffix}")
        ffmpeg(
            "-i",
            path,
            "-i",
            joined,
            "-map",
            "0:v" if sound else "1:v",
            "-map",
            "1:a" if sound else "0:a",
            "-c",
            "copy",
            whole,
        )
        whole.replace(path)

    return edit


def remuxed(*options: str, before: tuple[str, ...] = ()):
    """Copies the streams once more with other options."""

    def edit(path: Path) -> None:
        other = path.with_name(f"other{path.suffix}")
        ffmpeg(*before, "-i", path, "-c", "copy", *options, other)
        other.replace(path)

    return edit


def stamped(kind: str, change):
    """Moves the time stamps in seconds of the packets of a track, ``change(seconds)``;
    ``None`` leaves a packet out.
    """

    def edit(path: Path) -> None:
        other = path.with_name(f"other{path.suffix}")
        with av.open(str(path)) as old, av.open(str(other), "w") as new:
            tracks = {s.index: new.add_stream_from_template(s) for s in old.streams}
            for packet in old.demux():
                if packet.dts is None and packet.pts is None:
                    continue
                if packet.stream.type == kind:
                    moved = change(float(packet.pts * packet.time_base))
                    if moved is None:
                        continue
                    packet.pts = packet.dts = round(moved / packet.time_base)
                packet.stream = tracks[packet.stream.index]
                new.mux(packet)
        other.replace(path)

    return edit


C = Case
CASES = [
    # Containers and codecs
    C("h264.mp4", (*X264, "-bf", "0", *AAC)),
    C("h264_b.mp4", (*B_FRAMES, *AAC)),
    C("h264_b_no_edit_list.mp4", (*B_FRAMES, *AAC, "-use_editlist", "0")),
    C("h264_fragmented.mp4", (*B_FRAMES, *AAC, "-movflags", "frag_keyframe+empty_moov")),
    C("hevc.mp4", (*X265, *AAC)),
    C("hevc_10_bit.mkv", (*X265, "-pix_fmt", "yuv420p10le", "-c:a", "flac")),
    C("mpeg4_b.mp4", (*MPEG4, "-bf", "2", "-c:a", "libmp3lame")),
    C("mjpeg.mov", ("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", *PCM)),
    C("prores.mov", ("-c:v", "prores_ks", "-c:a", "pcm_s24le")),
    C("prores_4444.mov", ("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le", *PCM)),
    C("animation.mov", ("-c:v", "qtrle", "-c:a", "alac")),
    C("png.mov", ("-c:v", "png", *PCM)),
    C("h264_b.mkv", (*B_FRAMES, *AAC)),
    C("ffv1.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv422p", "-c:a", "flac")),
    C("huffyuv.mkv", ("-c:v", "ffvhuff", "-pix_fmt", "yuv420p", "-c:a", "pcm_f32le")),
    C("mpeg2_b.mkv", (*MPEG2, "-c:a", "ac3", "-ar", "48000")),
    C("h264_rgb.mkv", ("-c:v", "libx264rgb", "-preset", "ultrafast", "-crf", "0", "-c:a", "libvorbis")),
    C(
        "vp8.webm",
        (
            "-c:v",
            "libvpx",
            "-deadline",
            "realtime",
            "-b:v",
            "400k",
            "-auto-alt-ref",
            "1",
            "-c:a",
            "libvorbis",
        ),
    ),
    C("vp9.webm", (*VP9, *OPUS)),
    C("h264_b.avi", (*B_FRAMES, *PCM), stamps=None),
    C("xvid_b.avi", (*MPEG4, "-bf", "2", "-vtag", "XVID", "-c:a", "libmp3lame"), stamps=None),
    C("xvid.avi", (*MPEG4, "-vtag", "XVID", "-c:a", "ac3", "-ar", "48000")),
    C("mjpeg.avi", ("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", *PCM)),
    C("msmpeg4.avi", ("-c:v", "msmpeg4v2", "-q:v", "3", *PCM)),
    C("h264_b.ts", (*B_FRAMES, *AAC)),
    C("hevc.ts", (*X265, "-c:a", "mp2", "-ar", "48000")),
    C("mpeg2_b.ts", (*MPEG2, "-c:a", "mp2", "-ar", "48000")),
    C("h264_b.m2ts", (*B_FRAMES, "-c:a", "ac3", "-ar", "48000")),
    C("mpeg2_b.mpg", (*MPEG2, "-c:a", "mp2", "-ar", "48000")),
    C("mpeg1.mpg", ("-c:v", "mpeg1video", "-q:v", "3", "-bf", "2", "-c:a", "mp2", "-ar", "44100")),
    C("mpeg2_b.vob", (*MPEG2, "-c:a", "ac3", "-ar", "48000")),
    C("sorenson.flv", ("-c:v", "flv1", "-q:v", "3", "-c:a", "adpcm_swf", "-ar", "22050")),
    C("h264_b.flv", (*B_FRAMES, *AAC)),
    C("wmv2.wmv", ("-c:v", "wmv2", "-q:v", "3", "-c:a", "wmav2", "-ar", "44100")),
    C(
        "h263.3gp",
        ("-c:v", "h263", "-vf", "scale=176:144,setsar=1", "-c:a", "aac", "-ar", "8000"),
        shown="176x144",
    ),
    C("mpeg2.mxf", (*MPEG2, "-bf", "0", "-c:a", "pcm_s16le", "-ar", "48000")),
    C("theora.ogv", ("-c:v", "libtheora", "-q:v", "8", "-c:a", "libvorbis")),
    C("animated.gif", ("-an",)),
    C("animated_slow.gif", ("-an",), rate="10"),
    C("raw.h264", (*X264, "-bf", "0", "-an")),
    C("raw_b.m2v", (*MPEG2, "-an"), stamps=COUNTED),
    C(
        "dv.dv",
        ("-vf", "scale=720:576,setsar=1", "-target", "pal-dv"),
        shown="768x576",
        change="scale=768:576",
        tolerance=HIGH,
        notes=("aspect ratio 16/15", "interlaced"),
    ),
    # Frame rates
    *[
        C(f"{rate.replace('/', '_')}.mp4", (*B_FRAMES, *AAC), rate=rate, seconds=2)
        for rate in ("24000/1001", "30000/1001", "30", "50", "60", "12.5", "24")
    ],
    *[
        C(f"{rate.replace('/', '_')}.mkv", (*B_FRAMES, *AAC), rate=rate, seconds=2)
        for rate in ("24000/1001", "30000/1001", "30")
    ],
    C("30_b.avi", (*B_FRAMES, *PCM), rate="30", stamps=COUNTED),
    C("29.97_b.avi", (*B_FRAMES, *PCM), rate="30000/1001", stamps=COUNTED),
    C("30.ts", (*B_FRAMES, *AAC), rate="30"),
    C("29.97.mpg", (*MPEG2, "-c:a", "mp2", "-ar", "48000"), rate="30000/1001"),
    C("60.webm", (*VP9, *OPUS), rate="60"),
    # Time stamps
    C(
        "variable.mp4",
        ("-vf", "select=mod(n*n\\,5)", "-fps_mode", "vfr", *B_FRAMES, *AAC),
        rate="30",
        seconds=2,
    ),
    C(
        "variable.mkv",
        ("-vf", "select=mod(n*n*n\\,7)", "-fps_mode", "vfr", *X264, "-bf", "0", *AAC),
        rate="60",
    ),
    C("late_by_1_ms.mkv", (*X264, "-bf", "0", *AAC), edit=stamped("video", lambda t: t + 0.001)),
    C(
        "jitter_3_ms.mkv",
        (*X264, "-bf", "0", *AAC),
        edit=stamped("video", lambda t: max(0, t + 0.003 * np.sin(1e4 * t))),
    ),
    C("picture_late.mkv", (*B_FRAMES, *AAC), before=("-itsoffset", "0.2")),
    C("picture_late_30.mp4", (*B_FRAMES, *AAC), before=("-itsoffset", "0.21"), rate="30"),
    C(
        "long_pause.mp4",
        ("-vf", "select=lt(n\\,9)+gt(n\\,40)", "-fps_mode", "vfr", *X264, "-bf", "0", *AAC),
        seconds=2,
    ),
    C("cut_without_encoding.mp4", (*B_FRAMES, *AAC), seconds=2, edit=remuxed(before=("-ss", "0.7"))),
    C("open_gop.mkv", (*B_FRAMES, "-x264-params", "open-gop=1", *AAC)),
    # Pictures
    C("turned_90.mp4", (*X264, *AAC), edit=matrix(0, 1, -1, 0), shown="64x96"),
    C("turned_180.mp4", (*X264, *AAC), edit=matrix(-1, 0, 0, -1)),
    C("turned_270.mp4", (*X264, *AAC), edit=matrix(0, -1, 1, 0), shown="64x96"),
    C("mirrored.mp4", (*X264, *AAC), edit=matrix(-1, 0, 0, 1)),
    C("upside_down_mirrored.mp4", (*X264, *AAC), edit=matrix(1, 0, 0, -1)),
    C("transposed.mp4", (*X264, *AAC), edit=matrix(0, 1, 1, 0), shown="64x96"),
    C("transposed_other_way.mp4", (*X264, *AAC), edit=matrix(0, -1, -1, 0), shown="64x96"),
    C("tilted.mp4", (*X264, *AAC), edit=matrix(0.9397, 0.342, -0.342, 0.9397), tolerance=HIGH),
    C("full_range.mp4", (*X264, "-vf", "scale=out_range=pc", "-color_range", "pc", *AAC)),
    C(
        "odd_sides.mp4",
        (
            "-vf",
            "format=rgb24,scale=97:63,setsar=1",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv444p",
            *AAC,
        ),
        shown="97x63",
    ),
    C("grey.mkv", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "gray", *AAC)),
    C(
        "interlaced.mp4",
        ("-vf", "interlace=lowpass=0", *X264, "-flags", "+ildct+ilme", *AAC),
        rate="50",
        notes=("interlaced",),
    ),
    C(
        "interlaced.mpg",
        ("-vf", "interlace=lowpass=0", *MPEG2, "-flags", "+ildct+ilme", "-c:a", "mp2", "-ar", "48000"),
        rate="50",
        notes=("interlaced",),
    ),
    C(
        "squeezed.mp4",
        ("-vf", "setsar=4/3", *X264, *AAC),
        shown="128x64",
        change="scale=128:64",
        tolerance=HIGH,
        notes=("aspect ratio 4/3): 96x64 is shown as 128x64",),
    ),
    C(
        "squeezed_turned.mp4",
        ("-vf", "setsar=4/3", *X264, *AAC),
        edit=matrix(0, 1, -1, 0),
        shown="64x128",
        change="scale=64:128",
        tolerance=HIGH,
        notes=("4/3",),
    ),
    C(
        "changes_size.mkv",
        (*X264, *AAC),
        stamps=None,
        change="scale=96:64",
        tolerance=HIGH,
        notes=("changes to 64x96", "changes to 96x64"),
        edit=made_of(
            *((f"testsrc2=s={s}:r=25:d=0.6", (*X264, "-bf", "0")) for s in ("96x64", "64x96", "96x64")),
            suffix=".h264",
        ),
    ),
    # Sound
    C(
        "surround.mkv",
        (*X264, "-c:a", "ac3"),
        sound=several("200", "300", "400", "50", "600", "700") + ":c=5.1",
    ),
    C("quad.mkv", (*X264, "-c:a", "flac"), sound=several("200", "300", "400", "500") + ":c=quad"),
    C("stereo_44100.mp4", (*X264, *AAC, "-ar", "44100"), sound=several("200", "330")),
    C("stereo_float.mkv", (*X264, "-c:a", "pcm_f32le"), sound=several("200", "330")),
    C("telephone.mkv", (*X264, "-c:a", "pcm_mulaw", "-ar", "8000")),
    C("sound_late.mkv", (*X264, *PCM), edit=stamped("audio", lambda t: t + 0.3)),
    C(
        "hole.mkv",
        (*X264, *PCM),
        edit=stamped("audio", lambda t: None if 0.4 < t < 0.8 else t),
        notes=("no audio from 0.45 to 0.83 s",),
    ),
    C(
        "hole_of_one_packet.webm",
        (*VP9, *OPUS),
        edit=stamped("audio", lambda t: None if 0.395 < t < 0.41 else t),
    ),
    C(
        "overlap.mkv",
        (*X264, *PCM),
        edit=stamped("audio", lambda t: t if t < 0.6 else 0.6 + (t - 0.6) * 0.02 if t < 0.8 else t - 0.196),
    ),
    C(
        "sound_jitters.mkv",
        (*X264, *PCM),
        edit=stamped("audio", lambda t: max(0, t + 0.004 * np.sin(1e4 * t))),
    ),
    C(
        "default_track.mkv",
        (
            *X264,
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-map",
            "2:a",
            *PCM,
            "-disposition:a:0",
            "0",
            "-disposition:a:1",
            "default",
        ),
        notes=("number 2",),
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


def make(case: Case, folder: Path) -> Path:
    path = folder / case.name
    picture = ["-f", "lavfi", "-i", f"testsrc2=s={case.size}:r={case.rate}:d={case.seconds}"]
    sound = [
        "-f",
        "lavfi",
        "-i",
        f"{case.sound}:d={case.seconds + 0.1}",
        "-f",
        "lavfi",
        "-i",
        f"sine=800:r=16000:d={case.seconds}",
    ]
    ffmpeg(*case.before, *picture, *sound, *case.options, path)
    if case.edit:
        case.edit(path)
    return path


def raw(frame: av.VideoFrame) -> bytes:
    """A frame's samples one after the other, as ffmpeg's rawvideo has them."""
    coder = av.CodecContext.create("rawvideo", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = (
        frame.width,
        frame.height,
        frame.format.name,
        Fraction(1, 25),
    )
    return b"".join(bytes(packet) for packet in coder.encode(frame.reformat()))


def compare(path: Path, case: Case, fps: int | None, notes: list[str]) -> None:
    ours = list(iter_decoded_frames(path, fps=fps, notes=notes))
    pixels = ours[0].frame.format.name
    assert f"{ours[0].width}x{ours[0].height}" == (case.shown or case.size)
    filters = ",".join(
        filter(None, [case.change, *((case.stamps, f"fps={fps}") if fps and case.stamps else ())])
    )
    theirs = ffmpeg(
        "-i",
        path,
        "-map",
        "0:v:0",
        *(["-vf", filters] if filters else []),
        "-fps_mode",
        "passthrough",
        "-pix_fmt",
        pixels,
        "-f",
        "rawvideo",
        "-",
    )
    size = len(raw(ours[0].frame))
    assert len(theirs) == size * len(ours), f"{len(ours)} frames, ffmpeg has {len(theirs) / size:g}"
    kind = "<u2" if "10le" in pixels else "u1"
    for k, frame in enumerate(ours):
        a, b = (
            np.frombuffer(x, kind).astype(int) for x in (raw(frame.frame), theirs[k * size : (k + 1) * size])
        )
        assert np.abs(a - b).max() <= case.tolerance, f"frame {k} differs"
    # scaled and deeper frames take another road to RGB in FFmpeg 8
    if fps is None and not case.change and "10le" not in pixels:
        colours = np.frombuffer(
            ffmpeg("-i", path, "-map", "0:v:0", "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"),
            np.uint8,
        )
        assert np.abs(ours[0].rgb().reshape(-1).astype(int) - colours).max() <= 12, (
            "the first frame's RGB differs"
        )


def starts(path: Path) -> dict[str, float]:
    """Of the file and its kinds of track, in seconds."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "format=start_time:stream=codec_type,start_time",
        "-of",
        "json",
        str(path),
    ]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    times = {"file": streams["format"].get("start_time", 0)}
    for stream in streams["streams"]:
        times.setdefault(stream["codec_type"], stream.get("start_time", 0))
    return {name: float(time) for name, time in times.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_frames_and_samples(case, folder):
    path = make(case, folder)
    notes: list[str] = []
    compare(path, case, None, notes)
    compare(path, case, FPS, [])
    times = starts(path)
    if "audio" in times:
        compare_audio(path, case, times, notes)
    assert len(notes) == len(case.notes) and all(
        part in note for part, note in zip(case.notes, notes, strict=True)
    ), notes


def compare_audio(path: Path, case: Case, times: dict[str, float], notes: list[str]) -> None:
    ours = read_audio(path, notes=notes)
    shift = times["video"] - times["file"]
    theirs = np.frombuffer(
        ffmpeg(
            "-itsoffset",
            -shift,
            "-i",
            path,
            "-map",
            "0:a:1" if "default" in case.name else "0:a:0",
            "-af",
            f"aresample=16000:async=1:min_hard_comp={HOLE}:first_pts=0:osf=fltp,"
            "aresample=ochl=mono:osf=flt:rematrix_maxval=1",
            "-f",
            "f32le",
            "-c:a",
            "pcm_f32le",
            "-",
        ),
        "<f4",
    )
    assert abs(len(ours) - len(theirs)) <= 1
    n = min(len(ours), len(theirs))
    assert n > 16000
    assert np.abs(ours[:n] - theirs[:n]).max() < 1e-4
