"""Another sound to the same picture, without encoding the picture again."""

from pathlib import Path

import av
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.media.audio import encode_audio


def remux(video: str | Path, target: Path, audio: np.ndarray, rate: int) -> None:
    """Copy the packets of the first video stream of ``video`` to the mp4 ``target`` and encode ``audio`` (mono float in [-1, 1]) beside them.

    Raises:
        EadbenchError: If the video cannot be read.
    """
    try:
        with av.open(str(video), metadata_errors="ignore") as source, av.open(str(target), "w", format="mp4") as copy:
            if not source.streams.video:
                raise EadbenchError("no video stream", video)
            picture = source.streams.video[0]
            stream = copy.add_stream_from_template(picture)
            sound = copy.add_stream("aac", rate=rate, layout="mono")
            for packet in source.demux(picture):
                if packet.dts is not None:
                    packet.stream = stream
                    copy.mux(packet)
            encode_audio(copy, sound, audio, rate)
    except (av.FFmpegError, OSError) as error:
        raise EadbenchError(f"cannot be copied: {error}", video, "the file is missing, truncated or not a video") from error
