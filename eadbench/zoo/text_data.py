"""Captions as training texts."""

from itertools import chain
from pathlib import Path

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import KEPT, read_rows


def training_texts(paths: list[Path], limit: int | None = None) -> list[str]:
    """Distinct captions of the train split of all tables, sorted.

    Args:
        paths: Tables of captions.
        limit: Take at most so many, evenly spread over the sorted list.

    Raises:
        EadbenchError: If there are fewer than two.
    """
    if not paths:
        raise EadbenchError(
            "no captions to train on",
            "--captions",
            "set `uses_captions: true` for the artefact, or pass --captions TABLE",
        )
    rows = chain.from_iterable(read_rows(path, schemas.CAPTIONS) for path in paths)
    captions = {row.caption for row in rows if row.split == "train" and row.status == KEPT}
    texts = sorted(captions - {None})
    if len(texts) < 2:
        raise EadbenchError(
            f"{len(texts)} distinct captions in the train split",
            ", ".join(map(str, paths)),
            "see the reasons in these tables",
        )
    if not limit or len(texts) <= limit:
        return texts
    return [texts[k * len(texts) // limit] for k in range(limit)]
