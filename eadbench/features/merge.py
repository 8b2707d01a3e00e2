"""``features merge``: one index per corpus, with each clip's caption and whether it may
train.
"""

import json
import time
from pathlib import Path

import pandas as pd

from eadbench.core import provenance, schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import KEPT, concat_tables, read_rows, write_table


def merge(
    shards: list[Path], clips: Path, out: Path, captions: Path | None = None, text: Path | None = None
) -> pd.DataFrame:
    """Join the shards' tables with the captions.

    A clip trains if it belongs to the training split and its caption was kept; without
    a table of captions, if it belongs to the training split.

    Args:
        shards: Tables of ``features extract``.
        clips: The table of clips that they were made from, to check that none is
            missing.
        out: The index to write.
        captions: Table of captions, if there are any.
        text: Table of encoded texts (``schemas.TEXTS``) of those captions.

    Raises:
        EadbenchError: If a shard or an encoded text is missing.
    """
    started = time.time()
    rows = concat_tables(shards, schemas.FEATURES, out, "clip_id")
    expected = {clip.clip_id for clip in read_rows(clips, schemas.CLIPS)} if clips else set(rows["clip_id"])
    lost = sorted(expected - set(rows["clip_id"]))
    if lost:
        raise EadbenchError(
            f"{len(lost)} clips are in no shard, e.g. {lost[0]}",
            clips,
            "give all shards' tables, made from this table of clips",
        )
    captioned = _captions(captions, text)
    rows["text_id"] = [captioned.get(clip, (None, False))[0] for clip in rows["clip_id"]]
    suits = [captions is None or captioned.get(clip, (None, False))[1] for clip in rows["clip_id"]]
    rows["trains"] = (
        (rows["status"] == KEPT) & (rows["split"] == "train") & pd.Series(suits, index=rows.index, dtype=bool)
    )
    write_table(out, rows, schemas.FEATURES, "clip_id")
    provenance.write(
        out.parent,
        None,
        {"clips": str(clips), "captions": str(captions)},
        started,
        clips=json.loads(rows["status"].value_counts().to_json()),
    )
    return rows


def _captions(captions: Path | None, text: Path | None) -> dict[str, tuple[str | None, bool]]:
    """Clip to the key of its encoded caption and whether the caption was kept."""
    if captions is None:
        return {}
    written = list(read_rows(captions, schemas.CAPTIONS))
    keys = {row.text: row.text_id for row in read_rows(text, schemas.TEXTS)} if text else {}
    lost = [row.clip_id for row in written if row.status == KEPT and text and row.caption not in keys]
    if lost:
        raise EadbenchError(
            f"the caption of {lost[0]} is not encoded ({len(lost)} in all)",
            text,
            "run `features text` again on these captions",
        )
    return {row.clip_id: (keys.get(row.caption), row.status == KEPT) for row in written}
