"""Measure a cell: all clips that a method rendered of a corpus under a protocol."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from eadbench.core import files, provenance, schemas, seals
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.files import write_text
from eadbench.core.job import Job
from eadbench.core.progress import track
from eadbench.core.settings import shaping_for
from eadbench.core.tables import FAILED, KEPT, read_rows, read_table
from eadbench.scores.clip import Measured, Measurer
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import Evaluators, write_signatures
from eadbench.scores.metrics import METRICS
from eadbench.scores.reference import References, signature_of_landmarks
from eadbench.scores.store import FEATURES, META, Features, merge_parts, save_part
from eadbench.scores.task import ANIMATES, ScoreTask

if TYPE_CHECKING:
    from eadbench.scores.workers import Workers

log = logging.getLogger(__name__)
PER_CLIP, PARTS, LOCK = "per_clip.parquet", ".measured", ".lock"
METHOD = 3  # counted up when values change for a reason that is in no key


def cell_tasks(
    samples_table: Path, clips_table: Path, protocol: str, drives: str = "video"
) -> list[ScoreTask]:
    """One task per row of the table of samples; ``drives`` as the method declares it.

    Raises:
        EadbenchError: If a sample's clip is not in the table of clips.
    """
    clips = {clip.clip_id: clip for clip in read_rows(clips_table, schemas.CLIPS)}
    samples = sorted(read_rows(samples_table, schemas.SAMPLES), key=attrgetter("clip_id"))
    unknown = sorted({sample.clip_id for sample in samples} - clips.keys())
    if unknown:
        raise EadbenchError(
            f"{len(unknown)} samples are of clips that the table does not hold, e.g. {unknown[0]}",
            clips_table,
            "give the corpus's own table",
        )

    tasks = []
    for sample in samples:
        has_video = sample.status == KEPT
        real, driving = clips[sample.clip_id], clips.get(sample.driving_clip or sample.clip_id)
        tasks.append(
            ScoreTask(
                clip_id=sample.clip_id,
                speaker=sample.speaker,
                emotion=sample.target_emotion,
                intensity=sample.target_intensity,
                fake=_verified(sample.video) if has_video else None,
                real=_verified(real.video),
                audio=_verified(driving.audio) if driving and protocol != "silent" else None,
                frames=sample.frames,
                unpaired="" if protocol == "self" else f"frames do not correspond under protocol {protocol}",
                unaligned=ANIMATES if drives == "image" else "",
                problem="" if has_video else sample.reason or f"sample {sample.status}",
                status=FAILED if has_video else sample.status,
            )
        )
    return tasks


def _verified(path: Path | None) -> Path | None:
    return path and seals.checked(path)


def measure_cell(
    cell: dict[str, str],
    tasks: list[ScoreTask],
    config: ScoresConfig,
    evaluators: Evaluators,
    out: Path,
    real: Path | None = None,
    reuse: bool = False,
    workers: "Workers | None" = None,
    join: bool = True,
) -> pd.DataFrame | None:
    """Measure tasks and write ``per_clip.parquet``, ``features.safetensors`` and
    ``measure.json``.

    Finished clips are stored while the work goes on; after an interruption they are not
    measured again unless the video, the config or an evaluator changed. Clips that
    failed for a reason that may pass are tried again.

    Args:
        cell: ``method``, ``corpus``, ``protocol``.
        tasks: What to measure.
        config: How.
        evaluators: The networks.
        out: ``per_clip.parquet``; the others lie beside it.
        real: Folder of the ground truth's cell; what it holds of the real videos is used
            again.
        reuse: Whether of a finished cell the clips that did not change are left as they
            are.
        workers: Processes that measure; ``None`` for this one.
        join: Whether the files are written; if not, what was measured is stored for the
            next call, as after an interruption.

    Returns:
        The rows of ``per_clip.parquet``; ``None`` without ``join``.

    Raises:
        EadbenchError: If there is nothing to measure.
        FatalError: If a video was changed since it was made.
    """
    if not tasks:
        raise EadbenchError("nothing to measure", out, "the table of samples is empty")
    settings, folder = shaping_for("scores measure", config), out.parent
    signatures = {role: asdict(signature) for role, signature in evaluators.signatures.items()}
    weights = {role: signature.weights_sha256 for role, signature in evaluators.signatures.items()}
    shaping = [METHOD, signature_of_landmarks(), settings, signatures, evaluators.missing]
    with _locked(folder):
        earlier = FinishedCell.read(out) if reuse else None
        job = Job(out, settings, shaping, weights, begin=False)
        keys = [job.key(*_key_parts(task)) for task in tasks]
        digest = _digest([[key, task.speaker] for task, key in zip(tasks, keys, strict=True)])
        if earlier is not None and earlier.digest == digest and not earlier.retryable:
            log.info("%s is measured already", folder)
            return read_table(out, schemas.PER_CLIP)
        items = [
            Item(task, key, folder / PARTS / f"{_digest(task.clip_id)[:24]}.safetensors")
            for task, key in zip(tasks, keys, strict=True)
        ]
        items[0].part.parent.mkdir(exist_ok=True)
        references = [*([real] if real else []), folder]
        measurer = Measurer(config, evaluators, References(references))
        results = _measured(cell, items, job, earlier, measurer, references, workers)
        if not join:
            return None
        job.begin()
        merge_parts([item.part for item in items], folder / FEATURES)
        meta = {
            "cell": cell,
            "key": digest,
            "clips": len(tasks),
            "signatures": signatures,
            "missing": evaluators.missing,
            "notes": {clip: result["notes"] for clip, result in results.items() if result["notes"]},
            "keys": {item.task.clip_id: item.key for item in items},
            "passing": [item.task.clip_id for item in items if results[item.task.clip_id]["passing"]],
            "references": dict(pair for result in results.values() for pair in result["reference"].items()),
        }
        write_text(folder / META, json.dumps(meta, indent=1, sort_keys=True) + "\n")
        rows = [
            {**cell, **row, "speaker": item.task.speaker}
            for item in items
            for row in results[item.task.clip_id]["rows"]
        ]
        frame = pd.DataFrame(rows, columns=schemas.PER_CLIP.names)
        frame = frame.astype({"value": float, "resolution": "Int64", "frames": "Int64"})
        job.write(frame, schemas.PER_CLIP, ["clip_id", "metric"], None, [folder / FEATURES, folder / META])
        shutil.rmtree(folder / PARTS)
        return frame


def measure_corpus(
    corpus: str,
    cells: dict[str, Path],
    clips: Path,
    config: ScoresConfig,
    evaluators: Evaluators,
    out: Path,
    real: Path | None = None,
    drives: Mapping[str, str] | None = None,
) -> None:
    """Measure the clips of cells of one corpus, for :func:`measure_cell` to join. A cell
    that cannot be measured is left to that function, which says why.

    Args:
        corpus: Its name.
        cells: Folder ``METHOD/CORPUS/PROTOCOL`` of each cell to its table of samples.
        clips: The corpus's table of clips.
        config: How.
        evaluators: The networks.
        out: Record of the networks to write when all is done.
        real: As :func:`measure_cell` takes it.
        drives: Method to what it declares to drive; ``video`` where nothing is said.

    Raises:
        EadbenchError: If a folder is not that of a cell of the corpus.
        FatalError: If a video was changed since it was made.
    """
    started = time.time()
    for folder, samples in cells.items():
        method, corpus_of_folder, protocol = ("", "", *Path(folder).parts)[-3:]
        if corpus_of_folder != corpus:
            raise EadbenchError(
                f"not the folder of a cell of {corpus}", folder, "give METHOD/CORPUS/PROTOCOL"
            )
        cell, target = {"method": method, "corpus": corpus, "protocol": protocol}, Path(folder, PER_CLIP)
        try:
            tasks = cell_tasks(samples, clips, protocol, (drives or {}).get(method, "video"))
            measure_cell(cell, tasks, config, evaluators, target, real, reuse=True, join=False)
        except EadbenchError as error:
            log.warning("%s is left to its own job: %s", folder, error)
    write_signatures(out, evaluators, config)
    provenance.write(out.parent, shaping_for("scores measure", config), started=started)


@dataclass(frozen=True)
class Item:
    """A clip to measure, the name of its result, and the file that holds its features
    until all are joined.
    """

    task: ScoreTask
    key: str
    part: Path


def _measured(
    cell: dict[str, str],
    items: list[Item],
    job: Job,
    earlier: "FinishedCell | None",
    measurer: Measurer,
    references: list[Path],
    workers: "Workers | None",
) -> dict[str, dict[str, Any]]:
    """By clip, the results of :func:`measure_item`; those of an interrupted run or a
    finished cell are used again.
    """
    results = {}
    for item in items:
        result = job.done(item.key)
        if result is None and earlier is not None:
            result = earlier.restore(item.task.clip_id, item.key, item.part)
            if result is not None:
                job.keep(item.key, result, [item.part])
        if result is not None:
            results[item.task.clip_id] = result
    remaining = [item for item in items if item.task.clip_id not in results]
    if workers:
        measured = workers.measure(remaining, references)
    else:
        measured = ((item, measure_item(item, measurer)) for item in remaining)
    title = f"measure {cell['method']} on {cell['corpus']}"
    for item, result in track(measured, title, len(remaining), "clip"):
        results[item.task.clip_id] = result
        if not result["passing"]:
            job.keep(item.key, result, [item.part])
    measurer.close()
    return results


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a cell."""
    folder.mkdir(parents=True, exist_ok=True)
    with files.exclusive_lock((folder / LOCK).open("w"), folder, "wait for it, or give another place"):
        yield


