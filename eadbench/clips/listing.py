"""The test and validation clips as a list that others can compare with: where each is
from, and the hash of its decoded frames.

Two groups whose lists agree have scored the same clips. A list is CSV with the columns
of ``schemas.CLIP_LIST``; one that was written before anything was cut names recordings,
or patterns of them, and leaves the clips empty.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, write_text
from eadbench.core.progress import track
from eadbench.core.sheets import read_sheet
from eadbench.core.tables import KEPT, read_rows, read_table, write_table

SPLITS = ("test", "val")
NEEDED = ("recording_id", "split")
NUMBERS = ("start", "end", "frames")
SAME_SECONDS = 0.04  # a frame; times that differ by less are the same


@dataclass(frozen=True)
class Coverage:
    """What became of the entries of a list.

    Attributes:
        name: The list.
        listed: Its entries.
        covered: Those that have a kept clip here, the same one where the list tells of
            clips.
        gone: Entry -> why it has none.
        other: Entry -> in what the clip here is another one.
        beyond: Kept clips here of which the list tells nothing.
    """

    name: str
    listed: int
    covered: int
    gone: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)
    beyond: int = 0

    def sentence(self, most: int = 3) -> str:
        """It in words; of what is gone or another, the first ``most`` by name."""
        parts = [f"Test list {self.name}: {self.covered:,} of {self.listed:,} entries are covered"]
        for what, entries in (("gone", self.gone), ("not the listed clip", self.other)):
            if entries:
                named = ", ".join(f"{entry} ({reason})" for entry, reason in list(entries.items())[:most])
                parts.append(
                    f"{what}: {named}" + (f" and {len(entries) - most:,} more" if len(entries) > most else "")
                )
        if self.beyond:
            parts.append(f"{self.beyond:,} clips here are not on it")
        return "; ".join(parts) + "."


def write_list(
    corpus: str, index: Path, clips: Path, out: Path, test_list: str | None = None
) -> Coverage | None:
    """Write the list of a corpus as ``list.parquet`` and ``list.csv``, and
    ``coverage.json`` against another list, into a folder.

    Args:
        corpus: Its name.
        index: Its ``schemas.INDEX``.
        clips: Its ``schemas.CLIPS``, checked.
        out: The folder.
        test_list: Name of a shipped list, or path of a CSV, to compare with.

    Raises:
        EadbenchError: If a table or the list cannot be read.
    """
    listed = read_list(test_list) if test_list else None
    rows = _rows(corpus, index, clips)
    write_table(out / "list.parquet", rows, schemas.CLIP_LIST, ["split", "recording_id", "clip_id"])
    frame = read_table(out / "list.parquet", schemas.CLIP_LIST)
    with atomic_path(out / "list.csv") as part:
        frame.to_csv(part, index=False, lineterminator="\n")
    coverage = compare(listed, frame, Path(test_list).stem) if listed is not None else None
    write_text(out / "coverage.json", json.dumps(asdict(coverage) if coverage else None, indent=1) + "\n")
    seals.seal_files(out, [out / "list.csv", out / "coverage.json"], out / "list.parquet")
    return coverage


def _rows(corpus: str, index: Path, clips: Path) -> list[dict[str, Any]]:
    """A row per kept clip of the test and validation recordings, and one per recording
    without any, with the reason.
    """
    from eadbench.media.video import hash_of_frames  # the tables read lists without any codec

    recordings = [row for row in read_rows(index, schemas.INDEX) if row.split in SPLITS]
    cut: dict[str, list[schemas.ClipsRow]] = {row.recording_id: [] for row in recordings}
    for clip in read_rows(clips, schemas.CLIPS):
        if clip.recording_id in cut:
            cut[clip.recording_id].append(clip)
    rows = []
    for recording in track(recordings, f"hash the test clips of {corpus}", unit="recording"):
        of = {"corpus": corpus, "recording_id": recording.recording_id, "split": recording.split}
        candidates = cut[recording.recording_id]
        kept = [clip for clip in candidates if clip.status == KEPT]
        for clip in kept:
            frames, sha256 = hash_of_frames(seals.checked(clip.video))
            rows.append(
                of
                | {
                    "start": clip.source_start,
                    "end": clip.source_end,
                    "clip_id": clip.clip_id,
                    "frames": frames,
                    "frames_sha256": sha256,
                    "status": KEPT,
                    "reason": "",
                }
            )
        if not kept:
            lost = candidates[0] if candidates else recording
            status, reason = (
                (lost.status, lost.reason) if lost.status != KEPT else ("failed", "no clip came of it")
            )
            rows.append(
                of | {"start": recording.start, "end": recording.end, "status": status, "reason": reason}
            )
    return rows


def shipped() -> list[str]:
    """Names of the lists that come with eadbench."""
    return sorted(
        path.name.removesuffix(".csv")
        for path in files("eadbench.clips").joinpath("lists").iterdir()
        if path.name.endswith(".csv")
    )


def read_list(name: str) -> pd.DataFrame:
    """A list by the name of a shipped one or by its path, with the columns of
    ``schemas.CLIP_LIST``; a spreadsheet may have saved it (:func:`read_sheet`).

    Raises:
        EadbenchError: If there is none, or it is no list.
    """
    path = (
        files("eadbench.clips").joinpath("lists", f"{name}.csv")
        if name in shipped()
        else Path(name).expanduser()
    )
    if not path.exists():
        hint = f"shipped: {', '.join(shipped())}; or give the path of a CSV"
        raise EadbenchError("no test list of that name", path, hint)
    names = schemas.CLIP_LIST.names
    form = f"columns: {', '.join(names)}"
    sheet = read_sheet(path, "test lists", form)
    rows = [{name: row.get(name) or None for name in names} for _, row in sheet.rows if any(row.values())]
    wrong = ""
    if lacking := [name for name in NEEDED if name not in sheet.headings]:
        wrong = f"it lacks {', '.join(lacking)}"
    elif bad := {row["split"] if all(map(row.get, NEEDED)) else "(empty)" for row in rows} - {*SPLITS}:
        wrong = f"its splits are test and val, not {', '.join(sorted(bad))}"
    try:
        for row in rows:
            row.update({name: float(row[name].replace(",", ".")) for name in NUMBERS if row[name]})
    except ValueError as error:
        wrong = wrong or str(error)
    if wrong:
        raise EadbenchError(f"not a test list: {wrong}", path, form)
    return pd.DataFrame(rows, columns=names)


def compare(listed: pd.DataFrame, made: pd.DataFrame, name: str) -> Coverage:
    """What became of the entries of a list in another list, which a run wrote.

    An entry with a clip wants that clip, of the same stretch and, where it has a hash,
    with the same frames. One without wants at least one clip of the recording, or of
    those that its pattern (``*``) fits.
    """
    here: dict[str, list[dict[str, Any]]] = {}
    for row in _records(made):
        here.setdefault(row["recording_id"], []).append(row)
    gone: dict[str, str] = {}
    other: dict[str, str] = {}
    matched: set[str] = set()
    covered = 0  # not what is left of the others: entries may share a name, e.g. in test and val
    for entry in _records(listed):
        clip = entry["clip_id"]
        label = clip or entry["recording_id"]
        rows = [row for recording in _fitting(entry["recording_id"], here) for row in here[recording]]
        rows = [row for row in rows if row["split"] == entry["split"] and clip in (None, row["clip_id"])]
        kept = [row for row in rows if row["status"] == KEPT]
        matched |= {row["clip_id"] for row in kept}
        if not kept:
            gone[label] = next(
                (row["reason"] for row in rows),
                f"no such {'clip' if clip else 'recording'} in {entry['split']}",
            )
        elif clip and (difference := _difference(entry, kept[0])):
            other[label] = difference
        else:
            covered += 1
    beyond = sum(
        row["status"] == KEPT and row["clip_id"] not in matched for rows in here.values() for row in rows
    )
    return Coverage(
        name,
        len(listed),
        covered,
        dict(sorted(gone.items())),
        dict(sorted(other.items())),
        beyond,
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a list, which anybody may have written, with ``None`` where it is empty."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _fitting(pattern: str, names: Iterable[str]) -> list[str]:
    if pattern in names or not set("*?[") & set(pattern):
        return [pattern] if pattern in names else []
    return [name for name in names if fnmatchcase(name, pattern)]


def _difference(entry: dict[str, Any], row: dict[str, Any]) -> str:
    """In what a clip is not the one listed; empty if in nothing that the list tells."""
    for end in ("start", "end"):
        if None not in (entry[end], row[end]) and abs(entry[end] - row[end]) > SAME_SECONDS:
            return (
                f"another stretch: {row['start']:.2f} to {row['end']:.2f} s, listed "
                f"{entry['start']:.2f} to {entry['end']:.2f} s"
            )
    if entry["frames_sha256"] and entry["frames_sha256"] != row["frames_sha256"]:
        return "the same stretch with other frames"
    return ""
