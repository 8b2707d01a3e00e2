"""Stands in for somebody else's repository: understands the command lines of all six recipes and writes a video where theirs does.

What it does is told by the environment variable STANDIN: well (default), fail, hang, hang_children, nothing, short (3 frames), fps30, noisy (prints
without end for a while), twice, wide.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np


def read(path: str) -> tuple[list[np.ndarray], int]:
    """Frames of a video or picture, rounded frame rate."""
    with av.open(path) as video:
        stream = video.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)], round(stream.average_rate or 25)


def write(path: Path, frames: list[np.ndarray], rate: int = 25) -> None:
    """Write an mp4."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for image in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(stream.encode())


def misbehave(how: str) -> None:
    """Ways to go wrong before anything is written."""
    if how == "fail":
        sys.exit("CUDA out of memory")
    if how == "nothing":
        sys.exit(0)
    if how == "hang":
        time.sleep(600)
    if how == "hang_children":
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
    if how == "noisy":
        line = b"x" * 65536
        for _ in range(400):
            os.write(1, line)


def finish(frames: list[np.ndarray], target: Path) -> None:
    """Write the result, or a wrong one."""
    how = os.environ.get("STANDIN", "well")
    if how == "short":
        frames = frames[:-3] if len(frames) > 3 else frames
    if how == "short9":
        frames = frames[:-9]
    write(target, frames, 30 if how == "fps30" else 25)
    if how == "twice":
        write(target.with_name(target.stem + "2" + target.suffix), frames)


def arguments(*names: str) -> argparse.Namespace:
    """Arguments of the program that is stood in for; unknown ones are an error, as there."""
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()
