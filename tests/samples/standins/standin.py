"""Stands in for somebody else's repository: understands the command lines of all six
recipes and writes a video where theirs does.

What it does is told by the environment variable STANDIN: well (default), fail, no_face,
die, hang, hang_children, leave_child, nothing, short (3 frames), short9, fps30, noisy
(prints 64 MB), twice. ``first:WHAT`` does it for the first clip only (STANDIN_SEEN
names a file that remembers). STANDIN_LOADS names a file for a line per thing loaded.
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
    """Frames of a video or image, rounded frame rate."""
    with av.open(path) as video:
        stream = video.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)], round(
            stream.average_rate or 25
        )


def write(path: Path, frames: list[np.ndarray], rate: int = 25) -> None:
    """Write an mp4."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for image in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(stream.encode())


def loaded(what: str) -> None:
    """Note that weights were loaded."""
    if path := os.environ.get("STANDIN_LOADS"):
        with Path(path).open("a") as file:
            file.write(f"{what}\n")


how = "well"


def begin() -> None:
    """Ways to go wrong before anything is written."""
    global how
    how = os.environ.get("STANDIN", "well")
    if how.startswith("first:"):
        seen = Path(os.environ["STANDIN_SEEN"])
        how = "well" if seen.exists() else how[6:]
        seen.touch()
    print("process", os.getpid(), "in", Path.cwd())
    if how == "fail":
        sys.exit("CUDA out of memory")
    if how == "nothing":
        sys.exit(0)
    if how == "hang":
        time.sleep(600)
    if how == "hang_children":
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
    if how == "no_face":
        raise RuntimeError("Face not detected")
    if how == "leave_child":
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
        )
        print("child", child.pid, "is left behind")
    if how == "die":
        os.abort()
    if how == "noisy":
        line = b"x" * 65536
        for _ in range(1000):
            os.write(1, line)


def finish(frames: list[np.ndarray], target: Path) -> None:
    """Write the result, or a wrong one."""
    if how == "short":
        frames = frames[:-3] if len(frames) > 3 else frames
    if how == "short9":
        frames = frames[:-9]
    write(target, frames, 30 if how == "fps30" else 25)
    if how == "twice":
        write(target.with_name(target.stem + "2" + target.suffix), frames)


def arguments(*names: str) -> argparse.Namespace:
    """Arguments of the program that is stood in for; unknown ones are an error, as
    there.
    """
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()
