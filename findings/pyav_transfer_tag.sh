#!/usr/bin/env bash
# PyAV 18.1.0 documents `dst_color_trc` of VideoFrame.reformat() as a tag alone ("sets frame metadata only; it does not
# perform a pixel-level transfer function conversion"). It converts the pixels: FFmpeg 8.1's scaler maps PQ and HLG to
# the transfer that is asked for, with reference white at white. Whoever tags frames so changes them by up to a
# hundred levels; whoever looks for HDR to SDR finds it here, and in the filter `scale=out_transfer=`. Without the
# argument nothing is mapped, and the first mapped frame of a converter takes seconds, those after it milliseconds.
# Exits with 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.1

cat > "$work/see.py" <<'SEE'
import sys
import time

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

ramp = np.round(64 + np.arange(256) * 876 / 255).astype("<u2")  # black to full signal, 10 bits
frame = av.VideoFrame(256, 64, "yuv420p10le")
for plane, values in zip(frame.planes, (ramp, np.full(128, 512), np.full(128, 512)), strict=True):
    rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
    rows[:, : len(values)] = values
    plane.update(rows.tobytes())
frame.color_trc, frame.color_primaries = ColorTrc.SMPTE2084, ColorPrimaries.BT2020
frame.colorspace, frame.color_range = Colorspace.BT2020, ColorRange.MPEG

documented = " ".join(VideoReformatter.reformat.__doc__.split())
says = "does not perform a pixel-level transfer function conversion" in documented
grey = lambda shown: shown.to_ndarray()[32, :, 1].astype(int)
plain = grey(frame.reformat(format="rgb24"))
converter, took = VideoReformatter(), []
for _ in range(2):
    began = time.perf_counter()
    tagged = converter.reformat(frame, format="rgb24", dst_color_trc=ColorTrc.BT709, dst_color_primaries=ColorPrimaries.BT709)
    took.append(time.perf_counter() - began)
differ = abs(plain - grey(tagged)).max()
white = int((grey(tagged) >= 254).argmax())
print(f"PyAV {av.__version__}, libswscale {'.'.join(map(str, av.library_versions['libswscale']))}")
print(f"documented as a tag alone: {says}; pixels change by up to {differ} levels")
print(f"PQ signal of {white / 255:.2f} and above is white (203 cd/m2 is 0.58); untagged that is {plain[white]} of 255")
print(f"first frame {took[0]:.2f} s, second {took[1] * 1000:.1f} ms")
sys.exit(not (says and differ > 60 and 0.55 < white / 255 < 0.61 and took[0] > 50 * took[1]))
SEE
"$work/venv/bin/python" "$work/see.py"
