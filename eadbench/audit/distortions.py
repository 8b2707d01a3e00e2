"""Distortions of known strength, each at five levels: frames and audio in, frames and
audio out.

Lengths in pixels are for a frame of 256 and grow with its side.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import av
import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.media.audio import RATE, AudioTrack, read_audio
from eadbench.scores.landmarks import EYE_CORNERS, LIPS

SIDE = 256
MOUTH = 1.6  # half axes of the mouth's ellipse, in half widths of the lips


@dataclass(frozen=True)
class Footage:
    """A clip in memory.

    Attributes:
        frames: ``(T, H, W, 3)`` RGB uint8.
        audio: ``(N,)`` mono float32 at 16 kHz; empty if there is none.
        fps: Frames per second.
        marks: Landmarks ``(T, 478, 2)`` in pixels, NaN where no face was found.
        other_speaker: Frames of another speaker's clip, of the same size; ``None`` if
            there is none.
        other_emotion: Frames of the same speaker with another emotion, of the same
            size; ``None`` if there is none.
    """

    frames: np.ndarray
    audio: np.ndarray
    fps: float
    marks: np.ndarray
    other_speaker: np.ndarray | None = None
    other_emotion: np.ndarray | None = None

    @property
    def pixel(self) -> float:
        """Pixels of this clip in one of a frame of 256."""
        return self.frames.shape[1] / SIDE


@dataclass(frozen=True)
class Distortion:
    """One kind of distortion.

    Attributes:
        name: Its name.
        label: Name in print.
        unit: Of its levels.
        levels: Five, from weak to strong.
        apply: Function of the clip, the level and a generator.
    """

    name: str
    label: str
    unit: str
    levels: tuple[float, ...]
    apply: Callable[[Footage, float, np.random.Generator], Footage]

    def amount(self, level: float) -> str:
        """A level in words: ``crf 23``, ``20 % of the clip``."""
        if self.unit == "crf":
            return f"crf {level:g}"
        unit = self.unit
        if level == 1 and not unit.startswith("%"):
            unit = unit.removesuffix("s")
        return f"{level:g} {unit}"


REGISTRY: dict[str, Distortion] = {}
LEVELS = 5


def levels_of(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Every level, 1 (weak) to 5 (strong), of some distortions."""
    return product(names, range(1, LEVELS + 1))


def level_of(name: str, level: int) -> str:
    """Name of a level in the column ``method``."""
    return f"{name}_{level}"


def level_names(names: Iterable[str]) -> list[str]:
    """Names of every level of some distortions in the column ``method``."""
    return [level_of(name, level) for name, level in levels_of(names)]


def distortion(label: str, unit: str, levels: tuple[float, ...]) -> Callable:
    """Register a function as the distortion of its own name."""

    def register(function: Callable[[Footage, float, np.random.Generator], Footage]) -> Callable:
        REGISTRY[function.__name__] = Distortion(function.__name__, label, unit, levels, function)
        return function

    return register


