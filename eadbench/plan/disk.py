"""Disk space that a run needs, by folder and by file system, and what is free there.

The amounts are those of ``eadbench plan``; of weights that are still to be fetched,
those of the registry.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eadbench.core.settings import Settings
from eadbench.plan.counts import counts
from eadbench.plan.dag import planned
from eadbench.plan.estimate import by_stage, costs
from eadbench.plan.figures import WHILE_TRAINING, load
from eadbench.plan.missing import STEPS, Need, published
from eadbench.zoo.registry import user_cache

RENDER, TRAIN = "make_samples", "train"
NOT_COUNTED = (
    "Not counted: Python packages, other methods' checkouts, environments and weights, and what several "
    "trainings or renderings at a time need more. The Hugging Face cache is not used. Quotas are not seen."
)


@dataclass(frozen=True)
class FolderSpace:
    """A folder that will be written to: what for, and the bytes still to come."""

    what: str
    folder: Path
    bytes: float


@dataclass(frozen=True)
class FileSystem:
    """A file system: where it is mounted, the bytes still to come, and those free."""

    mount: Path
    needed: float
    free: float


def folder_spaces(configs: list[Path], settings: Settings, results: Path) -> list[FolderSpace]:
    """What a run will still write, by folder.

    Args:
        configs: Configuration files.
        settings: Their settings.
        results: Folder of results; files in a stage's folder count as written.

    Raises:
        EadbenchError: If Snakemake is not installed or refuses the configuration.
    """
    jobs = planned(configs).jobs
    job_costs = costs(jobs, settings, counts(settings, results), load(None), {})
    stages: pd.Series = by_stage(jobs, job_costs).set_index("stage")["disk_gb"].drop("all") * 1e9
    stage_folders = [
        FolderSpace(
            "downloads" if name == "corpora" else "", results / name, max(0.0, size - _size(results / name))
        )
        for name, size in stages.items()
    ]
    largest = {TRAIN: 0.0, RENDER: 0.0}
    for job, cost in zip(jobs, job_costs, strict=True):
        if job.rule in largest:
            largest[job.rule] = max(largest[job.rule], cost.disk_mb * 1e6)
    weight_bytes = sum(
        registry_entry.expected_bytes
        for registry_entry, folder in published(settings, results).values()
        if not folder
    )
    return [
        *(space for space in stage_folders if space.bytes),
        FolderSpace("while one run trains", results / "training", WHILE_TRAINING * largest[TRAIN]),
        FolderSpace("weights to fetch", user_cache(), weight_bytes),
        FolderSpace("while one method renders, at most", Path(tempfile.gettempdir()), largest[RENDER]),
    ]


def file_systems(folders: Iterable[FolderSpace]) -> list[FileSystem]:
    """The file systems of these folders."""
    needed: dict[int, list[float]] = {}
    mounts: dict[int, Path] = {}
    for place in folders:
        folder = _existing(place.folder)
        device = folder.stat().st_dev
        needed.setdefault(device, []).append(place.bytes)
        mounts.setdefault(device, _mount(folder, device))
    return [FileSystem(mount, sum(needed[device]), free_at(mount)) for device, mount in mounts.items()]


def free_at(folder: Path) -> float:
    """Bytes that this user may still write where the folder is, or will be made."""
    return shutil.disk_usage(_existing(folder)).free


def needs_of(systems: Iterable[FileSystem]) -> list[Need]:
    """File systems with too little space."""
    return [
        Need(
            STEPS[0],
            f"{system.mount}: {gigabytes(system.needed)} needed, {gigabytes(system.free)} free: "
            f"{gigabytes(system.needed - system.free)} too little",
            (
                "make room, or give another disk: `results:` of the configuration (a folder in it may be a "
                "link), EADBENCH_CACHE for weights, TMPDIR for the temporary folder",
            ),
        )
        for system in systems
        if system.needed > system.free
    ]


def summary_lines(folders: list[FolderSpace], systems: list[FileSystem]) -> list[str]:
    """Lines for print: every folder, then every file system."""
    width = max(len(str(planned.folder)) for planned in folders)
    return [
        *(
            f"{planned.folder!s:{width}}  {gigabytes(planned.bytes):>8}  {planned.what}".rstrip()
            for planned in folders
        ),
        *(
            f"in all on {system.mount}: {gigabytes(system.needed)}, free: {gigabytes(system.free)}"
            for system in systems
        ),
        NOT_COUNTED,
    ]


def gigabytes(size: float) -> str:
    """A size for print."""
    return f"{size / 1e9:,.0f} GB" if size >= 10e9 else f"{size / 1e9:.1f} GB"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.expanduser().absolute()
    return next(candidate for candidate in (folder, *folder.parents) if candidate.exists()).resolve()


def _mount(folder: Path, device: int) -> Path:
    """The highest folder of its file system."""
    while folder != folder.parent and folder.parent.stat().st_dev == device:
        folder = folder.parent
    return folder


def _size(folder: Path) -> float:
    """Bytes of all files below; 0 where there is no folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # a running job may remove a file
                total += Path(parent, name).lstat().st_size
    return total