@dataclass
class FinishedCell:
    """A cell of an earlier run, whose clips are used again.

    Attributes:
        digest: Of the keys of all clips.
        keys: Clip -> name of its result, which changes with the files and settings.
        retryable: Clips that another try may measure.
        notes: Clip -> what was done to its files.
        references: sha256 of a real video -> what was computed of it.
        rows: Clip -> its rows, without the names of the cell.
        features: The features of all clips.
    """

    digest: str
    keys: dict[str, str]
    retryable: list[str]
    notes: dict[str, list[str]]
    references: dict[str, dict[str, Any]]
    rows: dict[str, list[dict[str, Any]]]
    features: Features

    @classmethod
    def read(cls, out: Path) -> "FinishedCell | None":
        """The cell of that ``per_clip.parquet``; ``None`` if there is none, or not
        whole.
        """
        try:
            seals.check(out.parent / META)
            meta = json.loads((out.parent / META).read_text())
            columns = [name for name in schemas.PER_CLIP.names if name not in meta["cell"]]
            rows: dict[str, list[dict[str, Any]]] = {}
            for row in read_rows(out, schemas.PER_CLIP):
                rows.setdefault(row.clip_id, []).append({name: getattr(row, name) for name in columns})
            return cls(
                digest=meta["key"],
                keys=meta["keys"],
                retryable=meta["passing"],
                notes=meta["notes"],
                references=meta["references"],
                rows=rows,
                features=Features(out.parent / FEATURES),
            )
        except (OSError, ValueError, KeyError, EadbenchError, FatalError):
            return None

    def restore(self, clip_id: str, key: str, part: Path) -> dict[str, Any] | None:
        """A clip's result and part as they were while the cell was measured, if nothing
        changed and it did not fail.
        """
        if self.keys.get(clip_id) != key or clip_id in self.retryable or clip_id not in self.rows:
            return None
        save_part(part, self.features.of_clip(clip_id))
        return {
            "rows": self.rows[clip_id],
            "notes": self.notes.get(clip_id, []),
            "passing": False,
            "reference": {
                content: facts for content, facts in self.references.items() if facts["clip"] == clip_id
            },
        }


