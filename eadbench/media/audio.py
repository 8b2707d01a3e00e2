"""Sound in and out."""

from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soundfile

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path

RATE = 16000
PRE_ROLL = 1.0  # seconds decoded before a stretch, so that codecs with overlapping frames have settled


def read_audio(source: str | Path | BinaryIO, rate: int = RATE, start: float | None = None, end: float | None = None) -> np.ndarray:
    """Decode the sound of any media file: mono float32 in [-1, 1] at ``rate``, starting at time zero of the file's video if it has one.

    Args:
        source: Path or open binary file.
        rate: Sample rate to resample to.
        start: Start in seconds; the decoder seeks, so that a stretch of a long file is read alone.
        end: End in seconds. The result is shorter than ``end - start`` where the sound ends earlier; a late beginning is filled with silence.

    Raises:
        EadbenchError: If the file cannot be opened or has no audio stream.
    """
    name = getattr(source, "name", source)
    pieces: list[np.ndarray] = []
    first = 0.0
    try:
        with av.open(source if hasattr(source, "read") else str(source), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise EadbenchError("no audio stream", name)
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            origin = _origin(container)
            if start:
                container.seek(int(max(0.0, start + origin - PRE_ROLL) / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                time = float(frame.pts * stream.time_base) - origin if frame.pts is not None else None
                if end is not None and time is not None and time >= end:
                    break
                if not pieces and time is not None:
                    first = time
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    except (av.FFmpegError, OSError) as error:
        raise EadbenchError(f"sound cannot be decoded: {error}", name, "the file is missing, truncated or damaged") from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    shift = round((first - (start or 0.0)) * rate)
    samples = np.concatenate([np.zeros(shift, np.float32), samples]) if shift > 0 and len(samples) else samples[-shift:] if shift < 0 else samples
    return samples if end is None else samples[: max(0, round((end - (start or 0.0)) * rate))]


def _origin(container: av.container.InputContainer) -> float:
    """Time stamp in seconds that counts as zero: where the picture starts, or the sound where there is no picture."""
    stream = container.streams.video[0] if container.streams.video else container.streams.audio[0]
    return float(stream.start_time * stream.time_base) if stream.start_time is not None and stream.time_base else 0.0


def encode_audio(container: av.container.OutputContainer, stream: av.audio.AudioStream, samples: np.ndarray, rate: int) -> None:
    """Encode mono float samples to a stream of an open container."""
    block = 1024
    samples = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
    for at in range(0, len(samples), block):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, at : at + block]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, at
        for packet in stream.encode(frame):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)


def write_wav(path: str | Path, samples: np.ndarray, rate: int = RATE) -> None:
    """Write mono 16-bit PCM atomically."""
    with atomic_path(path) as part:
        soundfile.write(part, np.clip(samples, -1.0, 1.0), rate, subtype="PCM_16", format="WAV")


def write_m4a(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Write mono AAC in an MPEG-4 audio file (``.m4a``) atomically."""
    with atomic_path(path) as part, av.open(str(part), "w", format="ipod") as container:
        encode_audio(container, container.add_stream("aac", rate=rate, layout="mono"), samples, rate)
