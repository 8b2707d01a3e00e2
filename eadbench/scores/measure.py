"""Measure a cell: all clips that a method rendered of a corpus under a protocol."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from eadbench.core import provenance, schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of, write_text
from eadbench.core.progress import track
from eadbench.core.settings import shaping_for
from eadbench.core.tables import FAILED, KEPT, read_table, resolve, write_table
from eadbench.scores.clip import Measured, Measurer, Task
from eadbench.scores.config import ScoresConfig
from eadbench.scores.judges import Judges
from eadbench.scores.store import FEATURES, META, Features, load_facts, merge_parts, save_part

log = logging.getLogger(__name__)
PARTS = ".measured"


def cell_tasks(samples_table: Path, clips_table: Path, protocol: str) -> list[Task]:
    """One task per row of the table of samples.

    Raises:
        EadbenchError: If a sample's clip is not in the table of clips.
    """
    clips = read_table(clips_table, schemas.CLIPS).set_index("clip_id")
    samples = read_table(samples_table, schemas.SAMPLES)
    unknown = sorted(set(samples.clip_id) - set(clips.index))
    if unknown:
        raise EadbenchError(
            f"{len(unknown)} samples are of clips that the table lacks, e.g. {unknown[0]}", clips_table, "give the corpus's own table"
        )

    def path(clip_id: str, column: str) -> Path | None:
        value = clips.at[clip_id, column] if clip_id in clips.index else None
        return resolve(clips_table, value) if isinstance(value, str) and value else None

    tasks = []
    for row in samples.sort_values("clip_id").itertuples():
        kept = row.status == KEPT
        tasks.append(
            Task(
                clip_id=row.clip_id,
                speaker=_text(row.speaker),
                emotion=_text(row.target_emotion),
                fake=resolve(samples_table, row.video) if kept and _text(row.video) else None,
                real=path(row.clip_id, "video"),
                audio=path(_text(row.driving_clip) or row.clip_id, "audio"),
                frames=int(row.frames) if pd.notna(row.frames) else None,
                unpaired="" if protocol == "self" else f"frames do not correspond under protocol {protocol}",
                problem="" if kept else row.reason or f"sample {row.status}",
                status=FAILED if kept else row.status,
            )
        )
    return tasks


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def measure_cell(
    cell: dict[str, str], tasks: list[Task], config: ScoresConfig, judges: Judges, out: Path, device: Any = "cpu", real: Path | None = None,
    reuse: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Measure tasks and write ``per_clip.parquet``, ``features.safetensors`` and ``measure.json``.

    Finished clips are kept aside while the work goes on; after an interruption they are not measured again unless the video, the config or a judge
    changed.

    Args:
        cell: ``method``, ``corpus``, ``protocol``.
        tasks: What to measure.
        config: How.
        judges: The networks.
        out: ``per_clip.parquet``; the others lie beside it.
        device: Where formulas run.
        real: Folder of the ground truth's cell, whose landmarks of the real videos are then used again.
        reuse: Whether a finished cell of the same content is left as it is.

    Returns:
        The rows of ``per_clip.parquet``.

    Raises:
        EadbenchError: If there is nothing to measure.
    """
    started = time.time()
    if not tasks:
        raise EadbenchError("nothing to measure", out, "the table of samples is empty")
    shaped_by = shaping_for("scores measure", config)
    common = json.dumps([shaped_by, {k: asdict(v) for k, v in judges.rulers.items()}, judges.missing], sort_keys=True, default=str)
    keys = [_key(task, common) for task in tasks]
    digest = hashlib.sha256("".join(keys).encode()).hexdigest()
    if reuse and _finished(out, digest):
        log.info("%s is measured already", out.parent)
        return read_table(out, schemas.PER_CLIP)
    folder = out.parent / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    known = Features(real / FEATURES) if real is not None and (real / FEATURES).exists() else None
    measurer = Measurer(config, judges, device, lambda clip: known.get("landmarks", clip) if known else None)
    rows, notes, parts = [], {}, []
    for task, key in track(list(zip(tasks, keys, strict=True)), f"measure {cell['method']} on {cell['corpus']}", unit="clip"):
        part = folder / f"{hashlib.sha256(task.clip_id.encode()).hexdigest()[:24]}.safetensors"
        facts = _measure_or_reuse(task, key, measurer, part)
        rows += [{**cell, **row} for row in facts["rows"]]
        if facts["notes"]:
            notes[task.clip_id] = facts["notes"]
        parts.append(part)
    measurer.close()
    out.unlink(missing_ok=True)  # of other content than what is written beside it from here on; a kill in between must not leave the two together
    merge_parts(parts, out.parent / FEATURES)
    meta = {
        "cell": cell,
        "key": digest,
        "clips": len(tasks),
        "rulers": {k: asdict(v) for k, v in judges.rulers.items()},
        "missing": judges.missing,
        "notes": notes,
    }
    write_text(out.parent / META, json.dumps(meta, indent=1, sort_keys=True) + "\n")
    seals.seal_files(out.parent, [out.parent / FEATURES, out.parent / META], out)
    provenance.write(out.parent, shaped_by, {k: v.weights_sha256 for k, v in judges.rulers.items()}, started)
    frame = pd.DataFrame(rows, columns=schemas.PER_CLIP.names)
    frame = frame.astype({"value": float, "resolution": "Int64", "frames": "Int64"})
    write_table(out, frame, schemas.PER_CLIP, ["clip_id", "metric"])
    shutil.rmtree(folder)
    return frame


def _finished(out: Path, digest: str) -> bool:
    try:
        return out.exists() and (out.parent / FEATURES).exists() and json.loads((out.parent / META).read_text())["key"] == digest
    except (OSError, ValueError, KeyError):
        return False


def _measure_or_reuse(task: Task, key: str, measurer: Measurer, part: Path) -> dict[str, Any]:
    facts = load_facts(part)
    if facts is not None and facts["key"] == key:
        return facts
    measured = measurer.measure(task)
    facts = {"key": key, "rows": list(_rows(task, measured, measurer.judges)), "notes": measured.notes}
    save_part(part, {f"{kind}/{task.clip_id}": value for kind, value in measured.features.items()}, facts)
    return facts


def _key(task: Task, common: str) -> str:
    """What a clip's values depend on: the files by content, the task, the config, the judges."""
    files = [sha256_of(path) if path is not None and path.is_file() else "" for path in (task.fake, task.real, task.audio)]
    text = json.dumps([common, files, task.clip_id, task.speaker, task.emotion, task.frames, task.unpaired, task.problem, task.crop])
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(task: Task, measured: Measured, judges: Judges) -> Iterable[dict[str, Any]]:
    for name, value in measured.values.items():
        ruler = judges.ruler(name, measured.size)
        yield {
            "clip_id": task.clip_id,
            "speaker": task.speaker,
            "emotion": task.emotion,
            "metric": name,
            "value": value.value,
            "extractor": ruler.extractor + (f" [{ruler.variant}]" if ruler.variant else ""),
            "weights_sha256": ruler.weights_sha256,
            "resolution": ruler.resolution,
            "frames": value.frames,
            "status": value.status,
            "reason": value.reason,
            "note": "; ".join(measured.notes) or None,
        }
