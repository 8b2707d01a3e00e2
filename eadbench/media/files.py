"""Which files of a folder count as media: the one answer for corpora, methods and
scores.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from eadbench.core.errors import EadbenchError

# What PyAV reads as video; an image that does not move is none.
_VIDEO = (
    "mp4 m4v mov qt 3gp 3g2 mkv webm avi divx flv f4v wmv asf ogv ogm ts mts m2ts m2t mpg mpeg mpe m2v vob "
    "mxf dv rm rmvb nut y4m gif apng"
)
_AUDIO = "wav w64 aif aiff aifc au caf flac wv mp3 mp2 m4a m4b aac ac3 ogg oga opus wma amr mka"
VIDEO = frozenset(f".{name}" for name in _VIDEO.split())
AUDIO = VIDEO - {".gif", ".apng", ".y4m"} | frozenset(f".{name}" for name in _AUDIO.split())
NOT_UTF8 = "the name is not UTF-8: rename the file (convmv does it)"
SHOWN = 8  # suffixes that a note names


@dataclass(frozen=True)
class Found:
    """A file below a folder.

    Attributes:
        name: Path below the folder, with slashes and composed letters (NFC), so that
            the same name written by a Mac and by Linux is the same. Bytes that are not
            UTF-8 stand as ``%E9``.
        path: The file.
        problem: Why it cannot be used whatever is in it, or empty.
    """

    name: str
    path: Path
    problem: str = ""

    @property
    def suffix(self) -> str:
        """In small letters, with its dot."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The name without suffix."""
        return self.name[: len(self.name) - len(self.suffix)]


def walk(folder: Path) -> Iterator[Found]:
    """All files below a folder, sorted by name within each folder.

    Hidden files and folders (a dot in front: ``._x.mp4`` of a Mac,
    ``.ipynb_checkpoints``, our own unfinished ``.part-`` files) are passed over. Links
    are followed; a link to a folder that it lies in is not. A link that leads nowhere,
    a folder that may not be read and a name that is not UTF-8 are files with a problem.

    Raises:
        EadbenchError: If there is no such folder.
    """
    if not folder.is_dir():
        raise EadbenchError("no such folder", folder)
    yield from _walk(folder, folder, ())


def _walk(root: Path, folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Found]:
    here = folder.stat()
    above = (*above, (here.st_dev, here.st_ino))
    for path in sorted(
        (path for path in folder.iterdir() if not path.name.startswith(".")),
        key=lambda path: composed(path.name),
    ):
        file = _found(root, path)
        if not path.is_dir():
            if path.is_file():
                yield file
            elif path.is_symlink():
                yield Found(file.name, path, file.problem or "the link leads nowhere")
        elif not os.access(path, os.R_OK | os.X_OK):
            yield Found(file.name, path, "the folder may not be read")
        elif (path.stat().st_dev, path.stat().st_ino) not in above:
            yield from _walk(root, path, above)


def _found(root: Path, path: Path) -> Found:
    name = path.relative_to(root).as_posix()
    return Found(composed(name), path, NOT_UTF8 if escaped(name) != name else "")


def escaped(name: str) -> str:
    """A name with its bytes that are not UTF-8 as ``%E9``."""
    return "".join(f"%{ord(c) - 0xDC00:02X}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in name)


def composed(name: str) -> str:
    """An :func:`escaped` name in composed letters (NFC)."""
    return unicodedata.normalize("NFC", escaped(name))


@dataclass(frozen=True)
class MediaFiles:
    """The media files of a folder.

    Attributes:
        folder: The folder.
        files: Path by :attr:`Found.name`, suffix included.
        problems: Reason by name, of files whose suffix counts but that cannot be used,
            and of folders that may not be read.
        skipped: Number of files by suffix that does not count (small letters; empty for
            none).
    """

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def by_stem(self) -> dict[str, Path]:
        """Files by name without suffix.

        Raises:
            EadbenchError: If two have the same.
        """
        named: dict[str, Path] = {}
        for name, path in self.files.items():
            stem = Found(name, path).stem
            if stem in named:
                raise EadbenchError(
                    f"two files are named {stem!r}", f"{named[stem]}, {path}", "leave one of them"
                )
            named[stem] = path
        return named

    def note(self) -> str:
        """One sentence on the files that were passed over; empty if none were."""
        if not self.skipped:
            return ""
        most = sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))
        counts = ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in most[:SHOWN]) + (
            ", ..." if len(most) > SHOWN else ""
        )
        return f"not read in {self.folder}, by their suffix: {counts}"


def media_files(folder: Path, suffixes: Collection[str] = VIDEO) -> MediaFiles:
    """The media files of a folder and its subfolders, see :func:`walk`.

    Args:
        folder: Where to look.
        suffixes: Those that count, in small letters with their dot: :data:`VIDEO`,
            :data:`AUDIO`.

    Raises:
        EadbenchError: If there is no such folder.
    """
    files: dict[str, Path] = {}
    problems: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    for file in walk(folder):
        if file.suffix not in suffixes and not file.path.is_dir():
            skipped[file.suffix] += 1
        elif file.problem:
            problems[file.name] = file.problem
        elif file.name in files:  # one name in composed and in decomposed letters
            raise EadbenchError(
                f"two files are named {file.name!r}",
                f"{files[file.name]!a}, {file.path!a}",
                "leave one of them",
            )
        else:
            files[file.name] = file.path
    return MediaFiles(folder, files, problems, dict(skipped))


def find_file(folder: Path, name: str) -> Path:
    """The file of a name below a folder, whether its letters are composed or not; the
    composed one if there is none.
    """
    forms = [folder / unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    return next((path for path in [folder / name, *forms] if path.exists()), forms[0])
