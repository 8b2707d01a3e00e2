"""Render the test clips of a corpus with one method: one row per clip, whatever happens."""

import hashlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eadbench.core import provenance, schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import disk_is_full, full_disk, sha256_of
from eadbench.core.progress import track
from eadbench.core.scratch import scratch_folder
from eadbench.core.tables import DROPPED, FAILED, KEPT, check_not_all_failed, relative_to, write_table
from eadbench.samples.finish import finish
from eadbench.samples.manifest import FPS, Job, build_jobs
from eadbench.samples.methods import make_method
from eadbench.samples.methods.base import BAD_CLIP, Context, Method, Raw

log = logging.getLogger(__name__)
REAL_FOOTAGE = {"ground_truth", "shuffled_audio", "copied_input", "still"}


def make(name: str, corpus: str, protocol: str, clips_table: Path, context: Context, out: Path) -> None:
    """Write ``out`` (``schemas.SAMPLES``) and ``videos/{clip_id}.mp4`` beside it.

    Clips finished by an interrupted run with the same inputs are kept (``progress.jsonl``).

    Raises:
        EadbenchError: If the method is unknown, or every clip failed.
    """
    started = time.time()
    options = context.samples.methods.get(name)
    if options is None:
        known = ", ".join(sorted(context.samples.methods))
        raise EadbenchError(f"no method {name!r} in the config", "samples.methods", f"known: {known}")
    jobs = build_jobs(clips_table, corpus, protocol, context.samples, context.seed)
    method = make_method(name, options, context)
    folder = out.parent
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    reason = impossible(method, protocol)
    if reason:
        log.warning("%s cannot run: %s", name, reason)
        rows = [_row(job, name, method, DROPPED, reason) for job in jobs]
    else:
        try:
            rows = list(_rows(method, jobs, folder))
        finally:
            method.close()
    check_not_all_failed([row["status"] for row in rows], f"clips of {name}", folder)
    seals.seal_files(folder, [folder / row["video"] for row in rows if row.get("video")], out)
    write_table(out, rows, schemas.SAMPLES, sort_by="clip_id")
    provenance.write(folder, options.model_dump(), {"clips": sha256_of(clips_table), "method": method.hash}, started)
    (folder / "progress.jsonl").unlink(missing_ok=True)
    _remove_strangers(folder / "videos", {row["clip_id"] for row in rows if row["status"] == KEPT})
    log.info("%s on %s (%s): %s", name, corpus, protocol, _counts(rows))


def impossible(method: Method, protocol: str) -> str:
    """Why the method cannot render any clip; empty if it can try."""
    if protocol not in method.protocols:
        return f"cannot do protocol {protocol!r} (can do: {', '.join(sorted(method.protocols))})"
    return "; ".join(map(str, method.lacks()))


def _rows(method: Method, jobs: list[Job], folder: Path) -> Iterator[dict[str, Any]]:
    done = _Progress(folder / "progress.jsonl")
    keys = {job.clip_id: _key(method, job) for job in jobs}
    found = {job.clip_id: done.row(keys[job.clip_id], folder) for job in jobs}
    left = [job for job in jobs if found[job.clip_id] is None]
    if len(left) < len(jobs):
        log.info("%s: %d of %d clips were finished by an earlier run", method.name, len(jobs) - len(left), len(jobs))
    possible = [job for job in left if not job.impossible]
    if possible:
        method.prepare(possible)
    for job in track(jobs, f"render {method.name}", unit="clip"):
        row = found[job.clip_id]
        if row is None:
            row = render_one(method, job, folder)
            done.add(keys[job.clip_id], row)
        yield row


