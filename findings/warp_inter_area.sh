#!/usr/bin/env bash
# cv2.warpAffine takes INTER_AREA without a word and interpolates between four neighbours: what it shrinks is aliased.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q opencv-python-headless==4.14.0.94 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import cv2
import numpy as np

print("OpenCV", cv2.__version__)
stripes = np.zeros((400, 400), np.uint8)
stripes[:, ::4] = stripes[:, 1::4] = 255  # two pixels white, two black: grey from afar
shrink = np.float32([[0.2, 0, 0], [0, 0.2, 0]])
area = cv2.warpAffine(stripes, shrink, (80, 80), flags=cv2.INTER_AREA)
linear = cv2.warpAffine(stripes, shrink, (80, 80), flags=cv2.INTER_LINEAR)
right = cv2.resize(stripes, (80, 80), interpolation=cv2.INTER_AREA)
print("warpAffine, INTER_AREA:   from", area.min(), "to", area.max())
print("warpAffine, INTER_LINEAR: from", linear.min(), "to", linear.max(), "(the same:", np.array_equal(area, linear), ")")
print("resize, INTER_AREA:       from", right.min(), "to", right.max())
assert np.array_equal(area, linear) and np.ptp(area) > 200 > np.ptp(right)
PY
