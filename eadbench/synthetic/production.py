"""From a plan to a finished studio folder: workers, resume, lists, ``studio.json``."""

import hashlib
import json
import logging
import math
import multiprocessing
import os
import time
from collections.abc import Iterable
from pathlib import Path

from eadbench.core import seals
from eadbench.core.children import die_with_parent
from eadbench.core.errors import EadbenchError, ExplainedError
from eadbench.core.files import sha256_of, write_text
from eadbench.core.job import Notes
from eadbench.core.progress import track
from eadbench.synthetic.config import MEAD_EMOTIONS, StudioConfig
from eadbench.synthetic.filming import as_json, cast_facts, film
from eadbench.synthetic.jobs import MEAN_SECONDS, TAKES, FilmJob, jobs_of
from eadbench.synthetic.lists import write_hdtf_lists, write_ravdess_archives

log = logging.getLogger(__name__)
VERSION = 3  # raise it when the same job would film something else
RECORDS = ".filmed.jsonl"
MEN = tuple(f"M{n:03d}" for n in (3, 5, 7, 9, 11, 12, 13, 19, *range(22, 36), 37, 39, 40, 41, 42))
WOMEN = tuple(
    f"W{n:03d}" for n in (9, 11, 14, 15, 16, 17, 18, 19, 21, 23, 24, 25, 26, 28, 29, 33, 35, 36, 37, 38, 40)
)
TEST_ACTORS = ("M003", "W009", "M030", "W015")  # the customary test actors of MEAD


def mead_like_config(actors: int, minutes: float, size: int) -> StudioConfig:
    """A MEAD-like corpus of so many actors and about so many minutes; a tenth of the
    actors (at most 4) speak the test sentences.
    """
    names = [name for pair in zip(MEN, WOMEN, strict=False) for name in pair] + list(MEN[len(WOMEN) :])
    test_actors = list(TEST_ACTORS[: max(1, min(4, actors // 10))]) if actors > 1 else []
    chosen = test_actors + [name for name in names if name not in test_actors][: actors - len(test_actors)]
    folders_per_actor = 1 + 3 * (len(MEAD_EMOTIONS) - 1)
    sentences = max(1, math.ceil(minutes * 60 / (actors * folders_per_actor * MEAN_SECONDS)))
    return StudioConfig(
        layout="mead",
        actors=sorted(chosen),
        test_actors=test_actors,
        sentences=sentences,
        size=(size, size),
        fps="30",
    )


def produce(config: StudioConfig, seed: int, target: Path, workers: int = 0) -> None:
    """Film a corpus into the folder of ``target`` (``studio.json``).

    Files that an earlier run wrote with the same parameters are kept; files of an
    earlier plan that are not in this one are removed.

    Raises:
        EadbenchError: If a job fails.
    """
    started = time.time()
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    jobs = jobs_of(config, seed)
    records = Notes(folder / RECORDS)
    filmed_files = _reusable_recordings(folder, jobs, records)
    pending = [job for job in jobs if job.key not in filmed_files]
    worker_count = min(workers or os.cpu_count() or 1, max(len(pending), 1))
    log.info(
        "studio %s: %d recordings, %d there already, %d workers",
        config.layout,
        len(jobs),
        len(filmed_files),
        worker_count,
    )
    for job in track(
        _filmed(folder, pending, worker_count), f"film {config.layout}", total=len(pending), unit="take"
    ):
        filmed_files[job.key] = _facts_of_files(folder, job.files)
        records.add(job.key, {"fingerprint": _fingerprint(job), "files": filmed_files[job.key]})
    layout_files = []
    if config.layout == "hdtf":
        layout_files = write_hdtf_lists(folder, jobs)
    elif config.layout == "ravdess":
        layout_files = write_ravdess_archives(folder, jobs)
    _write_summary(target, config, seed, jobs, filmed_files, layout_files)
    log.info("studio %s: done in %.1f s", config.layout, time.time() - started)


def _filmed(folder: Path, jobs: list[FilmJob], workers: int):
    """Finished jobs in the order in which they end."""
    if workers <= 1:
        for job in jobs:
            yield _film((str(folder), job))
        return
    context = multiprocessing.get_context("spawn")  # forks of a process with threads may hang
    chunk = max(1, min(8, len(jobs) // (4 * workers)))
    with context.Pool(workers, die_with_parent) as pool:
        tasks = [(str(folder), job) for job in jobs]
        yield from pool.imap_unordered(_film, tasks, chunksize=chunk)


def _film(task: tuple[str, FilmJob]) -> FilmJob:
    folder, job = task
    try:
        return film(folder, job)
    except ExplainedError:
        raise
    except Exception as error:
        raise EadbenchError(
            f"filming failed: {type(error).__name__}: {error}",
            job.key,
            "report it with the seed and the config",
        ) from error


def _fingerprint(job: FilmJob) -> str:
    return hashlib.sha256(f"{VERSION}\n{as_json(job)}".encode()).hexdigest()


def _facts_of_files(folder: Path, names: Iterable[str]) -> list[dict]:
    return [
        {"path": name, "bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        for name in names
    ]


def _reusable_recordings(folder: Path, jobs: list[FilmJob], records: Notes) -> dict[str, list[dict]]:
    """Files of an earlier run's recordings whose parameters are those of ``jobs`` and
    whose bytes are unchanged; all else that it wrote is removed.
    """
    fingerprints = {job.key: _fingerprint(job) for job in jobs}
    reusable = {}
    for key, entry in records.entries.items():
        paths = [folder / item["path"] for item in entry["files"]]
        if fingerprints.get(key) == entry["fingerprint"] and _unchanged(paths, entry["files"]):
            reusable[key] = entry["files"]
        elif key not in fingerprints:
            for path in paths:
                path.unlink(missing_ok=True)
    for partial in folder.rglob(".part-*"):  # left by a killed run
        partial.unlink(missing_ok=True)
    records.keep_only(reusable)
    return reusable


def _unchanged(paths: list[Path], files: list[dict]) -> bool:
    pairs = zip(paths, files, strict=True)
    return all(path.exists() and sha256_of(path) == item["sha256"] for path, item in pairs)


def _write_summary(
    target: Path,
    config: StudioConfig,
    seed: int,
    jobs: list[FilmJob],
    filmed_files: dict[str, list[dict]],
    layout_files: list[str],
) -> None:
    folder = target.parent
    files = [item for job in jobs for item in filmed_files[job.key] if not item["path"].startswith(TAKES)]
    files += _facts_of_files(folder, layout_files)
    takes = [
        {
            "file": job.key.removeprefix(f"{TAKES}/"),
            "actor": job.actor,
            "fault": job.fault,
            "lines": [list(line) for line in job.lines],
        }
        for job in jobs
    ]
    summary = {
        "what": "drawn actors with synthesised voices; no real person",
        "version": VERSION,
        "seed": seed,
        "studio": config.model_dump(mode="json"),
        "cast": {
            actor: cast_facts(seed, config.layout, actor)
            for actor in dict.fromkeys(job.actor for job in jobs)
        },
        "files": sorted(files, key=lambda item: item["path"]),
        "takes": takes,
    }
    write_text(target, json.dumps(summary, indent=1) + "\n")
    checksums = {item["path"]: item["sha256"] for item in files}
    seals.seal(folder, checksums | seals.sums_of(folder, [target]), target)
