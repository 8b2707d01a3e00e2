"""Seconds, disk and memory per unit of work, each with where it is from."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from eadbench.core.errors import EadbenchError
from eadbench.core.section import Section
from eadbench.core.settings import merge
from eadbench.core.unique_yaml import parse

WHILE_TRAINING = 4  # disk that a training run needs while it runs, in multiples of its weights


class Figure(Section):
    """Cost of a job of one kind.

    Attributes:
        seconds: Per unit of work (``work.UNITS``).
        start: Seconds per job before the first unit.
        disk_mb, disk_job_mb: Left on disk per unit and per job, MB.
        memory_mb: Peak memory of a job, MB; null: what its rule asks for.
        gpu_memory_mb: Peak memory on the GPU, MB; null: unknown.
        source: ``measured`` (a finished run with the same settings), ``given``
            (``--figures``) or ``assumed``.
        note: Where it is from.
    """

    seconds: float
    start: float = 0.0
    disk_mb: float = 0.0
    disk_job_mb: float = 0.0
    memory_mb: float | None = None
    gpu_memory_mb: float | None = None
    source: str = "assumed"
    note: str = ""


def load(path: Path | None) -> dict[str, Figure]:
    """The assumed figures, with those of a file over them.

    Args:
        path: YAML of the form of ``assumed.yaml``; only keys that differ are needed.

    Raises:
        EadbenchError: If the file is missing or a key is unknown.
    """
    raw = yaml.safe_load(files("eadbench.plan").joinpath("assumed.yaml").read_text(encoding="utf-8"))
    if path:
        raw = merge(raw, _given(path, raw))
    try:
        return {key: Figure.model_validate(value) for key, value in raw.items()}
    except ValidationError as error:
        raise EadbenchError(
            f"invalid figures: {error}", path or "assumed.yaml", "compare with eadbench/plan/assumed.yaml"
        ) from error


def _given(path: Path, assumed: dict[str, Any]) -> dict[str, Any]:
    try:
        raw = parse(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise EadbenchError(f"figures cannot be read: {error}", path) from error
    unknown = sorted(set(raw) - set(assumed)) if isinstance(raw, dict) else ["(not a mapping)"]
    if unknown:
        raise EadbenchError(f"no figure {unknown[0]!r}", path, f"known: {', '.join(sorted(assumed))}")
    return {key: {"note": str(path), **value, "source": "given"} for key, value in raw.items()}
