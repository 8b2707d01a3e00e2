#!/usr/bin/env bash
# FFmpeg's mix to one channel is normalised for 16-bit samples but not for float ones, which AAC, Opus and MP3 decode
# to: stereo comes out 1.41, quadraphonic 2.41, 5.1 3.41 times its peak (PyAV's AudioResampler, aformat, ffmpeg -ac 1).
# aresample's rematrix_maxval=1 keeps the peak for all.
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


def frame_of(layout, kind):
    channels = av.AudioLayout(layout).nb_channels
    tone = 0.2 * np.sin(np.arange(8000) / 5)
    samples = np.tile(tone, (channels, 1))
    samples = samples.astype(np.float32) if kind == "fltp" else (samples * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format=kind, layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
    return frame


def resampled(layout, kind):
    frames = av.AudioResampler(format=kind, layout="mono", rate=16000).resample(frame_of(layout, kind))
    return np.abs(frames[0].to_ndarray().astype(float)).max() / (0.2 * (1 if kind == "fltp" else 32767))


def normalised(layout, kind):
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=16000, format=kind, layout=layout, time_base=Fraction(1, 16000))
    mix = graph.add("aresample", f"ochl=mono:osf={kind}:rematrix_maxval=1")
    sink = graph.add("abuffersink")
    graph.link_nodes(source, mix, sink).configure()
    source.push(frame_of(layout, kind))
    return np.abs(sink.pull().to_ndarray().astype(float)).max() / (0.2 * (1 if kind == "fltp" else 32767))


print(f"PyAV {av.__version__}, libswresample {'.'.join(map(str, av.library_versions['libswresample']))}; peak, 1 in each channel:")
ok = True
for layout, factor in (("stereo", 1.414), ("quad", 2.414), ("5.1", 3.414)):
    found = resampled(layout, "fltp"), resampled(layout, "s16p"), normalised(layout, "fltp")
    print(f"{layout}: float {found[0]:.3f}, 16 bit {found[1]:.3f}, float with rematrix_maxval=1 {found[2]:.3f}")
    ok &= np.allclose(found, (factor, 1, 1), atol=0.02)
sys.exit(not ok)
SEE
"$work/venv/bin/python" "$work/see.py"
