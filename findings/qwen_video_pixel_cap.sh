#!/usr/bin/env bash
# The video processor of Qwen2-VL and Qwen2.5-VL warns that from transformers 5.22 on it bounds the pixels of a whole video; 5.23.0 warns so still, and
# bounds nothing by itself. 64 frames of 448 x 448 with a budget of 1,000 tokens a video: 8,192 tokens, as with cap_pixels_per_frame=False; 3,872 with True.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 torchvision==0.29.1 transformers==5.23.0 "numpy<3" pillow
"$folder/venv/bin/python" - 2>"$folder/err" <<'PY' || { cat "$folder/err"; exit 1; }
import sys

import torch
import transformers
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

video = torch.zeros(64, 3, 448, 448, dtype=torch.uint8)
tokens = {}
for cap in (None, False, True):
    options = {} if cap is None else {"cap_pixels_per_frame": cap}
    grid = Qwen2VLVideoProcessor(max_video_tokens=1000)(videos=[video], return_tensors="pt", **options)["video_grid_thw"]
    tokens[cap] = int(grid.prod()) // 4
print("transformers", transformers.__version__, "tokens by cap_pixels_per_frame:", tokens)
sys.exit(0 if tokens[None] == tokens[False] > tokens[True] else "the behaviour has changed")
PY
grep -c "In v5.22 the capped behavior will become the default" "$folder/err"
