"""What the readers of all kinds of corpora share: where they fetch from, and the record
of each fetched file.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """Where to fetch from.

    Attributes:
        address: Address of the studio's server, ending in ``/``; ``None`` for the
            corpus's real home.
        folder: The folder that it serves.
    """

    address: str | None = None
    folder: Path | None = None

    def find(self, pattern: str) -> Path:
        """The one file or folder that matches ``pattern`` below the served folder; the
        first by name if several do.

        Raises:
            FileNotFoundError: If none does.
        """
        matches = sorted(self.folder.rglob(pattern))
        if not matches:
            raise FileNotFoundError(f"{pattern} in {self.folder}")
        return matches[0]

    def url(self, path: Path) -> str:
        """Address of a served file."""
        return self.address + path.relative_to(self.folder).as_posix()


@dataclass(frozen=True)
class FetchedFile:
    """What became of one file.

    Attributes:
        name: Its name in the corpus.
        url: Where it was fetched from (the corpus's own address, also for filmed
            corpora).
        status: ``kept`` or ``failed``.
        reason: Why it failed.
        bytes: Size as received.
        checksum: As the source gives it and as it was checked, e.g. ``md5:...``.
    """

    name: str
    url: str
    status: str
    reason: str = ""
    bytes: int | None = None
    checksum: str | None = None