def measure_item(item: Item, measurer: Measurer) -> dict[str, Any]:
    """Measure one clip and write its part.

    Returns:
        ``rows``, ``notes``, ``passing`` (whether another try may give more) and
        ``reference`` (what was computed of the real video).
    """
    task, measured = item.task, measurer.measure(item.task)
    reference = measured.reference
    tensors = measured.features | (reference["tensors"] if reference else {})
    save_part(item.part, {f"{kind}/{task.clip_id}": value for kind, value in tensors.items()})
    return {
        "rows": list(_rows(task, measured, measurer.evaluators)),
        "notes": measured.notes,
        "passing": measured.retryable,
        "reference": {measurer.content(task.real): reference["facts"]} if reference else {},
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _key_parts(task: ScoreTask) -> tuple[Any, ...]:
    """What a clip's values depend on: its facts, and the files."""
    paths = {"fake": task.fake, "real": task.real, "audio": task.audio}
    paths = {name: path for name, path in paths.items() if path is not None}
    facts = [task.clip_id, task.emotion, task.frames, task.unpaired, task.unaligned, task.problem]
    facts += [task.status, task.crop, task.intensity]
    return [*facts, list(paths)], *paths.values()


def _rows(task: ScoreTask, measured: Measured, evaluators: Evaluators) -> Iterable[dict[str, Any]]:
    for name, value in measured.values.items():
        size = measured.pair_size if METRICS[name].paired else measured.size
        signature = evaluators.signature(name, size)
        yield {
            "clip_id": task.clip_id,
            "speaker": task.speaker,
            "emotion": task.emotion,
            "metric": name,
            "value": value.value,
            "extractor": signature.extractor + (f" [{signature.variant}]" if signature.variant else ""),
            "weights_sha256": signature.weights_sha256,
            "resolution": signature.resolution,
            "frames": value.frames,
            "status": value.status,
            "reason": value.reason,
            "note": "; ".join(measured.notes) or None,
        }
