"""How much there is of each corpus: from the tables that are there, else typical
sizes (which are assumptions).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eadbench.core import schemas
from eadbench.core.settings import Settings
from eadbench.core.tables import KEPT, Table, read_table

MEASURED, ASSUMED = "measured", "assumed"
KEPT_SHARE = 0.9  # assumed share of the clips that pass the checks
# recordings, hours, recordings of the test split, GB to fetch, where the numbers are
# from
TYPICAL = {
    ("mead", "front"): (
        31_300,
        31_300 * 4.0 / 3600,
        2_293,
        0,
        "28,040 front views of 43 actors in EDTalk's lists, scaled to 48; 4 s each is a guess",
    ),
    ("mead", "other"): (
        26_000,
        26_000 * 4.0 / 3600,
        1_900,
        0,
        "guess: somewhat fewer than front views, per view",
    ),
    ("hdtf", ""): (
        436,
        17.07,
        20,
        60,
        "HDTF's lists, all videos alive; test: MuseTalk's 20 clips; 60 GB is a guess",
    ),
    ("ravdess", ""): (
        1_440,
        1_440 * 3.7 / 3600,
        1_440,
        13.4,
        "24 actors x 60 with audio, 3.7 s; sizes on Zenodo",
    ),
}


@dataclass(frozen=True)
class Counts:
    """Amounts of one corpus.

    Attributes:
        recordings, seconds: Recordings that can be used, and their total length.
        clips, clip_seconds: Kept clips of all splits, and their total length.
        test_clips, test_seconds: Those that a method renders, and their length as
            rendered (cut to `samples.max_seconds`).
        training_seconds: Length of the clips outside the test split, of whose frames
            there are features.
        gigabytes: To be fetched.
        source: ``measured`` (index or clips table) or ``assumed``.
        note: Where from.
    """

    recordings: float
    seconds: float
    clips: float
    clip_seconds: float
    test_clips: float
    test_seconds: float
    training_seconds: float
    gigabytes: float
    source: str
    note: str


def counts(settings: Settings, results: Path) -> dict[str, Counts]:
    """Amounts of every corpus of the configuration.

    Args:
        settings: The whole configuration.
        results: Folder of results in which index and clips tables are looked for.
    """
    return {name: _counts_of(name, settings, results) for name in settings.corpora.sets}


def _counts_of(name: str, settings: Settings, results: Path) -> Counts:
    index, clips = results / "corpora" / name / "index.parquet", results / "clips" / name / "clips.parquet"
    if not index.exists():
        return _typical(name, settings)
    rows = _kept(index, schemas.INDEX)
    length = (rows["end"].fillna(rows["duration"]) - rows["start"].fillna(0)).clip(lower=0)
    if clips.exists():
        source, rows = clips, _kept(clips, schemas.CLIPS)
        clip_counts, seconds = pd.Series(1, rows.index), rows["frames"] / rows["fps"]
    else:
        source = index
        clip_counts = np.ceil(length / settings.clips.max_seconds) * KEPT_SHARE
        seconds = length * KEPT_SHARE
    test = rows["split"] == settings.samples.split
    return _capped(
        (len(length), float(length.sum())),
        float(clip_counts.sum()),
        float(seconds.sum()),
        float(clip_counts[test].sum()),
        float(seconds[test].sum()),
        float(seconds[rows["split"] != "test"].sum()),
        settings,
        _fetched(index.with_name("fetch.json")),
        MEASURED,
        str(source),
    )


def _kept(path: Path, table: Table) -> pd.DataFrame:
    rows = read_table(path, table)
    return rows[rows["status"] == KEPT]


def _fetched(record: Path) -> float:
    """GB that a corpus's downloads brought; 0 where it was not fetched."""
    files = json.loads(record.read_text(encoding="utf-8"))["files"] if record.exists() else []
    return sum(file["bytes"] or 0 for file in files) / 1e9


def _typical(name: str, settings: Settings) -> Counts:
    corpus = settings.corpora.sets[name]
    if corpus.studio:
        from eadbench.synthetic.jobs import MEAN_SECONDS, jobs_of

        jobs = jobs_of(corpus.studio, settings.seed)
        test = sum(job.actor in corpus.studio.test_actors for job in jobs)
        if not test and corpus.split.rest == settings.samples.split:
            test = len(jobs)
        hours = sum(job.seconds or MEAN_SECONDS for job in jobs) / 3600
        note = f"the studio's plan; a sentence lasts {MEAN_SECONDS} s"
        return _assumed((len(jobs), hours, test, 0.01, note), settings)
    if corpus.kind == "mead":
        sizes = [TYPICAL["mead", "front" if view == "front" else "other"] for view in corpus.views]
        totals = [sum(size[n] for size in sizes) for n in range(4)]
        return _assumed((*totals, sizes[0][4]), settings)
    if (corpus.kind, "") in TYPICAL:
        return _assumed(TYPICAL[corpus.kind, ""], settings)
    note = "a folder that was not indexed: 100 recordings of 11 s is a guess"
    return _assumed((100, 0.3, 20, 0, note), settings)


def _assumed(row: tuple, settings: Settings) -> Counts:
    recordings, hours, test, gigabytes, note = row
    seconds = hours * 3600
    clips_each = max(1, math.ceil(seconds / recordings / settings.clips.max_seconds))
    clips = recordings * clips_each * KEPT_SHARE
    test_share = test / recordings
    return _capped(
        (recordings, seconds),
        clips,
        seconds * KEPT_SHARE,
        clips * test_share,
        seconds * KEPT_SHARE * test_share,
        seconds * KEPT_SHARE * (1 - test_share if settings.samples.split == "test" else 1),
        settings,
        gigabytes,
        ASSUMED,
        note,
    )


def _capped(
    recordings_and_seconds: tuple[float, float],
    clips: float,
    seconds: float,
    test: float,
    test_seconds: float,
    training_seconds: float,
    settings: Settings,
    gigabytes: float,
    *source_and_note: str,
) -> Counts:
    """Test clips are cut to ``max_seconds`` and ``max_clips`` of them are rendered."""
    samples = settings.samples
    clip_seconds = test_seconds / test if test else 0.0
    clip_seconds = min(clip_seconds, samples.max_seconds) if samples.max_seconds else clip_seconds
    rendered = min(test, samples.max_clips) if samples.max_clips else test
    return Counts(
        *recordings_and_seconds,
        clips,
        seconds,
        rendered,
        rendered * clip_seconds,
        training_seconds,
        gigabytes,
        *source_and_note,
    )
