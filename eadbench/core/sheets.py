"""Tables as people write them: CSV of any spreadsheet, TSV or Parquet."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eadbench.core.errors import EadbenchError

AS_UTF8 = "save the table as 'CSV UTF-8'"
BLANK = " \t,;"  # all that an empty line of a spreadsheet holds
END = "\0"  # a line of its own behind the last one; no text holds it


@dataclass(frozen=True)
class Sheet:
    """A table of texts.

    Attributes:
        headings: In small letters, without blanks around them; empty where the file
            holds no line.
        rows: Where each row stands (``line 3``), and its values by heading, without
            blanks around them. Short lines do not have the last ones.
    """

    headings: list[str]
    rows: list[tuple[str, dict[str, str]]]


def read_sheet(path: Path, what: str, form: str) -> Sheet:
    """Read a table.

    Separators are commas, semicolons or tabs; a byte order mark, Excel's ``sep=``,
    blanks around values and the case of headings do not matter.

    Args:
        path: A file; Parquet by its suffix, else text in UTF-8 or UTF-16.
        what: What it holds, in the plural, for errors (``labels``).
        form: What it should look like, for errors.

    Raises:
        EadbenchError: If it cannot be read, has a heading twice, or a line with more
            values than headings.
    """
    read = _parquet if path.suffix.lower() == ".parquet" else _text
    headings, rows = read(path, what, form)
    if doubled := sorted({heading for heading in headings if heading and headings.count(heading) > 1}):
        raise EadbenchError(f"{what} have the column {doubled[0]!r} twice", path, "leave one of them")
    return Sheet(headings, rows)


def _parquet(path: Path, what: str, form: str) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise EadbenchError(f"{what} cannot be read: {error}", path, form) from error
    headings = [str(c).strip().lower() for c in frame.columns]
    rows = []
    for k, values in enumerate(frame.itertuples(index=False, name=None), 1):
        # a list in a cell is text like all else
        texts = ["" if pd.api.types.is_scalar(v) and pd.isna(v) else str(v).strip() for v in values]
        rows.append((f"row {k}", dict(zip(headings, texts, strict=True))))
    return headings, rows


def _text(path: Path, what: str, form: str) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise EadbenchError(f"{what} cannot be read: {error.strerror}", path, form) from error
    except UnicodeDecodeError as error:
        raise EadbenchError(f"{what} are not UTF-8", path, AS_UTF8) from error
    if "\0" in text:  # UTF-16 without its mark, UTF-32 or no text at all
        raise EadbenchError(f"{what} are not UTF-8", path, AS_UTF8)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = 0
    # Excel's own first line
    while start < len(lines) and (
        not lines[start].strip(BLANK) or re.fullmatch(r'"?sep=.?"?', lines[start].strip(), re.I)
    ):
        start += 1
    if start == len(lines):
        return [], []
    separator = max(",;\t", key=lines[start].count)
    records = _records(lines[start:], separator, path, start)
    try:
        headings = [cell.strip().lower() for cell in next(records)[1]]
        rows = []
        for place, cells in records:
            if len(cells) > len(headings) and any(cell.strip() for cell in cells[len(headings) :]):
                raise EadbenchError(
                    f"a line of {len(cells)} values below {len(headings)} headings",
                    f"{path}, {place}",
                    "quote values with separators",
                )
            rows.append((place, dict(zip(headings, (cell.strip() for cell in cells), strict=False))))
    except csv.Error as error:
        raise EadbenchError(f"{what} cannot be read: {error}", path, form) from error
    return headings, rows


def _records(lines: list[str], separator: str, path: Path, skipped: int) -> Iterator[tuple[str, list[str]]]:
    """Where each record ends (``line 3``), and its values.

    Raises:
        EadbenchError: If a quote is not closed: all that follows would be one value.
    """
    source = io.StringIO("\n".join([*lines, END]))
    reader = csv.reader(source, delimiter=separator, skipinitialspace=True)
    last = 0
    for cells in reader:
        if cells == [END]:
            return
        first, last = last + 1, reader.line_num
        if cells and cells[-1].endswith(END):
            raise EadbenchError(
                "a quote that is opened is not closed", f"{path}, line {skipped + first}", "close it"
            )
        yield f"line {skipped + last}", cells
