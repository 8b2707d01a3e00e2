#!/usr/bin/env bash
# FFmpeg 8's libswscale, as PyAV carries it, converts a frame flagged interlaced to RGB field by field: where chroma
# has edges, the same samples give other colours than unflagged ones, by tens of levels. ffmpeg's command line gives
# both alike. The filter setfield=prog in front undoes it.
# Exits with 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.1

cat > "$work/see.py" <<'SEE'
import sys
from fractions import Fraction

import av
import numpy as np


def through(frame, name, options):
    graph = av.filter.Graph()
    source = graph.add_buffer(width=96, height=64, format="yuv420p", time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add(name, options), graph.add("buffersink")).configure()
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    graph.vpush(frame)
    return graph.vpull()


image = np.zeros((64, 96, 3), np.uint8)
image[::8] = (255, 0, 0)
image[4::8] = (0, 0, 255)
plain = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
flagged = through(plain, "setfield", "tff")
again = through(flagged, "setfield", "prog")
same = np.array_equal(plain.to_ndarray(), flagged.to_ndarray())
rgb = [frame.to_ndarray(format="rgb24").astype(int) for frame in (plain, flagged, again)]
print(f"PyAV {av.__version__}, libswscale {'.'.join(map(str, av.library_versions['libswscale']))}")
print(f"flagged interlaced: {flagged.interlaced_frame}; the same samples: {same}")
print(f"RGB differs by up to {abs(rgb[0] - rgb[1]).max()} levels; after setfield=prog by {abs(rgb[0] - rgb[2]).max()}")
sys.exit(not (flagged.interlaced_frame and same and abs(rgb[0] - rgb[1]).max() > 50 and (rgb[0] == rgb[2]).all()))
SEE
"$work/venv/bin/python" "$work/see.py"
