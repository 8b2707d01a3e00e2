#!/usr/bin/env bash
# The first optimiser that is made imports torch._dynamo, the compiler's front end, though nothing is compiled: hundreds of modules and about
# as much CPU time again as `import torch` took. It counts where a job is short. Seen with torch 2.14.1, also for plain SGD.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 "numpy<3"
cd "$folder"
venv/bin/python - <<'PY'
import sys
import time

start = time.process_time()
import torch

imported = time.process_time()
modules, before = len(sys.modules), "torch._dynamo" in sys.modules
torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
made = time.process_time()
print(f"torch {torch.__version__}: import {imported - start:.2f} CPU s, torch._dynamo there: {before}")
print(f"first SGD: {made - imported:.2f} CPU s, {len(sys.modules) - modules} modules more, torch._dynamo there: {'torch._dynamo' in sys.modules}")
sys.exit(0 if not before and "torch._dynamo" in sys.modules else "the behaviour has changed")
PY
