"""``eadbench score``: any folders of videos against a folder of real ones, paired by name."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from eadbench.core import provenance, schemas
from eadbench.core.emotions import common_name
from eadbench.core.errors import EadbenchError
from eadbench.core.files import write_text
from eadbench.core.tables import KEPT, write_table
from eadbench.scores.clip import Task
from eadbench.scores.config import ScoresConfig
from eadbench.scores.judges import Judges
from eadbench.scores.measure import measure_cell
from eadbench.scores.metrics import METRICS
from eadbench.scores.paired import signed_rank
from eadbench.scores.summarise import Cell, summarise_cell

VIDEO = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
SOUND = (".wav", ".m4a", ".mp3", ".flac", ".ogg", *VIDEO)
PROTOCOL = "self"
SHOWN = ("fid", "kid", "fvd", "ssim", "psnr", "lpips", "sync", "lse_d", "acc_emo", "csim", "m_lmd", "f_lmd", "motion_energy_ratio", "jitter_ratio")


@dataclass(frozen=True)
class Folders:
    """What to score: real videos, folders of generated ones, sound (else the videos' own), labels (a table of ``name``, ``emotion``, ``speaker``)."""

    real: Path
    fakes: tuple[Path, ...]
    audio: Path | None = None
    labels: Path | None = None


def files_by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Media files of a folder and its subfolders by name without suffix.

    Raises:
        EadbenchError: If there is no such folder, no such file in it, or two with the same name.
    """
    if not folder.is_dir():
        raise EadbenchError("no such folder", folder)
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise EadbenchError(f"two files are named {name!r}", path, "leave one of them")
        found[name] = path
    if not found:
        raise EadbenchError("the folder holds no media", folder, f"expected files named {', '.join('*' + s for s in suffixes)}")
    return found


def read_labels(path: Path | None) -> pd.DataFrame:
    """Labels by name: columns ``emotion`` (common vocabulary) and ``speaker``, null where unknown.

    Raises:
        EadbenchError: If the file cannot be read, lacks ``name`` or holds an unknown emotion.
    """
    if path is None:
        return pd.DataFrame(columns=["emotion", "speaker"])
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep=None, engine="python", dtype=str)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise EadbenchError(f"labels cannot be read: {error}", path, "a CSV, TSV or Parquet table with columns name, emotion, speaker") from error
    if "name" not in frame:
        raise EadbenchError("labels lack the column 'name'", path, "columns: name (file name without suffix), emotion, speaker")
    frame["name"] = [re.sub(rf"({'|'.join(map(re.escape, VIDEO))})$", "", name, flags=re.IGNORECASE) for name in frame["name"].astype(str)]
    frame = frame.drop_duplicates("name").set_index("name").reindex(columns=["emotion", "speaker"])
    try:
        frame["emotion"] = [common_name(e) if isinstance(e, str) and e.strip() else None for e in frame["emotion"]]
    except KeyError as error:
        raise EadbenchError(str(error.args[0]), path) from error
    return frame


def tasks_of(folders: Folders, fake: Path, crop: bool) -> list[Task]:
    """One task per real video, and one per generated video that has no real one."""
    real, made, labels = files_by_name(folders.real, VIDEO), files_by_name(fake, VIDEO), read_labels(folders.labels)
    sound = files_by_name(folders.audio, SOUND) if folders.audio else {}
    tasks = []
    for name in sorted(real.keys() | made.keys()):
        label = labels.loc[name] if name in labels.index else {"emotion": None, "speaker": None}
        task = Task(
            name,
            speaker=_text(label["speaker"]),
            emotion=_text(label["emotion"]),
            fake=made.get(name),
            real=real.get(name),
            audio=sound.get(name),
            crop=crop,
        )
        if name not in made:
            task = replace(task, problem="the method made no video of this name")
        elif name not in real:
            task = replace(task, problem="unpaired: no real video of this name")
        elif folders.audio and name not in sound:
            task = replace(task, audio=folders.audio / f"{name}.wav")  # its absence is then the reason of the metrics that need it
        tasks.append(task)
    return tasks


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def score_folders(
    folders: Folders, out: Path, config: ScoresConfig, judges: Judges, seed: int, crop: bool = False, device: Any = "cpu"
) -> pd.DataFrame:
    """Score folders; writes ``out`` (``schemas.SCORES``), Markdown and LaTeX beside it, and the cells in ``{out}.cells/``.

    Args:
        folders: What to score.
        out: The Parquet table.
        config: How.
        judges: The networks.
        seed: Seed of the bootstrap.
        crop: Whether each video is first cut to the face of the real one.
        device: Where formulas run.
    """
    names = _names(folders)
    cells_folder = out.with_name(out.name + ".cells")
    tasks = {name: tasks_of(folders, fake, crop) for name, fake in {"real": folders.real, **names}.items()}  # all folders are looked at first
    cells = {}
    for name, tasks_of_cell in tasks.items():
        cell = {"method": name, "corpus": folders.real.name or "real", "protocol": PROTOCOL}
        target = cells_folder / name / "per_clip.parquet"
        real = cells_folder / "real" if name != "real" else None
        measure_cell(cell, tasks_of_cell, config, judges, target, device, real, reuse=True)
        cells[name] = Cell.read(target.parent)
    frames = [summarise_cell(cell, cells["real"], config, seed) for cell in cells.values()]
    first = next(iter(names))
    scores = pd.concat(frames, ignore_index=True)
    scores["direction"] = [METRICS[m].direction for m in scores.metric]
    scores["reference_method"] = first
    tests = [
        _paired_test(cells[m], cells[first], metric) if m not in ("real", first) else (None, None)
        for m, metric in zip(scores.method, scores.metric, strict=True)
    ]
    scores["p_value"], scores["n_common"] = ([t[k] for t in tests] for k in (0, 1))
    scores["seed"], scores["commit"], scores["run_hash"] = seed, provenance.git_commit(), None
    scores = scores.astype({"n_common": "Int64", "p_value": float})[schemas.SCORES.names]
    write_table(out, scores, schemas.SCORES)
    shown = wide(scores)
    write_text(out.with_suffix(".md"), markdown(shown, notes(scores)))
    write_text(out.with_suffix(".tex"), shown.to_latex(index=False, escape=True))
    return scores


def _names(folders: Folders) -> dict[str, Path]:
    """A name for each folder: its own, with its parent's where that is not unique.

    Raises:
        EadbenchError: If a folder is given twice.
    """
    names: dict[str, Path] = {}
    for fake in folders.fakes:
        path = fake.resolve()
        name = path.name
        if name in names or name == "real" or [f.resolve().name for f in folders.fakes].count(name) > 1:
            name = f"{path.parent.name}_{path.name}"
        if name in names:
            raise EadbenchError("the same folder, or two of the same name, given twice", fake)
        names[name] = fake
    return names


def _paired_test(cell: Cell, reference: Cell, metric: str) -> tuple[float | None, int | None]:
    """Paired test over the clips that both have, and their number; nulls for metrics of sets."""
    if METRICS[metric].kind == "set":
        return None, None
    sides = [c.rows[(c.rows.metric == metric) & (c.rows.status == KEPT)].set_index("clip_id").value.dropna() for c in (cell, reference)]
    difference = (sides[0] - sides[1]).dropna().to_numpy()
    return signed_rank(difference), len(difference)


def wide(scores: pd.DataFrame) -> pd.DataFrame:
    """The table in print: methods by metrics, ``value [low, high]``, an arrow for the better direction, n in the first column."""
    arrows = {"up": " ↑", "down": " ↓", "none": ""}
    table: dict[str, dict[str, str]] = {}
    for row in scores[scores.metric.isin(SHOWN)].itertuples():
        metric = METRICS[row.metric]
        variant = f" ({row.variant})" if row.metric == "fvd" else ""
        cells = table.setdefault(row.method, {"method": row.method})
        cells["n"] = str(max(int(cells.get("n", 0)), row.n))
        cells[f"{metric.label}{variant}{arrows[metric.direction]}"] = _cell(row.value, row.low, row.high)
    return pd.DataFrame(list(table.values())).fillna("–")


def _cell(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or pd.isna(value):
        return "–"
    text = f"{value:.4g}"
    return text if low is None or pd.isna(low) else f"{text} [{low:.3g}, {high:.3g}]"


def notes(scores: pd.DataFrame) -> list[str]:
    """What to know before quoting: each warning once, with the number of values, or the few metrics and methods, that it concerns."""
    found: dict[str, list[str]] = {}
    for row in scores[scores.metric.isin(SHOWN)].itertuples():
        for warning in filter(None, row.warning.split("; ")):
            found.setdefault(warning, []).append(f"{row.metric} of {row.method}")
    return [f"{warning} ({len(where)} values)" if len(where) > 3 else f"{warning} ({', '.join(where)})" for warning, where in found.items()]


def markdown(table: pd.DataFrame, remarks: list[str]) -> str:
    """A Markdown table with remarks below."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return text + "\n\n" + "".join(f"- {remark}\n" for remark in remarks)
