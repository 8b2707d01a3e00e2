"""Somebody else's method, as small as can be: reads a manifest of clips, writes one
video per clip.

It plays the clip backwards and flips every frame left to right, so its lips move, but
not to the audio. Nothing of it comes from eadbench; it could be any program in any
language. In the config:

    mirror:
      kind: command
      per: manifest
      command: "{python} examples/mirror_method.py {manifest} {out}"
      corpora: [demo_hdtf]
"""

import csv
import sys
from pathlib import Path

import av


def mirror(source: str, target: Path) -> None:
    """Write the frames of ``source`` flipped, the last one first."""
    with av.open(source) as video:
        rate = video.streams.video[0].average_rate
        frames = [frame.to_ndarray(format="rgb24")[:, ::-1] for frame in video.decode(video=0)]
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in reversed(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image.copy(), format="rgb24")))
        out.mux(stream.encode())


def main(manifest: str, folder: str) -> None:
    """One row per clip; its columns are those that docs/methods.md lists."""
    with Path(manifest).open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            mirror(row["video"], Path(folder) / f"{row['clip_id']}.mp4")


if __name__ == "__main__":
    main(*sys.argv[1:])
