"""Anyone's own videos, with a small table of labels if there is one."""

import csv
import logging
from pathlib import Path
from typing import Any

from eadbench.core.emotions import common_name
from eadbench.core.errors import EadbenchError
from eadbench.corpora.config import FolderCorpus
from eadbench.corpora.names import safe_ids

log = logging.getLogger(__name__)
SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp")
TEXTS = ("speaker", "sex", "view", "sentence")
NUMBERS = {"level": int, "intensity": float, "start": float, "end": float}
COLUMNS = ("file", "audio", "emotion", *TEXTS, *NUMBERS)


def recordings(root: Path, config: FolderCorpus) -> list[dict[str, Any]]:
    """Rows of the index, without what probing adds.

    Raises:
        EadbenchError: If the folder is missing or the table names a file or column that does not exist.
    """
    if not root.is_dir():
        raise EadbenchError("the corpus folder does not exist", root, "set `root:` of the corpus")
    labels = _labels(root / config.labels)
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()}
    files |= set(labels)
    names = safe_ids(sorted(files))
    return [_row(root, file, names[file], labels.get(file, {})) for file in sorted(files)]


def _labels(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        log.info("no table of labels at %s; every video is a speaker of its own", path)
        return {}
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle)
        unknown = [name for name in reader.fieldnames or [] if name not in COLUMNS]
        if unknown or "file" not in (reader.fieldnames or []):
            raise EadbenchError(
                f"the table of labels lacks column `file` or has unknown ones: {unknown}", path, f"known columns: {', '.join(COLUMNS)}"
            )
        return {row["file"].strip(): {k: (v or "").strip() for k, v in row.items()} for row in reader}


def _row(root: Path, file: str, name: str, label: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"recording_id": name, "source": root / file, "speaker": label.get("speaker") or name, "view": label.get("view") or "front"}
    row |= {key: label[key] for key in ("sex", "sentence") if label.get(key)}
    if label.get("audio"):
        row["audio_source"] = root / label["audio"]
    problems = []
    for key, kind in NUMBERS.items():
        if label.get(key):
            try:
                row[key] = kind(label[key])
            except ValueError:
                problems.append(f"{key} {label[key]!r} is not a number")
    if label.get("emotion"):
        row["emotion_raw"] = label["emotion"]
        try:
            row["emotion"] = common_name(label["emotion"])
        except KeyError as error:
            problems.append(str(error.args[0]))
    if problems:
        row["problem"] = "label: " + "; ".join(problems)
    return row
