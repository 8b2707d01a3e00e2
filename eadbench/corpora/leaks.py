"""``corpora leaks``: whether what may train shows up in the test split of another
corpus.

Within a corpus ``corpora index`` keeps speakers and recordings apart. Two corpora of
one configuration may hold the same recordings under other names, or, where both come
from one dataset, the same speakers. All indices meet before the first training; to be
wrong there costs seconds.
"""

import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.files import write_text
from eadbench.core.tables import KEPT, read_rows
from eadbench.corpora.config import CorporaConfig, CorpusConfig
from eadbench.corpora.splits import twins

log = logging.getLogger(__name__)
COMPARED = ("recording_id", "speaker", "start", "duration", "sha256", "look")


def check_leaks(training: list[Path], tested: list[Path], out: Path, config: CorporaConfig) -> None:
    """Compare the training and validation rows of some corpora with the test rows of
    others; write ``out`` if nothing is shared.

    Args:
        training: Indices (``schemas.INDEX``) of the corpora that something is trained
            on.
        tested: Indices of the corpora that methods are tested on.
        out: A note that all is well, the same bytes whatever the corpora.
        config: The corpora, which tells which of them name speakers alike.

    Raises:
        EadbenchError: If a recording or speaker is in both, with the entry of the
            config that mends it.
    """
    learnt, held_out = _rows(training, ("train", "val")), _rows(tested, ("test",))
    found: dict[str, dict[str, str]] = defaultdict(dict)  # corpus -> speaker -> why
    for corpus, rows in learnt.items():
        for other, others in held_out.items():
            if other == corpus:
                continue
            if _name_speakers_alike(config.sets.get(corpus), config.sets.get(other)):
                for speaker in {row["speaker"] for row in rows} & {row["speaker"] for row in others} - {None}:
                    found[corpus][speaker] = f"speaker {speaker} is tested in {other}"
            for row, twin in twins(rows, others):
                found[corpus][row["speaker"]] = (
                    f"{row['recording_id']} is the same recording as {twin['recording_id']} of {other}"
                )
    if found:
        raise EadbenchError(_told(found), ", ".join(map(str, training)), _mend(found))
    log.info(
        "%d corpora that train and %d that test share no recording and no known speaker",
        len(learnt),
        len(held_out),
    )
    write_text(out, '{"leaks": 0}\n')


def _rows(paths: list[Path], splits: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        for row in read_rows(path, schemas.INDEX):
            if row.status == KEPT and row.split in splits:
                found.setdefault(row.corpus, []).append({name: getattr(row, name) for name in COMPARED})
    return found


def _name_speakers_alike(one: CorpusConfig | None, other: CorpusConfig | None) -> bool:
    """Whether a name means the same person in both: parts of one dataset, or of one
    folder.
    """
    if one is None or other is None or one.kind != other.kind:
        return False
    if one.kind == "folder":
        return Path(one.root).resolve() == Path(other.root).resolve()
    return bool(one.studio) == bool(other.studio)


def _told(found: dict[str, dict[str, str]]) -> str:
    count = sum(map(len, found.values()))
    corpus, speakers = next(iter(sorted(found.items())))
    return (
        f"{count} speakers who may train are tested in another corpus, e.g. in {corpus}: "
        f"{speakers[min(speakers)]}"
    )


def _mend(found: dict[str, dict[str, str]]) -> str:
    lines = [
        f"corpora: sets: {corpus}: split: test: [{', '.join(sorted(speakers))}]"
        for corpus, speakers in sorted(found.items())
    ]
    return "add them to the test split, or leave one of the corpora out:\n         " + "\n         ".join(
        lines
    )