@distortion("H.264", "crf", (23, 28, 33, 38, 43))
def h264(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Coded with x264 at a rising constant rate factor."""
    return replace(clip, frames=recoded(clip.frames, clip.fps, "libx264", level))


@distortion("H.265", "crf", (23, 28, 33, 38, 43))
def h265(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Coded with x265 at a rising constant rate factor."""
    return replace(clip, frames=recoded(clip.frames, clip.fps, "libx265", level))


@distortion("AAC", "kbit/s", (48, 32, 24, 16, 8))
def aac(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Audio coded with AAC at a falling bit rate."""
    return replace(clip, audio=recoded_audio(clip.audio, int(level * 1000)))


@distortion("audio early", "frames", (1, 2, 3, 5, 10))
def audio_early(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Audio moved to an earlier time; silence at the end."""
    return replace(clip, audio=moved(clip.audio, -round(level * RATE / clip.fps)))


@distortion("audio late", "frames", (1, 2, 3, 5, 10))
def audio_late(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Audio moved to a later time; silence at the beginning."""
    return replace(clip, audio=moved(clip.audio, round(level * RATE / clip.fps)))


@distortion("silence", "% of the clip", (20, 40, 60, 80, 100))
def silence(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """The last share of the audio is silent."""
    audio = clip.audio.copy()
    audio[round(len(audio) * (1 - level / 100)) :] = 0
    return replace(clip, audio=audio)


@distortion("blur", "px", (1.0, 1.5, 2.0, 3.0, 4.0))
def blur(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Gaussian blur of that standard deviation."""
    return _each_frame(clip, lambda frame: cv2.GaussianBlur(frame, (0, 0), level * clip.pixel))


@distortion("noise", "grey levels", (2, 5, 10, 20, 40))
def noise(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Gaussian noise of that standard deviation, drawn anew for each frame."""
    return _each_frame(
        clip, lambda frame: _as_uint8(frame + level * rng.standard_normal(frame.shape, np.float32))
    )


@distortion("brightness", "grey levels", (5, 10, 20, 30, 40))
def brightness(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """All channels raised."""
    return _each_frame(clip, lambda frame: cv2.add(frame, np.full_like(frame, level)))


@distortion("colour", "grey levels", (5, 10, 20, 30, 40))
def colour(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """A warm cast: red up, blue down."""
    return _each_frame(clip, lambda frame: _as_uint8(frame + np.float32([level, 0, -level])))


@distortion("scaled down and up", "times", (1.5, 2, 3, 4, 6))
def scale(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Scaled down by area averaging and up again by bicubic interpolation."""
    height, width = clip.frames.shape[1:3]
    small = max(2, round(width / level)), max(2, round(height / level))

    def rescale(frame: np.ndarray) -> np.ndarray:
        shrunk = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC)

    return _each_frame(clip, rescale)


@distortion("shift", "px", (0.25, 0.5, 1.0, 2.0, 4.0))
def shift(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Every frame moved to the right by the same amount, also by parts of a pixel."""
    return _each_frame(clip, lambda frame: translated(frame, level * clip.pixel, 0.0))


@distortion("spatial jitter", "px", (0.25, 0.5, 1.0, 2.0, 4.0))
def jitter(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Every frame moved by a random amount of its own, of that standard deviation."""
    return _each_frame(clip, lambda frame: translated(frame, *(level * clip.pixel * rng.standard_normal(2))))


@distortion("frozen frames", "% of the clip", (10, 25, 50, 75, 100))
def freeze(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """The last share of the frames repeats the frame before it; at 100 the first frame
    stands from beginning to end.
    """
    stop = max(0, round(len(clip.frames) * (1 - level / 100)) - 1)
    return replace(clip, frames=clip.frames[np.minimum(np.arange(len(clip.frames)), stop)])


@distortion("dropped frames", "% of the frames", (4, 8, 15, 30, 50))
def drop(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Frames taken out at random; the rest closes up, so that the video ends before its
    audio.
    """
    count = max(2, round(len(clip.frames) * (1 - level / 100)))
    remaining = np.sort(rng.permutation(len(clip.frames))[:count])
    return replace(clip, frames=clip.frames[remaining])


@distortion("doubled frames", "% of the frames", (4, 8, 15, 30, 50))
def double(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Frames shown twice at random; the rest comes later, and the end is cut."""
    count = len(clip.frames)
    twice = rng.permutation(count)[: round(count * level / 100)]
    frame_numbers = np.sort(np.concatenate([np.arange(count), twice]))[:count]
    return replace(clip, frames=clip.frames[frame_numbers])


@distortion("mouth frozen", "% of the clip", (20, 40, 60, 80, 100))
def mouth_frozen(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """In the last share of the clip the mouth keeps the shape that it had before."""
    count = len(clip.frames)
    stop = max(0, round(count * (1 - level / 100)) - 1)
    return with_mouths(clip, np.minimum(np.arange(count), stop))


@distortion("mouth of another moment", "frames", (1, 2, 5, 10, 20))
def mouth_other_moment(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """The mouth of so many frames before; at the beginning, of the end."""
    return with_mouths(clip, (np.arange(len(clip.frames)) - round(level)) % len(clip.frames))


@distortion("another speaker's face", "% blended in", (20, 40, 60, 80, 100))
def other_speaker(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Blended with another speaker's clip."""
    return blended(clip, clip.other_speaker, level / 100, "a clip of another speaker")


@distortion("another emotion", "% blended in", (20, 40, 60, 80, 100))
def other_emotion(clip: Footage, level: float, rng: np.random.Generator) -> Footage:
    """Blended with a clip of the same speaker with another emotion."""
    return blended(clip, clip.other_emotion, level / 100, "a clip of the same speaker with another emotion")


def _each_frame(clip: Footage, transform: Callable[[np.ndarray], np.ndarray]) -> Footage:
    return replace(clip, frames=np.stack([transform(frame) for frame in clip.frames]))


def _as_uint8(frame: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def translated(frame: np.ndarray, right: float, down: float) -> np.ndarray:
    """A frame moved by parts of a pixel; the edge is repeated."""
    matrix = np.float32([[1, 0, right], [0, 1, down]])
    return cv2.warpAffine(
        frame, matrix, frame.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def moved(audio: np.ndarray, samples: int) -> np.ndarray:
    """Audio moved by some samples, positive to later; its length stays."""
    count = min(abs(samples), len(audio))
    silence = np.zeros(count, audio.dtype)
    if samples > 0:
        return np.concatenate([silence, audio[: len(audio) - count]])
    return np.concatenate([audio[count:], silence])


def blended(clip: Footage, other: np.ndarray | None, share: float, what: str) -> Footage:
    """Frames mixed with those of another clip, which repeats where it is shorter.

    Raises:
        EadbenchError: If there is no such clip.
    """
    if other is None:
        raise EadbenchError(
            f"there is no {what.removeprefix('a ')} among the clips",
            "audit",
            "give more clips, and labels with speaker and emotion",
        )
    repeated = other[np.arange(len(clip.frames)) % len(other)]
    pairs = zip(clip.frames, repeated, strict=True)
    return replace(clip, frames=np.stack([cv2.addWeighted(a, 1 - share, b, share, 0) for a, b in pairs]))


def with_mouths(clip: Footage, moments: np.ndarray) -> Footage:
    """Each frame with the mouth of another moment of the clip, moved to where the mouth
    is, with a soft edge.

    Args:
        clip: The clip. Frames without a face stay as they are.
        moments: ``(T,)`` number of the frame whose mouth is taken.
    """
    lips = clip.marks[:, LIPS]
    centres = lips.mean(1)
    height, width = clip.frames.shape[1:3]
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    out = clip.frames.copy()
    for k, moment in enumerate(moments):
        has_lips = np.isfinite(centres[k]).all() and np.isfinite(centres[moment]).all()
        if moment == k or not has_lips:
            continue
        eyes = clip.marks[k, EYE_CORNERS[1]] - clip.marks[k, EYE_CORNERS[0]]
        lip_width = max(np.ptp(lips[k, :, 0]), 0.4 * float(np.hypot(*eyes)))
        radius = MOUTH * lip_width / 2
        distance = np.hypot((xx - centres[k, 0]) / radius, (yy - centres[k, 1]) / (0.8 * radius))
        alpha = np.clip((1.0 - distance) / 0.25, 0, 1)[..., None]
        source = translated(clip.frames[moment], *(centres[k] - centres[moment]))
        out[k] = _as_uint8(out[k] + alpha * (source.astype(np.float32) - out[k]))
    return replace(clip, frames=out)


def recoded(frames: np.ndarray, fps: float, codec: str, crf: float) -> np.ndarray:
    """Frames ``(T, H, W, 3)`` through a codec and back."""
    buffer = io.BytesIO()
    options = {"crf": f"{crf:g}", "preset": "medium", "threads": "1"}
    # The same bytes each time, as in media.video.VideoWriter; x265 without its messages.
    if codec == "libx264":
        options["mbtree"] = "0"
    else:
        options["x265-params"] = "log-level=none:pools=none:frame-threads=1"
    with av.open(buffer, "w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def recoded_audio(audio: np.ndarray, bits: int) -> np.ndarray:
    """Samples ``(N,)`` at 16 kHz through AAC and back, at the same time: the encoder's
    delay is removed.
    """
    if not len(audio):
        return audio
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        AudioTrack(container, audio, RATE, {"b": str(bits)}).finish()
    buffer.seek(0)
    out = np.zeros_like(audio)
    decoded = read_audio(buffer)[: len(audio)]
    out[: len(decoded)] = decoded
    return out
