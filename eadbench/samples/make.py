"""Render the test clips of a corpus with one method: one row per clip, also where it
fails.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eadbench.core import provenance, schemas
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.files import disk_is_full, full_disk
from eadbench.core.job import Job
from eadbench.core.progress import track
from eadbench.core.protocols import protocol_of
from eadbench.core.scratch import scratch_folder
from eadbench.core.tables import DROPPED, FAILED, KEPT, relative_to
from eadbench.samples.config import rendering
from eadbench.samples.finish import finish
from eadbench.samples.manifest import FPS, RenderJob, build_jobs
from eadbench.samples.methods import make_method
from eadbench.samples.methods.base import Method, MethodContext, RawResult
from eadbench.samples.sources import Digests, reads

log = logging.getLogger(__name__)
REAL_FOOTAGE = {"ground_truth", "shuffled_audio", "copied_input", "still"}


def make(name: str, corpus: str, protocol: str, clips_table: Path, context: MethodContext, out: Path) -> None:
    """Write ``out`` (``schemas.SAMPLES``) and ``videos/{clip_id}.mp4`` beside it.

    Clips finished by an interrupted run with the same inputs are kept (``core.job``).

    Raises:
        EadbenchError: If the method is unknown, or every clip failed.
    """
    options = context.samples.methods.get(name)
    if options is None:
        valid_names = ", ".join(sorted(context.samples.methods))
        raise EadbenchError(f"no method {name!r} in the config", "samples.methods", f"known: {valid_names}")
    tasks = build_jobs(clips_table, corpus, protocol, context.samples, context.seed)
    method = make_method(name, options, context)
    folder = out.parent
    job = Job(
        out,
        options.model_dump(),
        _result_inputs(method, corpus, protocol),
        {"clips": clips_table, "method": method.hash},
    )
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    reason = impossible(method, protocol)
    if reason:
        log.warning("%s cannot run: %s", name, reason)
        rows = [_row(task, name, method, DROPPED, reason) for task in tasks]
    else:
        try:
            rows = list(_rows(method, tasks, job))
        finally:
            method.close()
    files = [folder / row["video"] for row in rows if row.get("video")]
    job.write(rows, schemas.SAMPLES, "clip_id", f"clips of {name}", files, folder)
    _remove_other_videos(folder / "videos", {row["clip_id"] for row in rows if row["status"] == KEPT})
    log.info("%s on %s (%s): %s", name, corpus, protocol, _counts(rows))


def impossible(method: Method, protocol: str) -> str:
    """Why the method cannot render any clip; empty if it can try."""
    base_protocol = protocol_of(protocol)
    if base_protocol not in method.protocols:
        return f"cannot do protocol {base_protocol!r} (can do: {', '.join(sorted(method.protocols))})"
    if missing_items := method.missing_items():
        return "; ".join(map(str, missing_items))
    if base_protocol == "dial" and not method.takes_intensity:
        return "cannot do protocol 'dial': it takes no intensity of the emotion"
    return ""


def _rows(method: Method, tasks: list[RenderJob], job: Job) -> Iterator[dict[str, Any]]:
    keys = {}
    for task in tasks:
        audio = [] if task.audio is None else [task.audio]
        files = [task.video, *audio, task.reference_video, *method.reads()]
        keys[task.clip_id] = job.key(task.facts(), *files)
    finished_rows = {clip_id: job.done(key) for clip_id, key in keys.items()}
    remaining = [task for task in tasks if finished_rows[task.clip_id] is None]
    finished = len(tasks) - len(remaining)
    if finished:
        log.info("%s: %d of %d clips were finished by an earlier run", method.name, finished, len(tasks))
    possible = [task for task in remaining if not task.impossible]
    if possible:
        method.prepare(possible)
    for task in track(tasks, f"render {method.name}", unit="clip"):
        row = finished_rows[task.clip_id]
        if row is None:
            row = render_one(method, task, job.folder)
            videos = [job.folder / row["video"]] if row.get("video") else []
            job.keep(keys[task.clip_id], row, videos)
        yield row


def render_one(method: Method, job: RenderJob, folder: Path) -> dict[str, Any]:
    """Render, align, encode and check one clip; the row of a failed one has the reason."""
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
            mark = None
            if method.options.kind not in REAL_FOOTAGE:
                mark = f"synthetic: rendered by eadbench, method {method.name}, clip {job.clip_id}"
            result = finish(raw, job, target, method.context.samples, mark)
            seconds = time.perf_counter() - start if raw.seconds is None else raw.seconds
        except Exception as error:
            if disk_is_full(error, work):
                raise full_disk(work) from error
            reason = reason_of(error, f"{method.name}, {job.clip_id}")
            log.warning("%s, %s: %s", method.name, job.clip_id, error)
            return _row(job, method.name, method, FAILED, reason)
    return _row(job, method.name, method, KEPT, "", raw) | {
        "seconds": seconds,
        "realtime_factor": seconds / (result.frames / FPS),
        "peak_mb": _peak_mb() if raw.peak_mb is None else raw.peak_mb,
        "video": relative_to(target, folder),
        "frames": result.frames,
        "frames_raw": result.frames_raw,
    }


def _row(
    job: RenderJob, name: str, method: Method, status: str, reason: str, raw: RawResult | None = None
) -> dict[str, Any]:
    return {
        "clip_id": job.clip_id,
        "method": name,
        "corpus": job.corpus,
        "protocol": job.protocol,
        "driving_clip": (raw and raw.driving_clip) or job.driving_clip,
        "reference_clip": raw.reference_clip if raw else None,
        "speaker": job.speaker,
        "target_emotion": job.emotion,
        "target_intensity": job.intensity,
        "caption_source": raw.caption_source if raw else None,
        "run_hash": method.hash,
        "status": status,
        "reason": reason,
    }


def _result_inputs(method: Method, corpus: str, protocol: str) -> list[Any]:
    """All that a result depends on, apart from the clip."""
    samples = method.context.samples
    digests = reads(method.options, corpus, protocol, Digests())
    return [rendering(method.options), samples.crf, samples.preset, method.hash, digests, method.context.seed]


def _remove_other_videos(videos: Path, clip_ids: set[str]) -> None:
    """Remove videos of other clips, which earlier runs rendered."""
    for path in videos.glob("*.mp4"):
        if path.stem not in clip_ids:
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
    counts = Counter(row["status"] for row in rows)
    return ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
