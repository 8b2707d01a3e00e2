"""Ids that are safe as file names."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable


def safe_id(name: str) -> str:
    """ASCII letters, digits, ``.``, ``_`` and ``-`` only, at most 100 characters;
    anything else becomes ``_``.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._")[:100]


def safe_ids(files: Iterable[str]) -> dict[str, str]:
    """Ids for relative paths: the path without its suffix; with a piece of its hash
    where two would be the same or nothing is left.
    """
    files = list(files)
    stems = {file: safe_id(re.sub(r"\.[^./]{1,5}$", "", file).replace("/", "_")) for file in files}
    counts = Counter(stem.lower() for stem in stems.values())
    ambiguous = {file for file, stem in stems.items() if counts[stem.lower()] > 1 or not stem}
    for file in ambiguous:
        digest = hashlib.sha256(file.encode()).hexdigest()[:8]
        stems[file] = f"{stems[file]}~{digest}".lstrip("~")
    return stems
