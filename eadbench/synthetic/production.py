"""From a plan to a finished studio folder: workers, resume, lists, ``studio.json``."""

import hashlib
import json
import logging
import math
import multiprocessing
import os
import time
from pathlib import Path

from eadbench.core import seals
from eadbench.core.children import die_with_parent
from eadbench.core.errors import EadbenchError, ExplainedError
from eadbench.core.files import sha256_of, write_text
from eadbench.core.job import Notes
from eadbench.core.progress import track
from eadbench.synthetic.config import MEAD_EMOTIONS, StudioConfig
from eadbench.synthetic.crew import as_json, cast_facts, film
from eadbench.synthetic.jobs import MEAN_SECONDS, TAKES, FilmJob, jobs_of
from eadbench.synthetic.lists import write_hdtf_lists, write_ravdess_archives

log = logging.getLogger(__name__)
VERSION = 3  # raise it when the same job would film something else
DIARY = ".filmed.jsonl"
MEN = tuple(f"M{n:03d}" for n in (3, 5, 7, 9, 11, 12, 13, 19, *range(22, 36), 37, 39, 40, 41, 42))
WOMEN = tuple(
    f"W{n:03d}" for n in (9, 11, 14, 15, 16, 17, 18, 19, 21, 23, 24, 25, 26, 28, 29, 33, 35, 36, 37, 38, 40)
)
TESTED = ("M003", "W009", "M030", "W015")  # the customary test actors of MEAD


def made_to_measure(actors: int, minutes: float, size: int) -> StudioConfig:
    """A MEAD-like corpus of so many actors and about so many minutes; a tenth of the
    actors (at most 4) speak the test sentences.
    """
    pairs = [name for pair in zip(MEN, WOMEN, strict=False) for name in pair] + list(MEN[len(WOMEN) :])
    tested = list(TESTED[: max(1, min(4, actors // 10))]) if actors > 1 else []
    chosen = tested + [name for name in pairs if name not in tested][: actors - len(tested)]
    folders = 1 + 3 * (len(MEAD_EMOTIONS) - 1)
    sentences = max(1, math.ceil(minutes * 60 / (actors * folders * MEAN_SECONDS)))
    return StudioConfig(
        layout="mead",
        actors=sorted(chosen),
        test_actors=tested,
        sentences=sentences,
        size=(size, size),
        fps="30",
    )


def produce(config: StudioConfig, seed: int, target: Path, workers: int = 0) -> None:
    """Film a corpus into the folder of ``target`` (``studio.json``).

    Files that an earlier run wrote with the same parameters are kept; files of an
    earlier plan that this one lacks are removed.

    Raises:
        EadbenchError: If a job fails.
    """
    started = time.time()
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    jobs = jobs_of(config, seed)
    diary = Notes(folder / DIARY)
    done = _still_good(folder, jobs, diary)
    left = [job for job in jobs if job.key not in done]
    count = min(workers or os.cpu_count() or 1, max(len(left), 1))
    log.info(
        "studio %s: %d recordings, %d there already, %d workers", config.layout, len(jobs), len(done), count
    )
    for job in track(_filmed(folder, left, count), f"film {config.layout}", total=len(left), unit="take"):
        entry = _entry(folder, job)
        diary.add(job.key, entry)
        done[job.key] = entry["files"]
    extra = {"hdtf": write_hdtf_lists, "ravdess": write_ravdess_archives}.get(config.layout, lambda *_: [])(
        folder, jobs
    )
    _write_summary(target, config, seed, jobs, done, extra)
    log.info("studio %s: done in %.1f s", config.layout, time.time() - started)


def _filmed(folder: Path, jobs: list[FilmJob], workers: int):
    """Finished jobs in the order in which they end."""
    if workers <= 1:
        for job in jobs:
            yield _film_or_explain((str(folder), job))
        return
    context = multiprocessing.get_context("spawn")  # forks of a process with threads may hang
    chunk = max(1, min(8, len(jobs) // (4 * workers)))
    with context.Pool(workers, die_with_parent) as pool:
        yield from pool.imap_unordered(
            _film_or_explain, [(str(folder), job) for job in jobs], chunksize=chunk
        )


def _film_or_explain(task: tuple[str, FilmJob]) -> FilmJob:
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


def _entry(folder: Path, job: FilmJob) -> dict:
    files = [
        {"path": name, "bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        for name in job.files
    ]
    return {"fingerprint": _fingerprint(job), "files": files}


def _still_good(folder: Path, jobs: list[FilmJob], diary: Notes) -> dict[str, list[dict]]:
    """Recordings of an earlier run whose parameters and bytes are those wanted;
    whatever else it wrote is removed.
    """
    wanted = {job.key: _fingerprint(job) for job in jobs}
    good = {}
    for key, entry in diary.entries.items():
        paths = [folder / item["path"] for item in entry["files"]]
        same = wanted.get(key) == entry["fingerprint"]
        if same and all(
            p.exists() and sha256_of(p) == item["sha256"]
            for p, item in zip(paths, entry["files"], strict=True)
        ):
            good[key] = entry["files"]
        elif key not in wanted:
            for path in paths:
                path.unlink(missing_ok=True)
    for torn in folder.rglob(".part-*"):  # what a kill left
        torn.unlink(missing_ok=True)
    diary.keep_only(good)
    return good


def _write_summary(
    target: Path,
    config: StudioConfig,
    seed: int,
    jobs: list[FilmJob],
    done: dict[str, list[dict]],
    extra: list[str],
) -> None:
    folder = target.parent
    files = [item for job in jobs for item in done[job.key] if not item["path"].startswith(TAKES)]
    files += [
        {"path": name, "bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        for name in extra
    ]
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
    sums = {item["path"]: item["sha256"] for item in files}
    seals.seal(folder, sums | seals.sums_of(folder, [target]), target)
