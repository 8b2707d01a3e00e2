"""Who made an output, when, with what: ``provenance.json`` beside it."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from functools import cache
from importlib import metadata
from pathlib import Path

from eadbench.core.files import write_text

PACKAGES = (
    "eadbench", "torch", "torchvision", "diffusers", "transformers", "openai-whisper", "mediapipe", "insightface", "av", "numpy", "scipy",
    "pandas", "pyarrow", "pytorch-fid", "lpips", "snakemake",
)  # fmt: skip


@cache
def git_commit() -> str:
    """Commit of the checkout that the package runs from, with ``+dirty`` when it has changes; else ``unknown``."""
    here = Path(__file__).resolve().parent
    try:
        run = ["git", "-C", str(here)]
        commit = subprocess.run([*run, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run([*run, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+dirty" if dirty else "")


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a number."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write(folder: str | Path, settings: object = None, inputs: dict[str, str] | None = None, started: float | None = None, **facts: object) -> None:
    """Write ``provenance.json`` to ``folder``.

    Args:
        folder: Output folder.
        settings: The settings used (anything JSON can hold).
        inputs: Name to sha256 or path of what went in (weights, tables).
        started: ``time.time()`` at the start of the work, for the duration.
        facts: Anything else worth keeping.
    """
    now = time.time()
    record = {
        "command": sys.argv,
        "commit": git_commit(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "seconds": round(now - started, 3) if started else None,
        "settings": settings,
        "inputs": inputs or {},
        **facts,
    }
    write_text(Path(folder) / "provenance.json", json.dumps(record, indent=1, default=str) + "\n")
