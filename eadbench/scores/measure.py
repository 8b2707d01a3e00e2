"""Measure a cell: all clips that a method rendered of a corpus under a protocol."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from eadbench.core import files, provenance, schemas, seals
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.files import write_text
from eadbench.core.progress import track
from eadbench.core.settings import shaping_for
from eadbench.core.tables import FAILED, KEPT, read_table, resolve, write_table
from eadbench.scores.clip import Measured, Measurer, Task
from eadbench.scores.config import ScoresConfig
from eadbench.scores.judges import Judges
from eadbench.scores.metrics import METRICS
from eadbench.scores.reference import References
from eadbench.scores.store import FEATURES, META, Features, load_facts, merge_parts, save_part

if TYPE_CHECKING:
    from eadbench.scores.workers import Workers

log = logging.getLogger(__name__)
PARTS, LOCK = ".measured", ".lock"
METHOD = 2  # counted up when values change that no key tells of


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
    reuse: bool = False, workers: "Workers | None" = None,
) -> pd.DataFrame:  # fmt: skip
    """Measure tasks and write ``per_clip.parquet``, ``features.safetensors`` and ``measure.json``.

    Finished clips are kept aside while the work goes on; after an interruption they are not measured again unless the video, the config or a judge
    changed. Clips that failed are tried again.

    Args:
        cell: ``method``, ``corpus``, ``protocol``.
        tasks: What to measure.
        config: How.
        judges: The networks.
        out: ``per_clip.parquet``; the others lie beside it.
        device: Where formulas run.
        real: Folder of the ground truth's cell; what it learnt of the real videos is used again.
        reuse: Whether of a finished cell the clips that did not change are left as they are.
        workers: Processes that measure; ``None`` for this one.

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
    with _alone(out.parent):
        references = [*([real] if real else []), out.parent]
        measurer = Measurer(config, judges, device, References(references))
        keys = [_key(task, common, measurer) for task in tasks]
        digest = hashlib.sha256(json.dumps([[key, task.speaker] for task, key in zip(tasks, keys, strict=True)]).encode()).hexdigest()
        earlier = Earlier.read(out) if reuse else None
        if earlier is not None and earlier.digest == digest and not earlier.passing:
            log.info("%s is measured already", out.parent)
            return read_table(out, schemas.PER_CLIP)
        parts = [out.parent / PARTS / f"{hashlib.sha256(task.clip_id.encode()).hexdigest()[:24]}.safetensors" for task in tasks]
        parts[0].parent.mkdir(parents=True, exist_ok=True)
        if earlier is not None:
            for task, key, part in zip(tasks, keys, parts, strict=True):
                if not part.exists():
                    earlier.restore(task.clip_id, key, part)
        if workers is not None:
            items = [(task, key, part) for task, key, part in zip(tasks, keys, parts, strict=True) if not task.problem]
            for _ in track(workers.measure(items, references), f"measure {cell['method']} on {cell['corpus']}", len(items), "clip"):
                pass
        return _measure(cell, tasks, keys, parts, digest, measurer, out, started, retry=workers is None)


def _measure(
    cell: dict[str, str], tasks: list[Task], keys: list[str], parts: list[Path], digest: str, measurer: Measurer, out: Path, started: float,
    retry: bool,
) -> pd.DataFrame:  # fmt: skip
    config, judges = measurer.config, measurer.judges
    rows, notes, references, passing = [], {}, {}, []
    for task, key, part in track(list(zip(tasks, keys, parts, strict=True)), f"measure {cell['method']} on {cell['corpus']}", unit="clip"):
        facts = measure_part(task, key, measurer, part, retry)
        rows += [{**cell, **row, "speaker": task.speaker} for row in facts["rows"]]
        if facts["notes"]:
            notes[task.clip_id] = facts["notes"]
        if facts["passing"]:
            passing.append(task.clip_id)
        references |= facts["reference"]
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
        "keys": {task.clip_id: key for task, key in zip(tasks, keys, strict=True)},
        "passing": passing,
        "references": references,
    }
    write_text(out.parent / META, json.dumps(meta, indent=1, sort_keys=True) + "\n")
    seals.seal_files(out.parent, [out.parent / FEATURES, out.parent / META], out)
    provenance.write(out.parent, shaping_for("scores measure", config), {k: v.weights_sha256 for k, v in judges.rulers.items()}, started)
    frame = pd.DataFrame(rows, columns=schemas.PER_CLIP.names)
    frame = frame.astype({"value": float, "resolution": "Int64", "frames": "Int64"})
    write_table(out, frame, schemas.PER_CLIP, ["clip_id", "metric"])
    shutil.rmtree(out.parent / PARTS)
    return frame


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the right to write a cell.

    Raises:
        EadbenchError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with files.alone((folder / LOCK).open("w"), folder, "wait for it, or give another place"):
        yield


