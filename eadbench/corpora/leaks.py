"""``corpora leaks``: whether what may train shows up in the test split of another
corpus.

Within a corpus ``corpora index`` keeps speakers and recordings apart. Two corpora of
one configuration may hold the same recordings under other names, or, where both come
from one dataset, the same speakers. All indices are compared before the first training.
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
from eadbench.corpora.splits import same_recordings

log = logging.getLogger(__name__)
COMPARED = ("recording_id", "speaker", "start", "duration", "sha256", "look")


def check_leaks(training: list[Path], tested: list[Path], out: Path, config: CorporaConfig) -> None:
    """Compare the training and validation rows of some corpora with the test rows of
    others; write ``out`` if nothing is shared.

    Args:
        training: Indices (``schemas.INDEX``) of the corpora that something is trained
            on.
        tested: Indices of the corpora that methods are tested on.
        out: Written if nothing is shared, the same bytes whatever the corpora.
        config: The corpora; of one kind and origin they name speakers alike.

    Raises:
        EadbenchError: If a recording or speaker is in both, with the entry of the
            config that removes the leak.
    """
    training_rows, test_rows = _rows(training, ("train", "val")), _rows(tested, ("test",))
    leaks: dict[str, dict[str, str]] = defaultdict(dict)  # corpus -> speaker -> why
    for corpus, rows in training_rows.items():
        for other, others in test_rows.items():
            if other == corpus:
                continue
            if _name_speakers_alike(config.sets.get(corpus), config.sets.get(other)):
                speakers = {row["speaker"] for row in rows}
                other_speakers = {row["speaker"] for row in others}
                for speaker in speakers & other_speakers - {None}:
                    leaks[corpus][speaker] = f"speaker {speaker} is tested in {other}"
            for row, duplicate in same_recordings(rows, others):
                leaks[corpus][row["speaker"]] = (
                    f"{row['recording_id']} is the same recording as {duplicate['recording_id']} of {other}"
                )
    if leaks:
        raise EadbenchError(_leak_message(leaks), ", ".join(map(str, training)), _leak_hint(leaks))
    log.info(
        "%d corpora that train and %d that test share no recording and no known speaker",
        len(training_rows),
        len(test_rows),
    )
    write_text(out, '{"leaks": 0}\n')


def _rows(paths: list[Path], splits: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    rows_of: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        for row in read_rows(path, schemas.INDEX):
            if row.status == KEPT and row.split in splits:
                rows_of.setdefault(row.corpus, []).append({name: getattr(row, name) for name in COMPARED})
    return rows_of


def _name_speakers_alike(first: CorpusConfig | None, second: CorpusConfig | None) -> bool:
    """Whether a name means the same person in both: parts of one dataset, or of one
    folder.
    """
    if first is None or second is None or first.kind != second.kind:
        return False
    if first.kind == "folder":
        return Path(first.root).resolve() == Path(second.root).resolve()
    return bool(first.studio) == bool(second.studio)


def _leak_message(leaks: dict[str, dict[str, str]]) -> str:
    count = sum(map(len, leaks.values()))
    corpus, speakers = next(iter(sorted(leaks.items())))
    return (
        f"{count} speakers who may train are tested in another corpus, e.g. in {corpus}: "
        f"{speakers[min(speakers)]}"
    )


def _leak_hint(leaks: dict[str, dict[str, str]]) -> str:
    lines = [
        f"corpora: sets: {corpus}: split: test: [{', '.join(sorted(speakers))}]"
        for corpus, speakers in sorted(leaks.items())
    ]
    indented = "".join(f"\n         {line}" for line in lines)
    return f"add them to the test split, or leave one of the corpora out:{indented}"
