"""Read members of zip and tar archives in place. Nothing is ever unpacked to a path
that an archive names.
"""

import io
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from eadbench.core.errors import EadbenchError

MAX_MEMBER = 1 << 30  # bytes; the largest member of a known corpus has some 20 MB
MAX_RATIO = 200  # unpacked to packed; video hardly packs at all


@dataclass(frozen=True)
class Member:
    """A file inside an archive; ``refused`` says why it must not be read (empty if it
    may).
    """

    name: str
    size: int
    offset: int = -1
    refused: str = ""


def _refusal(name: str, size: int) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        return "its name points out of the archive"
    if size > MAX_MEMBER:
        return f"it claims {size} bytes, more than the {MAX_MEMBER} allowed"
    return ""


@lru_cache(maxsize=16)
def _zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(maxsize=64)
def members(archive: Path) -> dict[str, Member]:
    """All files of a ``.zip`` or uncompressed ``.tar``, by name, in the archive's
    order; only headers are read.

    Raises:
        EadbenchError: If the archive is missing, damaged or of another kind.
    """
    try:
        if archive.suffix.lower() == ".zip":
            infos = [info for info in _zip(archive).infolist() if not info.is_dir()]
            return {info.filename: _zip_member(info) for info in infos}
        if archive.suffix.lower() == ".tar":
            with tarfile.open(archive, "r:") as handle:
                return {member.name: _tar_member(member) for member in handle if not member.isdir()}
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise EadbenchError(
            f"the archive cannot be read: {error}",
            archive,
            "fetch it again; compare its size with the source",
        ) from error
    raise EadbenchError(
        "neither .zip nor uncompressed .tar",
        archive,
        "members of a packed tar cannot be read in place: unpack it to a .tar",
    )


def _zip_member(info: zipfile.ZipInfo) -> Member:
    refused = _refusal(info.filename, info.file_size)
    if stat.S_ISLNK(info.external_attr >> 16):
        refused = "it is a link"
    packed_size = max(info.compress_size, 1)
    if info.file_size > MAX_RATIO * packed_size and info.file_size > 1 << 20:
        refused = f"it grows {info.file_size // packed_size}-fold, as zip bombs do"
    return Member(info.filename, info.file_size, refused=refused)


def _tar_member(member: tarfile.TarInfo) -> Member:
    refused = _refusal(member.name, member.size)
    if not member.isreg():
        refused = "it is a link" if member.issym() or member.islnk() else "it is not a plain file"
    return Member(member.name, member.size, member.offset_data, refused)


def read_member(archive: Path, name: str) -> bytes:
    """The bytes of one member.

    Raises:
        EadbenchError: If it does not exist, is refused, or is not as long as the
            archive says.
    """
    member = members(archive).get(name)
    if member is None:
        raise EadbenchError(
            "the archive has no such member", f"{archive}!{name}", "run `corpora index` again"
        )
    if member.refused:
        raise EadbenchError(f"member refused: {member.refused}", f"{archive}!{name}")
    try:
        if archive.suffix.lower() == ".zip":
            with _zip(archive).open(name) as handle:
                data = handle.read(member.size + 1)
        else:
            with archive.open("rb") as handle:
                handle.seek(member.offset)
                data = handle.read(member.size)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise EadbenchError(
            f"member cannot be read: {error}", f"{archive}!{name}", "fetch the archive again"
        ) from error
    if len(data) != member.size:
        raise EadbenchError(
            f"member has {len(data)} bytes, the archive says {member.size}",
            f"{archive}!{name}",
            "fetch the archive again",
        )
    return data


def open_media(path: Path, member: str | None) -> Path | BinaryIO:
    """What the media functions read: the path itself, or a member's bytes as an open
    file.
    """
    if not isinstance(member, str) or not member:
        return path
    handle = io.BytesIO(read_member(path, member))
    handle.name = f"{path}!{member}"
    return handle
