"""Labels of the videos as people write them: CSV of any spreadsheet, TSV or Parquet."""

import difflib
import posixpath
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eadbench.core.emotions import common_name
from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.sheets import read_sheet

COLUMNS = ("name", "emotion", "speaker")
FORM = "a CSV, TSV or Parquet table with columns name (the file's name), emotion, speaker"
FEW = 3


@dataclass(frozen=True)
class Label:
    """What is known of a video: its emotion in the common vocabulary, its speaker;
    ``None`` where unknown. ``more``: column and text of what groups it.
    """

    emotion: str | None = None
    speaker: str | None = None
    more: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Labels:
    """Labels by the name of the video, see :func:`plain_name`, and remarks about the
    file they came from.
    """

    by_name: dict[str, Label] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    path: Path | None = None

    def of(self, name: str) -> Label:
        """The label of a video; an empty one if it has none."""
        return self.by_name.get(name, Label())

    def check(self, videos: Collection[str]) -> list[str]:
        """Remarks about labels without a video and videos without a label.

        Raises:
            EadbenchError: If there are labels and none of them is of a video.
        """
        if not self.by_name:
            return list(self.remarks)
        unmatched = [name for name in self.by_name if name not in videos]
        unlabelled = sorted(set(videos) - set(self.by_name))
        if len(unmatched) == len(self.by_name):
            message = (
                f"none of the {len(self.by_name)} labels is of a video: the first is of "
                f"{unmatched[0]!r}, a video is {min(videos)!r}"
            )
            raise EadbenchError(
                message,
                self.path,
                "the column name holds the path below the folder of the real videos, with or without suffix",
            )
        remarks = list(self.remarks)
        if unmatched:
            remarks.append(remark(unmatched, len(self.by_name), "labels match no video"))
        if unlabelled:
            remarks.append(remark(unlabelled, len(videos), "videos have no label"))
        return remarks


def remark(names: Sequence[str], total: int, what: str) -> str:
    """Count and first names: ``2 of 10 videos have no label: a, b``."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{len(names)} of {total} {what}: {', '.join(names[:FEW])}{more}"


def plain_name(text: str, suffixes: Collection[str] = ()) -> str:
    """A file's name as the folders' listing has it: composed letters, slashes, no
    ``./`` in front, none of the given suffixes.
    """
    name = unicodedata.normalize("NFC", text.strip()).replace("\\", "/")
    name = posixpath.normpath(name) if name else ""
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in suffixes else name


def read_labels(path: Path | None, suffixes: Collection[str] = (), by: Collection[str] = ()) -> Labels:
    """Read labels.

    What :func:`eadbench.core.sheets.read_sheet` reads; backslashes in names do not
    matter.

    Args:
        path: The file, or ``None`` for no labels.
        suffixes: Suffixes that names may carry, e.g. ``.mp4``.
        by: Columns that divide the videos into groups, in lower case.

    Raises:
        EadbenchError: If it cannot be read, lacks ``name`` or a column of ``by``, holds
            an unknown emotion, or says two things of one video.
    """
    if path is None:
        if by:
            raise EadbenchError("without labels there are no groups", "--by", "give --labels FILE")
        return Labels()
    sheet = read_sheet(path, "labels", FORM)
    if not sheet.headings:
        raise EadbenchError("the file holds no label", path, FORM)
    if "name" not in sheet.headings:
        raise EadbenchError(f"labels lack the column 'name'; found: {', '.join(sheet.headings)}", path, FORM)
    for name in by:
        if name not in sheet.headings or name == "name":
            columns = [heading for heading in sheet.headings if heading not in ("", "name")]
            raise EadbenchError(
                f"labels lack the column {name!r}{nearest(name, columns)}",
                path,
                f"--by takes one of {', '.join(columns)}",
            )
    unused = [heading for heading in sheet.headings if heading not in ("", *COLUMNS, *by)]
    remarks = [_unused_column(heading) for heading in unused]
    labels: dict[str, tuple[Label, str]] = {}
    for place, row in sheet.rows:
        name = plain_name(row.get("name", ""), suffixes)
        if not name:
            if any(row.values()):
                hint = "name the video, or take the line out"
                raise EadbenchError("a label without a name", f"{path}, {place}", hint)
            continue
        more = tuple((key, row[key]) for key in by if key not in COLUMNS and row.get(key))
        label = Label(_emotion(row.get("emotion", ""), path, place), row.get("speaker", "") or None, more)
        if name in labels and labels[name][0] != label:
            first, first_place = labels[name]
            message = (
                f"two lines say different things of {name!r}: {_label_text(first)} "
                f"({first_place}), {_label_text(label)} ({place})"
            )
            raise EadbenchError(message, path, "leave one of them")
        labels[name] = (label, place)
    if not labels:
        raise EadbenchError("the file holds no label", path, FORM)
    return Labels({name: label for name, (label, _) in labels.items()}, tuple(remarks), path)


def _unused_column(name: str) -> str:
    near = difflib.get_close_matches(name, COLUMNS, 1)
    return f"column {name!r} of the labels is not used" + (f"; is it {near[0]!r}?" if near else "")


def _label_text(label: Label) -> str:
    more = "".join(f", {key} {text}" for key, text in label.more)
    return f"{label.emotion or 'no emotion'}, {label.speaker or 'no speaker'}{more}"


def _emotion(text: str, path: Path, place: str) -> str | None:
    if not text:
        return None
    try:
        return common_name(text)
    except KeyError as error:
        raise EadbenchError(str(error.args[0]), f"{path}, {place}") from error
