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
from eadbench.core.unique_yaml import parse

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
    value is known; :func:`eadbench.zoo.fetch.check_file` then compares with the first
    download.
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

    ``about_mb`` is given where no exact size is known: the number of parameters times
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
        if self.about_mb and self.transfer is None:
            return f"about {megabytes(self.about_mb * 10**6)}"
        return megabytes(self.transfer)

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
    addresses of a mirror, overrides those of the package.

    Raises:
        EadbenchError: If that file cannot be read or is no registry.
    """
    return _read(os.environ.get(OVERLAY))


@cache
def _read(overlay: str | None) -> dict[str, Entry]:
    raw = yaml.load(files("eadbench.zoo").joinpath("registry.yaml").read_text(encoding="utf-8"), LOADER)
    entries = {name: Entry.model_validate(value) for name, value in raw.items()}
    if overlay:
        try:
            overlay_entries = parse(Path(overlay).read_text(encoding="utf-8")) or {}
            entries |= {
                name: Entry.model_validate({**raw.get(name, {}), **value})
                for name, value in overlay_entries.items()
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
    return entries


def entry(name: str) -> Entry:
    """The entry of that id.

    Raises:
        EadbenchError: If there is none; with the nearest ids.
    """
    entries = registry()
    if name in entries:
        return entries[name]
    nearest_ids = [
        entry_id for entry_id, e in entries.items() if e.kind == name or name.lower() in entry_id.lower()
    ]
    if not nearest_ids:
        nearest_ids = difflib.get_close_matches(name, entries, 3, 0.5)
    hint = " or ".join(f"`eadbench zoo fetch {entry_id}`" for entry_id in nearest_ids[:3])
    hint = hint or "`eadbench zoo list` shows all"
    raise EadbenchError(
        f"no published weights have the id {name!r}",
        "the registry",
        f"{hint}; known: {', '.join(sorted(entries))}",
    )


def user_cache() -> Path:
    """Where this user's weights are kept as ``ID/FILE``: ``weights`` in
    ``$EADBENCH_CACHE``, else below the platform's cache folder.
    """
    if cache_root := os.environ.get(CACHE):
        return Path(cache_root).expanduser() / "weights"
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        base = Path(xdg)
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path.home() / ".cache"
    return base / "eadbench" / "weights"


def cached_folder(name: str, entry: Entry, cache: str | Path | None = None) -> Path | None:
    """The folder in which the user has all files of published weights already:
    ``{cache}/{id}``, else that of :func:`user_cache`; ``None`` where neither is complete.

    Args:
        name: Id of the entry.
        entry: The entry.
        cache: The configuration's ``zoo: cache:``.
    """
    file_names = [file.name for file in entry.files] or ["config.json"]
    for cache_root in filter(None, (cache, user_cache())):
        folder = Path(cache_root) / name
        if all((folder / file).exists() for file in file_names):
            return folder
    return None


def megabytes(size: int | None) -> str:
    """A size for print."""
    return "size unknown" if size is None else f"{max(1, round(size / 1e6)):,} MB"
