"""What the trained artefacts learn from: the kept clips of the training split."""

from pathlib import Path

import pandas as pd

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.seeds import rng_for
from eadbench.core.tables import KEPT, read_table, resolve


def training_clips(
    tables: list[Path], limit: int | None = None, seed: int = 0, split: str = "train"
) -> pd.DataFrame:
    """Kept clips of one split over several clip tables, with ``video``, ``audio`` and
    ``track`` as absolute paths.

    Args:
        tables: Tables of ``schemas.CLIPS``.
        limit: Keep at most so many, drawn by ``seed`` (the order of the tables does not
            matter).
        seed: Seed of that draw.
        split: Which split.

    Raises:
        EadbenchError: If no clip is left.
    """
    frames = []
    for table in tables:
        rows = read_table(table, schemas.CLIPS)
        frames.append(rows[(rows["status"] == KEPT) & (rows["split"] == split)].assign(table=str(table)))
    filled = [rows for rows in frames if len(rows)]
    if not filled:
        where = ", ".join(map(str, tables)) or "no table was given"
        raise EadbenchError(
            f"no kept clip of the {split} split to train on",
            where,
            "check `zoo: train_on:` and the reasons in the clip tables",
        )
    clips = pd.concat(filled, ignore_index=True).sort_values(["corpus", "clip_id"], ignore_index=True)
    if limit and limit < len(clips):
        chosen = rng_for(seed, "clips").choice(len(clips), limit, replace=False)
        clips = clips.iloc[sorted(chosen)].reset_index(drop=True)
    for column in ("video", "audio", "track"):
        values = zip(clips["table"], clips[column], strict=True)
        clips[column] = [
            str(resolve(table, value)) if isinstance(value, str) and value else None
            for table, value in values
        ]
    return clips.drop(columns="table")
