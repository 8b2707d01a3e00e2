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
    """Start, energy and configuration of the running command, and whether its record is
    written.
    """

    started: float = field(default_factory=time.time)
    energy: dict[str, int] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    written: bool = False


_process = _Process()


def begin() -> None:
    """Record time and the GPUs' energy at the start of a command."""
    global _process
    _process = _Process(energy=energy.millijoules())


def record_config(config: dict[str, Any]) -> None:
    """Record the configuration of the command; its secrets are masked."""
    secrets.note(config)
    _process.config = secrets.masked(config)


@cache
def git_commit() -> str:
    """Commit of the checkout that the package runs from, with ``+dirty`` when it has
    changes; else ``unknown``.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "-uno")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+dirty" if changes else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


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
    earlier = _earlier(path, _name_of_command(sys.argv))
    if earlier:
        record["earlier"] = earlier
    write_text(path, json.dumps(secrets.masked(record), indent=1, default=str) + "\n")
    _process.written = True


def complete(argv: list[str]) -> None:
    """At the end of a command: write a record beside its ``--out`` unless its own code
    has written one.
    """
    if not _process.written and "--out" in argv[:-1]:
        out = Path(argv[argv.index("--out") + 1])
        if out.exists():
            write(out.parent if out.parent.name else Path())


def _name_of_command(argv: list[str]) -> str:
    """A command by its stage, verb and the name of its output, e.g.
    ``clips merge cut.parquet``.
    """
    words = argv[1:]
    while words and words[0].startswith("--"):  # --log FILE, --threads N
        words = words[2:]
    verb = " ".join(takewhile(lambda word: not word.startswith("-"), words[:2]))
    if "--out" not in argv[:-1]:
        return verb
    return f"{verb} {Path(argv[argv.index('--out') + 1]).name}"


def _earlier(path: Path, command: str) -> dict[str, Any]:
    """Records that other commands left in the file."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        records = old.pop("earlier", {}) | {_name_of_command(old["command"]): old}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}
    records.pop(command, None)
    return records


def _cpu_seconds() -> float:
    """Processor time of this process and of its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_mb() -> float:
    """Resident set of the largest process of this command so far, this one or a
    finished child, MiB. No spike is missed: the kernel counts.
    """
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / _UNIT
    return round(max(own_peak_mb(), of_children), 1)


def own_peak_mb() -> float:
    """Largest resident set of this process, MiB.

    Where there is /proc, from there: ``ru_maxrss`` starts with what the process had that
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
    """Energy of the visible GPUs since the command began; null where none counts it."""
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
