#!/usr/bin/env bash
# FFmpeg's filter setpts cuts its result off instead of rounding it, so that the formula that everybody uses to number
# frames anew, setpts=N/FRAME_RATE/TB, gives neighbouring frames the same stamp where the time base is one frame (AVI,
# raw H.264): 8 % of them at 25 frames per second, 25 % at 29.97. A constant frame rate behind it then drops and
# doubles frames. round(N/FRAME_RATE/TB) is right.
# Exits with 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0

cat > "$work/see.py" <<'SEE'
import sys
from fractions import Fraction

import av


def stamps(formula, rate, count=1000):
    graph = av.filter.Graph()
    source = graph.add_buffer(width=16, height=16, format="yuv420p", time_base=1 / rate)
    graph.link_nodes(source, graph.add("setpts", formula), graph.add("buffersink")).configure()
    found = []
    for number in range(count):
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts, frame.time_base = number, 1 / rate
        graph.vpush(frame)
        found.append(graph.vpull().pts)
    return found


print(f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}; 1000 frames, time base of one frame")
lost = {}
for rate in (Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)):
    plain, rounded = (stamps(formula, rate) for formula in (f"N/({rate})/TB", f"round(N/({rate})/TB)"))
    lost[rate] = 1000 - len(set(plain))
    print(f"{float(rate):6.3f} fps: {lost[rate]} share a stamp with the frame before; rounded: {1000 - len(set(rounded))}")
    assert rounded == list(range(1000))
sys.exit(not (lost[25] > 50 and lost[Fraction(30000, 1001)] > 200))
SEE
"$work/venv/bin/python" "$work/see.py"
