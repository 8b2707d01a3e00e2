"""Who made an output, when, with what, at what cost: ``provenance.json`` beside it."""

import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from itertools import takewhile
from pathlib import Path
from typing import Any

from eadbench.core import energy, secrets
from eadbench.core.files import write_text

PACKAGES = (
    "eadbench",
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "openai-whisper",
    "mediapipe",
    "insightface",
    "av",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pytorch-fid",
    "lpips",
    "snakemake",
)


NAME = "provenance.json"
_UNIT = (1 << 20) if sys.platform == "darwin" else (1 << 10)  # of ru_maxrss in a MiB


@dataclass
class _Process:
    """What this process was given and how far it is."""

    started: float = field(default_factory=time.time)
    energy: dict[str, int] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    written: bool = False


_process = _Process()


def begin() -> None:
    """Note time and the GPUs' energy at the start of a command."""
    global _process
    _process = _Process(energy=energy.millijoules())


def given(config: dict[str, Any]) -> None:
    """Note the configuration that a command was given; its secrets are masked."""
    secrets.note(config)
    _process.config = secrets.masked(config)


@cache
def git_commit() -> str:
    """Commit of the checkout that the package runs from, with ``+dirty`` when it has
    changes; else ``unknown``.
    """
    here = Path(__file__).resolve().parent
    try:
        run = ["git", "-C", str(here)]
        commit = subprocess.run(
            [*run, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            [*run, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+dirty" if dirty else "")


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a number."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def write(
    folder: str | Path,
    settings: object = None,
    inputs: dict[str, str] | None = None,
    started: float | None = None,
    **facts: object,
) -> None:
    """Write ``provenance.json`` to ``folder``. What other commands left there stays,
    under ``earlier``.

    Args:
        folder: Output folder.
        settings: The settings used (anything JSON can hold).
        inputs: Name to sha256 or path of what went in (weights, tables).
        started: ``time.time()`` at the start of the work, for the duration.
        facts: Anything else worth keeping.
    """
    now = time.time()
    record = {
        "command": secrets.masked_command(sys.argv),
        "commit": git_commit(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "gpus": _gpus(),
        "versions": versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "seconds": round(now - (started or _process.started), 3),
        "cpu_seconds": round(_cpu_seconds(), 3),
        "peak_mb": peak_mb(),
        "joules": _joules(),
        "config": _process.config,
        "settings": settings,
        "inputs": inputs or {},
        **facts,
    }
    path = Path(folder) / NAME
    earlier = _earlier(path, _what(sys.argv))
    write_text(
        path,
        json.dumps(secrets.masked(record | ({"earlier": earlier} if earlier else {})), indent=1, default=str)
        + "\n",
    )
    _process.written = True


def complete(argv: list[str]) -> None:
    """At the end of a command: write a record beside its ``--out`` unless its own code
    has written one.
    """
    if not _process.written and "--out" in argv[:-1]:
        out = Path(argv[argv.index("--out") + 1])
        if out.exists():
            write(out.parent if out.parent.name else Path())


def _what(argv: list[str]) -> str:
    """A command by its stage, verb and the name of its output, e.g.
    ``clips merge cut.parquet``.
    """
    words = argv[1:]
    while words and words[0].startswith("--"):  # --log FILE, --threads N
        words = words[2:]
    verb = " ".join(takewhile(lambda word: not word.startswith("-"), words[:2]))
    return f"{verb} {Path(argv[argv.index('--out') + 1]).name}" if "--out" in argv[:-1] else verb


def _earlier(path: Path, what: str) -> dict[str, Any]:
    """Records that other commands left in the file."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        records = old.pop("earlier", {}) | {_what(old["command"]): old}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}
    records.pop(what, None)
    return records


def _cpu_seconds() -> float:
    """Processor time of this process and of its finished children."""
    return sum(
        u.ru_utime + u.ru_stime
        for u in (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def peak_mb() -> float:
    """Resident set of the largest process of this command so far, this one or a
    finished child, MiB. No spike is missed: the kernel counts.
    """
    return round(max(own_peak_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / _UNIT), 1)


def own_peak_mb() -> float:
    """Largest resident set of this process, MiB.

    Where /proc tells, from there: ``ru_maxrss`` starts with what the process had that
    began this program, and a test under a large pytest, or a job under a large
    Snakemake, would inherit that. (A child's is at least ours, for the same reason,
    which does no harm to the larger of the two.)
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNIT


def _joules() -> float | None:
    """Energy of the visible GPUs since the command began; null where none tells."""
    used = [
        value - _process.energy[name]
        for name, value in energy.millijoules().items()
        if name in _process.energy
    ]
    return round(sum(used) / 1000, 3) if used else None


def _gpus() -> list[str]:
    """Names of the GPUs that torch sees, if the command used torch at all."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