@dataclass
class Earlier:
    """A finished cell, whose clips are used again."""

    digest: str
    keys: dict[str, str]
    passing: list[str]
    notes: dict[str, list[str]]
    references: dict[str, dict[str, Any]]
    rows: dict[str, list[dict[str, Any]]]
    features: Features

    @classmethod
    def read(cls, out: Path) -> "Earlier | None":
        """The cell of that ``per_clip.parquet``; ``None`` if there is none, or not whole."""
        try:
            meta = json.loads((out.parent / META).read_text())
            columns = [name for name in schemas.PER_CLIP.names if name not in meta["cell"]]
            table = read_table(out, schemas.PER_CLIP)
            table = table.astype(object).where(table.notna(), None)
            rows: dict[str, list[dict[str, Any]]] = {}
            for row in table[columns].to_dict("records"):
                rows.setdefault(row["clip_id"], []).append(row)
            features = Features(out.parent / FEATURES)
            return cls(meta["key"], meta["keys"], meta["passing"], meta["notes"], meta["references"], rows, features)
        except (OSError, ValueError, KeyError, EadbenchError, FatalError):
            return None

    def restore(self, clip_id: str, key: str, part: Path) -> None:
        """Write the clip's part as it was while the cell was measured, if its key is the same and it did not fail."""
        if self.keys.get(clip_id) != key or clip_id in self.passing or clip_id not in self.rows:
            return
        reference = {content: facts for content, facts in self.references.items() if facts["clip"] == clip_id}
        facts = {"key": key, "rows": self.rows[clip_id], "notes": self.notes.get(clip_id, []), "passing": False, "reference": reference}
        save_part(part, self.features.of_clip(clip_id), facts)


def measure_part(task: Task, key: str, measurer: Measurer, part: Path, retry: bool = True) -> dict[str, Any]:
    """Measure one clip and keep it in its part, unless the part holds it under that key.

    Args:
        task: The clip.
        key: What its values depend on.
        measurer: Measures it.
        part: File that keeps it.
        retry: Whether a clip that failed for a passing reason is tried again.

    Returns:
        Its rows, notes and what was learnt of the reference.
    """
    facts = load_facts(part)
    if facts is not None and facts["key"] == key and not (facts["passing"] and retry):
        return facts
    measured = measurer.measure(task)
    learnt = measured.reference
    facts = {
        "key": key,
        "rows": list(_rows(task, measured, measurer.judges)),
        "notes": measured.notes,
        "passing": measured.passing,
        "reference": {measurer.content(task.real): learnt["facts"]} if learnt else {},
    }
    tensors = measured.features | (learnt["tensors"] if learnt else {})
    save_part(part, {f"{kind}/{task.clip_id}": value for kind, value in tensors.items()}, facts)
    return facts


def _key(task: Task, common: str, measurer: Measurer) -> str:
    """What a clip's values depend on: the files by content, the task, the config, the judges."""
    files = [measurer.content(path) for path in (task.fake, task.real, task.audio)]
    text = json.dumps([METHOD, common, files, task.clip_id, task.emotion, task.frames, task.unpaired, task.problem, task.status, task.crop])
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(task: Task, measured: Measured, judges: Judges) -> Iterable[dict[str, Any]]:
    for name, value in measured.values.items():
        ruler = judges.ruler(name, measured.pair_size if METRICS[name].paired else measured.size)
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