def render_one(method: Method, job: Job, folder: Path) -> dict[str, Any]:
    """Render, align, encode and check one clip; the reason of a failure goes to its row."""
    target = folder / "videos" / f"{job.clip_id}.mp4"
    target.unlink(missing_ok=True)
    if job.impossible:
        return _row(job, method.name, method, DROPPED, job.impossible)
    if job.frames < 1:
        return _row(job, method.name, method, FAILED, "video or audio is shorter than one frame")
    with scratch_folder() as work:
        try:
            _reset_peak()
            start = time.perf_counter()
            raw = method.render(job, work)
            mark = None if method.options.kind in REAL_FOOTAGE else f"synthetic: rendered by eadbench, method {method.name}, clip {job.clip_id}"
            result = finish(raw, job, target, method.context.samples, mark)
            seconds = time.perf_counter() - start if raw.seconds is None else raw.seconds
        except EadbenchError as error:
            if disk_is_full(error, work):
                raise full_disk(work) from error
            log.warning("%s, %s: %s", method.name, job.clip_id, error)
            return _row(job, method.name, method, FAILED, " ".join(error.what.split()))
        except BAD_CLIP as error:  # the traceback is in the log
            if disk_is_full(error, work):
                raise full_disk(work) from error
            log.exception("%s, %s", method.name, job.clip_id)
            return _row(job, method.name, method, FAILED, f"{type(error).__name__}: {error}"[:500])
    cost = {
        "seconds": seconds,
        "realtime_factor": seconds / (result.frames / FPS),
        "peak_mb": _peak_mb() if raw.peak_mb is None else raw.peak_mb,
    }
    video = relative_to(target, folder)
    return _row(job, method.name, method, KEPT, "", raw) | cost | {"video": video, "frames": result.frames, "frames_raw": result.frames_raw}


def _row(job: Job, name: str, method: Method, status: str, reason: str, raw: Raw | None = None) -> dict[str, Any]:
    return {
        "clip_id": job.clip_id, "method": name, "corpus": job.corpus, "protocol": job.protocol,
        "driving_clip": (raw and raw.driving_clip) or job.driving_clip, "reference_clip": raw.reference_clip if raw else None,
        "speaker": job.speaker, "target_emotion": job.emotion, "target_intensity": job.intensity,
        "caption_source": raw.caption_source if raw else None, "run_hash": method.hash, "status": status, "reason": reason,
    }  # fmt: skip


class _Progress:
    """Rows that an interrupted run has finished, by a hash of everything that shaped them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:  # the line that the interruption cut
                continue
            self.rows[entry["key"]] = entry

    def row(self, key: str, folder: Path) -> dict[str, Any] | None:
        entry = self.rows.get(key)
        if entry is None:
            return None
        video = entry["row"].get("video")
        if video and (not (folder / video).exists() or sha256_of(folder / video) != entry["sha256"]):
            return None
        return entry["row"]

    def add(self, key: str, row: dict[str, Any]) -> None:
        if row["status"] != KEPT:  # what failed is tried again
            return
        entry = {"key": key, "row": row, "sha256": sha256_of(self.path.parent / row["video"])}
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry) + "\n")


def _key(method: Method, job: Job) -> str:
    files = [sha256_of(p) if p.exists() else "" for p in (job.video, job.audio, job.reference_video)]
    samples = method.context.samples
    shaped_by = [method.options.model_dump(), samples.sampler.model_dump(), samples.crf, samples.preset, method.hash, job.as_strings(), files]
    return hashlib.sha256(json.dumps(shaped_by, sort_keys=True, default=str).encode()).hexdigest()


def _remove_strangers(videos: Path, wanted: set[str]) -> None:
    """Remove results of clips that are no longer asked for."""
    for path in videos.glob("*.mp4"):
        if path.stem not in wanted:
            path.unlink()


def _cuda():
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def _reset_peak() -> None:
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def _peak_mb() -> float:
    """Peak of GPU memory since the last reset, or of this process's main memory, MiB."""
    if cuda := _cuda():
        return cuda.max_memory_allocated() / (1 << 20)
    return provenance.own_peak_mb()


def _counts(rows: list[dict]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    return ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
