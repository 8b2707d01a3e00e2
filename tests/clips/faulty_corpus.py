"""A folder corpus with every fault."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from material import face_frames, face_video, hum, turn

from eadbench.clips.config import ClipsConfig
from eadbench.corpora.config import CorporaConfig
from eadbench.corpora.fetch import fetch
from eadbench.corpora.index import index
from eadbench.media.video import write_video

SMALL = {"width": 160, "height": 160, "scale": 0.625}
CONFIG = ClipsConfig(size=96, margin=0.5, min_seconds=1.0, max_seconds=2.4)


def make_index(folder: Path, source: Path, name: str = "mine") -> Path:
    """Fetch and index a folder corpus."""
    config = CorporaConfig(sets={name: {"kind": "folder", "root": str(source)}})
    fetch(name, None, folder / "fetch.json", config)
    index(name, folder / "fetch.json", folder / "index.parquet", config)
    return folder / "index.parquet"


def uneven_video(path: Path, times: list[float], frames: np.ndarray, sound: np.ndarray) -> None:
    """Write frames at the given time stamps (variable frame rate)."""
    from eadbench.media.audio import AudioTrack

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        voice = AudioTrack(container, sound, 16000)
        for time, image in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        voice.finish()


def other_pixels(path: Path, codec: str, pixels: str, frames: np.ndarray, sound: np.ndarray) -> None:
    """Write frames in another codec and pixel format, odd sizes included."""
    from eadbench.media.audio import AudioTrack

    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixels
        voice = AudioTrack(container, sound, 16000)
        for image in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels))
            )
        container.mux(stream.encode())
        voice.finish()


def make_faults(folder: Path) -> None:
    """One video per fault."""
    folder.mkdir(parents=True)
    face_video(folder / "plain.mp4", **SMALL)
    face_video(folder / "ein Gesicht, größer.mp4", **SMALL)
    face_video(folder / "顔.mp4", **SMALL)
    face_video(folder / "silent.mp4", sound=None, **SMALL)
    face_video(folder / "sound_short.mp4", seconds=2.4, sound=-1.0, **SMALL)
    face_video(folder / "sound_long.mp4", sound=1.0, **SMALL)
    face_video(folder / "fps30.mp4", fps=30, **SMALL)
    shutil.copy(folder / "plain.mp4", folder / "wrong_extension.avi")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video")
    whole = (folder / "plain.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "headless.mp4").write_bytes(whole[len(whole) // 2 :])

    grey = np.full((40, 160, 160, 3), 90, np.uint8)
    write_video(folder / "no_face.mp4", grey, audio=hum(1.6))
    face = face_frames(40, **SMALL)
    write_video(folder / "leaves.mp4", np.concatenate([face, grey]), audio=hum(3.2))
    slides = [np.roll(image, 5 * k, 1) if k else image for k, image in enumerate(face)]
    write_video(folder / "walks_out.mp4", [*face[:30], *slides], audio=hum(2.8))
    mirrored = face_frames(40, **(SMALL | {"mirror": True})) // 2 + 60
    write_video(folder / "cut.mp4", np.concatenate([face, mirrored]), audio=hum(3.2))
    write_video(
        folder / "cut_each_second.mp4", np.concatenate([face[:20], mirrored[:20]] * 2), audio=hum(3.2)
    )
    write_video(
        folder / "two_faces.mp4",
        np.concatenate([face_frames(40, 160, 200, 0.5), face_frames(40, 200, 200, 0.75)], 2),
        audio=hum(1.6),
    )
    turned = folder / "turned.mp4"
    write_video(turned, [np.rot90(image) for image in face], audio=hum(1.6))
    turn(turned, 90)
    other_pixels(folder / "ten_bit.mkv", "libx265", "yuv420p10le", face, hum(1.6))
    other_pixels(folder / "odd.mkv", "ffv1", "yuv444p", face[:, :157, :159], hum(1.6))
    times = np.cumsum([0.0, *np.tile([0.02, 0.06, 0.04], 13)])[:40]
    uneven_video(folder / "uneven.mp4", list(times), face, hum(1.6))
