"""Official weights by id: files, addresses, hashes, licence. Data in ``registry.yaml``."""

import difflib
import os
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from eadbench.core.errors import EadbenchError

# ten times as fast where PyYAML was built with it; a plan reads the file
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
OVERLAY, CACHE = "EADBENCH_REGISTRY", "EADBENCH_CACHE"


class Archive(BaseModel):
    """A zip in which a file is published: the file's name in it, and what is known of
    the zip itself.
    """

    model_config = ConfigDict(extra="forbid")
    member: str
    sha256: str | None = None
    size: int | None = None


class RemoteFile(BaseModel):
    """A file to fetch; with ``archive``, ``url`` is that of the zip.

    ``sha256`` (all digits, or the first eight and more) is null where no trustworthy
    value is known; :func:`eadbench.zoo.fetch.check_file` then holds to what came first.
    ``size`` in bytes.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    archive: Archive | None = None

    @property
    def transfer(self) -> int | None:
        """Bytes that a download takes, where known."""
        return self.archive.size if self.archive else self.size

    @property
    def checksum(self) -> str | None:
        """As ``core.download`` takes it."""
        return f"sha256:{self.sha256}" if self.sha256 else None


class Snapshot(BaseModel):
    """A repository of the Hugging Face hub at one commit, and which of its files are
    wanted (glob patterns).
    """

    model_config = ConfigDict(extra="forbid")
    repo: str
    revision: str
    patterns: list[str] = ["*.json", "*.txt", "*.model", "*.safetensors"]

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repo}/tree/{self.revision}"


class Entry(BaseModel):
    """One published artefact: single ``files``, or a ``snapshot``. ``manual`` says how
    to get it where no direct download exists.

    ``about_mb`` is told where no exact size is known: the number of parameters times
    their bytes, in MB.
    """

    model_config = ConfigDict(extra="forbid")
    kind: str
    title: str
    files: list[RemoteFile] = []
    snapshot: Snapshot | None = None
    licence: str
    licence_url: str = ""
    note: str = ""
    manual: str = ""
    about_mb: int | None = None

    @property
    def size(self) -> str:
        """What a download takes, in words."""
        return (
            f"about {megabytes(self.about_mb * 10**6)}"
            if self.about_mb and self.transfer is None
            else megabytes(self.transfer)
        )

    @property
    def source(self) -> str:
        """Where it comes from, in one line."""
        if self.snapshot:
            return self.snapshot.url
        return self.manual or self.files[0].url

    @property
    def transfer(self) -> int | None:
        """Bytes that a download takes, where known."""
        sizes = [file.transfer for file in self.files]
        return sum(sizes) if sizes and None not in sizes else None

    @property
    def expected_bytes(self) -> int:
        """Bytes of a download, else about its weights'; 0 where neither is known."""
        return self.transfer or (self.about_mb or 0) * 10**6


def registry() -> dict[str, Entry]:
    """All entries by id. The YAML file that ``EADBENCH_REGISTRY`` names, e.g. with the
    addresses of a mirror, goes over those of the package.

    Raises:
        EadbenchError: If that file cannot be read or is no registry.
    """
    return _read(os.environ.get(OVERLAY))


@cache
def _read(overlay: str | None) -> dict[str, Entry]:
    raw = yaml.load(files("eadbench.zoo").joinpath("registry.yaml").read_text(encoding="utf-8"), LOADER)
    found = {name: Entry.model_validate(value) for name, value in raw.items()}
    if overlay:
        try:
            over = yaml.safe_load(Path(overlay).read_text(encoding="utf-8")) or {}
            found |= {
                name: Entry.model_validate({**raw.get(name, {}), **value}) for name, value in over.items()
            }
        except (
            OSError,
            UnicodeDecodeError,
            yaml.YAMLError,
            ValidationError,
            TypeError,
            AttributeError,
        ) as error:
            raise EadbenchError(
                f"not a registry of weights: {error}",
                f"{OVERLAY}={overlay}",
                "see eadbench/zoo/registry.yaml",
            ) from error
    return found


def entry(name: str) -> Entry:
    """The entry of that id.

    Raises:
        EadbenchError: If there is none; with the nearest ids.
    """
    found = registry()
    if name in found:
        return found[name]
    near = [
        one for one, e in found.items() if e.kind == name or name.lower() in one.lower()
    ] or difflib.get_close_matches(name, found, 3, 0.5)
    hint = " or ".join(f"`eadbench zoo fetch {one}`" for one in near[:3]) or "`eadbench zoo list` shows all"
    raise EadbenchError(
        f"no published weights have the id {name!r}",
        "the registry",
        f"{hint}; known: {', '.join(sorted(found))}",
    )


def user_cache() -> Path:
    """Where this user's weights are kept as ``ID/FILE``: ``weights`` in
    ``$EADBENCH_CACHE``, else below the platform's cache folder.
    """
    if given := os.environ.get(CACHE):
        return Path(given).expanduser() / "weights"
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        base = Path(xdg)
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path.home() / ".cache"
    return base / "eadbench" / "weights"


def kept(name: str, entry: Entry, cache: str | Path | None = None) -> Path | None:
    """The folder in which the user keeps all files of published weights already:
    ``{cache}/{id}``, else that of :func:`user_cache`.

    Args:
        name: Id of the entry.
        entry: The entry.
        cache: The configuration's ``zoo: cache:``.
    """
    names = [file.name for file in entry.files] or ["config.json"]
    folders = [Path(one) / name for one in (cache, user_cache()) if one]
    return next((folder for folder in folders if all((folder / file).exists() for file in names)), None)


def megabytes(size: int | None) -> str:
    """A size for print."""
    return "size unknown" if size is None else f"{max(1, round(size / 1e6)):,} MB"
