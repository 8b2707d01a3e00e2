#!/usr/bin/env bash
# A Whisper model that is built, not loaded, has a decoder whose positional embedding is uninitialised memory, so that two models of one
# seed differ, and so do the hashes of their files. Seen with openai-whisper 20250625 and torch 2.14.1: all other parameters are drawn or set.
# torch fills memory that is not initialised with NaN where deterministic algorithms are asked for; then the new decoder gives NaN alone.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet setuptools wheel
"$folder/venv/bin/pip" install --quiet --no-build-isolation torch==2.14.1 openai-whisper==20250625 "numpy<3"
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
import whisper
from whisper.model import ModelDimensions, Whisper

torch.use_deterministic_algorithms(True)
torch.manual_seed(0)
model = Whisper(ModelDimensions(n_mels=80, n_audio_ctx=100, n_audio_state=16, n_audio_head=2, n_audio_layer=1, n_vocab=50,
                                n_text_ctx=20, n_text_state=16, n_text_head=2, n_text_layer=1))
unset = [name for name, value in model.named_parameters() if value.isnan().any()]
logits = model.decoder(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 100, 16))
print("whisper", whisper.__version__, "torch", torch.__version__)
print("parameters that nothing initialises:", unset, "share of NaN in the logits:", logits.isnan().float().mean().item())
sys.exit(0 if unset == ["decoder.positional_embedding"] and logits.isnan().all() else "the behaviour has changed")
PY
