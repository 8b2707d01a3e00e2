"""Anyone's own videos, with a small table of labels if there is one."""

import logging
import posixpath
from dataclasses import replace
from pathlib import Path
from typing import Any

from eadbench.core.emotions import common_name
from eadbench.core.errors import EadbenchError
from eadbench.core.sheets import read_sheet
from eadbench.corpora.config import FolderCorpus
from eadbench.corpora.names import safe_ids
from eadbench.media.files import composed, find_file, media_files

log = logging.getLogger(__name__)
TEXTS = ("speaker", "sex", "view", "sentence")
NUMBERS = {"level": int, "intensity": float, "start": float, "end": float}
COLUMNS = ("file", "audio", "emotion", *TEXTS, *NUMBERS)


def recordings(root: Path, config: FolderCorpus) -> list[dict[str, Any]]:
    """Rows of the index, without what probing adds.

    Raises:
        EadbenchError: If the folder is missing or the table names a file or column that
            does not exist.
    """
    if not root.is_dir():
        raise EadbenchError("the corpus folder does not exist", root, "set `root:` of the corpus")
    labels = _labels(root / config.labels)
    listed = media_files(root)
    # the table of labels itself is not worth a note
    labels_suffix = Path(config.labels).suffix
    skipped = {suffix: n for suffix, n in listed.skipped.items() if suffix != labels_suffix or n > 1}
    if note := replace(listed, skipped=skipped).note():
        log.warning("%s", note)
    files: dict[str, Path | None] = {**listed.files, **dict.fromkeys(listed.problems)}
    files |= {name: find_file(root, name) for name in labels if name not in files}
    ids = safe_ids(sorted(files))
    rows = []
    for file in sorted(files):
        row = _row(root, files[file], ids[file], labels.get(file, {}))
        if file in listed.problems:
            row["problem"] = f"unreadable: {file}: {listed.problems[file]}"
        rows.append(row)
    return rows


def _labels(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        log.info("no table of labels at %s; every video is a speaker of its own", path)
        return {}
    sheet = read_sheet(path, "labels", f"columns: {', '.join(COLUMNS)}")
    unknown = [name for name in sheet.headings if name and name not in COLUMNS]
    if unknown or "file" not in sheet.headings:
        raise EadbenchError(
            f"the table of labels lacks column `file` or has unknown ones: {unknown}",
            path,
            f"known columns: {', '.join(COLUMNS)}",
        )
    labels: dict[str, dict[str, str]] = {}
    places: dict[str, str] = {}
    for place, row in sheet.rows:
        label = {key: value for key, value in row.items() if key != "file" and value}
        if not row.get("file"):
            if label:
                raise EadbenchError("a label without a file", f"{path}, {place}", "name the video")
            continue
        file = _listed_name(row["file"])
        if labels.setdefault(file, label) != label:
            message = f"two lines say different things of {file!r}: {places[file]} and {place}"
            raise EadbenchError(message, path, "leave one of them")
        places.setdefault(file, place)
    return labels


def _listed_name(file: str) -> str:
    """A path from the table in the form of the listing: slashes, composed letters, no
    ``./`` in front.
    """
    return composed(posixpath.normpath(file.strip().replace("\\", "/")))


def _row(root: Path, source: Path | None, recording_id: str, label: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "recording_id": recording_id,
        "source": source,
        "speaker": label.get("speaker") or recording_id,
        "view": label.get("view") or "front",
    }
    row |= {key: label[key] for key in ("sex", "sentence") if label.get(key)}
    if label.get("audio"):
        row["audio_source"] = find_file(root, _listed_name(label["audio"]))
    problems = []
    for key, kind in NUMBERS.items():
        if label.get(key):
            try:
                row[key] = kind(label[key].replace(",", "."))  # many countries write a decimal comma
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
