#!/usr/bin/env bash
# torch.save writes the name of the file that it is given a path of into the file, so that the same tensors saved under another name, such as
# a temporary one that is renamed afterwards, have another hash. Seen with torch 2.14.1; given an open file, it writes "archive" in its place.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 "numpy<3"
cd "$folder"
venv/bin/python - <<'PY'
import hashlib
import sys
import zipfile
from pathlib import Path

import torch

hashes = {"path": set(), "open file": set()}
for name in ("part-7.pt", "part-81.pt"):
    torch.save({"a": torch.arange(5.0)}, name)
    print("given the path", name, "->", zipfile.ZipFile(name).namelist()[0])
    hashes["path"].add(hashlib.sha256(Path(name).read_bytes()).hexdigest())
    with open(name, "wb") as file:
        torch.save({"a": torch.arange(5.0)}, file)
    print("given the open file", name, "->", zipfile.ZipFile(name).namelist()[0])
    hashes["open file"].add(hashlib.sha256(Path(name).read_bytes()).hexdigest())
print("torch", torch.__version__, "different hashes:", {way: len(found) for way, found in hashes.items()})
sys.exit(0 if [len(found) for found in hashes.values()] == [2, 1] else "the behaviour has changed")
PY
