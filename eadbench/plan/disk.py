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
class Place:
    """A folder that will be written to: what for, and the bytes still to come."""

    what: str
    folder: Path
    bytes: float


@dataclass(frozen=True)
class Room:
    """A file system: where it is mounted, the bytes still to come, and those free."""

    mount: Path
    needed: float
    free: float


def places(configs: list[Path], settings: Settings, results: Path) -> list[Place]:
    """What a run from here on will write, by folder.

    Args:
        configs: Configuration files.
        settings: What they say.
        results: Folder of results; what lies in a stage's folder counts as written.

    Raises:
        EadbenchError: If Snakemake is not installed or refuses the configuration.
    """
    jobs = planned(configs).jobs
    found = costs(jobs, settings, counts(settings, results), load(None), {})
    stages: pd.Series = by_stage(jobs, found).set_index("stage")["disk_gb"].drop("all") * 1e9
    kept = [
        Place(
            "downloads" if name == "corpora" else "", results / name, max(0.0, size - _size(results / name))
        )
        for name, size in stages.items()
    ]
    largest = {
        rule: max((c.disk_mb * 1e6 for j, c in zip(jobs, found, strict=True) if j.rule == rule), default=0.0)
        for rule in (TRAIN, RENDER)
    }
    coming = sum(one.expected_bytes for one, here in published(settings, results).values() if not here)
    return [
        *(place for place in kept if place.bytes),
        Place("while one run trains", results / "training", WHILE_TRAINING * largest[TRAIN]),
        Place("weights to fetch", user_cache(), coming),
        Place("while one method renders, at most", Path(tempfile.gettempdir()), largest[RENDER]),
    ]


def rooms(found: Iterable[Place]) -> list[Room]:
    """The file systems of these folders."""
    needed: dict[int, list[float]] = {}
    mounts: dict[int, Path] = {}
    for place in found:
        there = _existing(place.folder)
        device = there.stat().st_dev
        needed.setdefault(device, []).append(place.bytes)
        mounts.setdefault(device, _mount(there, device))
    return [Room(mount, sum(needed[device]), free_at(mount)) for device, mount in mounts.items()]


def free_at(folder: Path) -> float:
    """Bytes that this user may still write where the folder is, or will be made."""
    return shutil.disk_usage(_existing(folder)).free


def needs_of(found: Iterable[Room]) -> list[Need]:
    """File systems with too little space."""
    return [
        Need(
            STEPS[0],
            f"{room.mount}: {gigabytes(room.needed)} needed, {gigabytes(room.free)} free: "
            f"{gigabytes(room.needed - room.free)} too little",
            (
                "make room, or give another disk: `results:` of the configuration (a folder in it may be a "
                "link), EADBENCH_CACHE for weights, TMPDIR for the temporary folder",
            ),
        )
        for room in found
        if room.needed > room.free
    ]


def told(found: list[Place], there: list[Room]) -> list[str]:
    """Lines for print: every folder, then every file system."""
    width = max(len(str(place.folder)) for place in found)
    return [
        *(f"{place.folder!s:{width}}  {gigabytes(place.bytes):>8}  {place.what}".rstrip() for place in found),
        *(
            f"in all on {room.mount}: {gigabytes(room.needed)}, free: {gigabytes(room.free)}"
            for room in there
        ),
        NOT_COUNTED,
    ]


def gigabytes(size: float) -> str:
    """A size for print."""
    return f"{size / 1e9:,.0f} GB" if size >= 10e9 else f"{size / 1e9:.1f} GB"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.expanduser().absolute()
    return next(one for one in (folder, *folder.parents) if one.exists()).resolve()


def _mount(folder: Path, device: int) -> Path:
    """The highest folder of its file system."""
    while folder != folder.parent and folder.parent.stat().st_dev == device:
        folder = folder.parent
    return folder


def _size(folder: Path) -> float:
    """Bytes of all files below; 0 where there is no folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # a run that works there may take a file away
                total += Path(where, name).lstat().st_size
    return total
