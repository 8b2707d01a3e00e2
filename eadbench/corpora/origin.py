"""What the readers of the kinds of corpora share: where they fetch from and what they
tell of each file.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """Where to fetch from.

    Attributes:
        served: Address of the studio's server, ending in ``/``; ``None`` for the
            corpus's real home.
        folder: The folder that it serves.
    """

    served: str | None = None
    folder: Path | None = None

    def find(self, pattern: str) -> Path:
        """The one file or folder that matches ``pattern`` below the served folder; the
        first by name if several do.

        Raises:
            FileNotFoundError: If none does.
        """
        found = sorted(self.folder.rglob(pattern))
        if not found:
            raise FileNotFoundError(f"{pattern} in {self.folder}")
        return found[0]

    def url(self, path: Path) -> str:
        """Address of a served file."""
        return self.served + path.relative_to(self.folder).as_posix()


@dataclass(frozen=True)
class Fetched:
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
