"""Sound in and out."""

from pathlib import Path

import av
import numpy as np
import soundfile

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path

RATE = 16000


def read_audio(path: str | Path, rate: int = RATE) -> np.ndarray:
    """Decode the sound of any media file: mono float32 in [-1, 1] at ``rate``, starting at time zero of the file's video if it has one.

    Raises:
        EadbenchError: If the file cannot be opened or has no audio stream.
    """
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise EadbenchError("no audio stream", path)
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            late = _lag(container, stream)
            pieces = []
            for frame in container.decode(stream):
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    except (av.FFmpegError, OSError) as error:
        raise EadbenchError(f"sound cannot be decoded: {error}", path, "the file is missing, truncated or damaged") from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    shift = round(late * rate)
    return np.concatenate([np.zeros(shift, np.float32), samples]) if shift > 0 else samples[-shift:]


def _lag(container: av.container.InputContainer, audio: av.audio.AudioStream) -> float:
    """Seconds by which the sound starts after the picture."""
    if not container.streams.video:
        return 0.0
    video = container.streams.video[0]
    if audio.start_time is None or video.start_time is None:
        return 0.0
    return float(audio.start_time * audio.time_base - video.start_time * video.time_base)


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
