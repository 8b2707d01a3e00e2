"""Official weights by id: files, addresses, hashes, licence. Data in ``registry.yaml``."""

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

from eadbench.core.errors import EadbenchError


class RemoteFile(BaseModel):
    """A file to fetch. ``sha256`` is null where no trustworthy value is known; the hash found is then recorded in the card."""

    model_config = ConfigDict(extra="forbid")
    name: str
    url: str
    sha256: str | None = None
    size: int | None = None


class Snapshot(BaseModel):
    """A repository of the Hugging Face hub at one commit, and which of its files are wanted (glob patterns)."""

    model_config = ConfigDict(extra="forbid")
    repo: str
    revision: str
    patterns: list[str] = ["*.json", "*.txt", "*.model", "*.safetensors"]

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repo}/tree/{self.revision}"


class Entry(BaseModel):
    """One published artefact: single ``files``, or a ``snapshot``. ``manual`` says how to get it where no direct download exists."""

    model_config = ConfigDict(extra="forbid")
    kind: str
    title: str
    files: list[RemoteFile] = []
    snapshot: Snapshot | None = None
    licence: str
    licence_url: str = ""
    note: str = ""
    manual: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, in one line."""
        if self.snapshot:
            return self.snapshot.url
        return self.manual or self.files[0].url


@cache
def registry() -> dict[str, Entry]:
    """All entries by id."""
    raw = yaml.safe_load(files("eadbench.zoo").joinpath("registry.yaml").read_text(encoding="utf-8"))
    return {name: Entry.model_validate(value) for name, value in raw.items()}


def entry(name: str) -> Entry:
    """The entry of that id.

    Raises:
        EadbenchError: If there is none.
    """
    try:
        return registry()[name]
    except KeyError:
        raise EadbenchError(f"no artefact {name!r} in the registry", "zoo.artefacts.*.id", f"known: {', '.join(sorted(registry()))}") from None
