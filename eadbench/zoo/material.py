"""What the trained artefacts learn from: the kept clips of the training split."""

from operator import attrgetter
from pathlib import Path

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.schemas import ClipsRow
from eadbench.core.seeds import rng_for
from eadbench.core.tables import KEPT, read_rows


def training_clips(
    tables: list[Path], limit: int | None = None, seed: int = 0, split: str = "train"
) -> list[ClipsRow]:
    """Kept clips of one split over several clip tables, by corpus and name, after a
    check that their files are unchanged.

    Args:
        tables: Tables of ``schemas.CLIPS``.
        limit: Keep at most so many, drawn by ``seed`` (the order of the tables does not
            matter).
        seed: Seed of that draw.
        split: Which split.

    Raises:
        EadbenchError: If no clip is left.
        FatalError: If a file is gone or was changed.
    """
    clips = [
        clip
        for table in tables
        for clip in read_rows(table, schemas.CLIPS)
        if clip.status == KEPT and clip.split == split
    ]
    if not clips:
        where = ", ".join(map(str, tables)) or "no table was given"
        raise EadbenchError(
            f"no kept clip of the {split} split to train on",
            where,
            "check `zoo: train_on:` and the reasons in the clip tables",
        )
    clips.sort(key=attrgetter("corpus", "clip_id"))
    if limit and limit < len(clips):
        chosen = rng_for(seed, "clips").choice(len(clips), limit, replace=False)
        clips = [clips[k] for k in sorted(chosen)]
    for clip in clips:
        for path in filter(None, (clip.video, clip.audio, clip.track)):
            seals.check(path)
    return clips
