"""Tables of the stages before, read and checked, and the paired tests over them."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from eadbench.clips.listing import Coverage
from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.core.tables import KEPT, Table, read_table
from eadbench.core.threads import job_threads
from eadbench.scores.paired import signed_rank

CELL = ["method", "corpus", "protocol"]
MEMORY = "1GB"
FEWEST = 6  # with fewer pairs the exact signed-rank test cannot reach p < 0.05


def read_all(paths: Sequence[Path], table: Table) -> pd.DataFrame:
    """Read and stack tables of one contract.

    Raises:
        EadbenchError: If one is missing, half written or of another version; it is
            named.
    """
    frames = [read_table(p, table) for p in track(paths, f"reading {table.name}", unit="file")]
    filled = [f for f in frames if len(f)]
    if filled:
        return pd.concat(filled, ignore_index=True)
    return frames[0] if frames else pd.DataFrame(columns=table.names)


def read_summaries(paths: Sequence[Path], few_clips: int = 0) -> pd.DataFrame:
    """All summary rows. Values that are not finite become null and their warning says
    so, as does that of values of fewer than ``few_clips`` clips; the interval of a
    single clip becomes null.

    Raises:
        EadbenchError: If a table breaks its contract or the same value stands there
            twice.
    """
    frame = read_all(paths, schemas.SUMMARY)
    not_finite = frame.value.notna() & ~np.isfinite(frame.value.astype(float))
    for column in ("value", "low", "high"):
        values = frame[column].astype(float)
        # one clip has no interval
        frame[column] = values.where(np.isfinite(values) & ((frame.n > 1) | (column == "value")))
    missing = frame.value.isna() & (frame.n > 0)
    warnings = frame.warning.fillna("").astype(str)
    extended = warnings.str.cat(["the value is not a finite number"] * len(warnings), sep="; ")
    unexplained = not_finite | (missing & (warnings == ""))
    frame["warning"] = warnings.where(~unexplained, extended.str.lstrip("; "))
    few = (frame.n > 0) & (frame.n < few_clips)
    few_texts = [f"only {n} clip{'s' if n > 1 else ''}" for n in frame.n]
    frame["warning"] = [
        "; ".join(filter(None, [warning, few_text])) if is_few else warning
        for warning, few_text, is_few in zip(frame.warning, few_texts, few, strict=True)
    ]
    frame["variant"] = frame.variant.fillna("").astype(str)
    twice = frame[frame.duplicated([*CELL, "metric", "variant"])]
    if len(twice):
        row = twice.iloc[0]
        where = f"{row.method}, {row.corpus}, {row.protocol}, {row.metric} {row.variant}".strip()
        raise EadbenchError("two summaries hold the same value", where, "give each cell's summary once")
    return frame


@contextmanager
def open_per_clip(paths: Sequence[Path], spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the table ``per_clip``: the rows with a finite value. It takes the
    job's threads.

    The files are read here, not by DuckDB: it would take a folder ``corpus=old`` for a
    partition and ``old`` for the column's value (``hive_partitioning``, on by default in
    2.0), and brackets in a name for a pattern.

    Args:
        paths: Per-clip tables.
        spill: Folder in which it writes, below a name of its own, what does not fit
            into ``MEMORY``; by itself it would take ``.tmp`` in the current folder.

    Raises:
        EadbenchError: If a table breaks its contract, or a clip stands there twice for
            one metric.
    """
    spill.mkdir(parents=True, exist_ok=True)
    names = [*CELL, "clip_id", "speaker", "emotion", "metric", "value"]
    types = pa.schema([schemas.PER_CLIP.schema.field(name) for name in names])
    with tempfile.TemporaryDirectory(prefix=f".part-{os.getpid()}-", dir=spill) as scratch:
        settings = {"memory_limit": MEMORY, "threads": job_threads(), "temp_directory": scratch}
        with duckdb.connect(config=settings | {"preserve_insertion_order": False}) as base:
            base.register("rows", types.empty_table())
            base.execute("CREATE TABLE per_clip AS SELECT * FROM rows")
            for path in paths:
                frame = read_table(path, schemas.PER_CLIP, names)
                base.register("rows", pa.Table.from_pandas(frame, types, preserve_index=False))
                base.execute(
                    "INSERT INTO per_clip SELECT * FROM rows WHERE value IS NOT NULL AND isfinite(value)"
                )
            base.unregister("rows")
            twice = base.execute(
                "SELECT method, corpus, protocol, metric, clip_id FROM per_clip GROUP BY ALL HAVING "
                "count(*) > 1 ORDER BY ALL LIMIT 1"
            ).fetchone()
            if twice:
                raise EadbenchError(
                    "a clip was measured twice", ", ".join(twice), "give each cell's per-clip table once"
                )
            yield base


def coverages(paths: Sequence[Path]) -> dict[str, str]:
    """Corpus -> how much of its test list was used, in words; only of those that have
    one.

    Raises:
        EadbenchError: If a file is damaged.
    """
    sentences = {}
    for path in paths:
        seals.check(path)
        coverage = json.loads(path.read_text(encoding="utf-8"))
        if coverage:
            sentences[path.parent.name] = Coverage(**coverage).sentence()
    return sentences


def failures(paths: Sequence[Path]) -> pd.DataFrame:
    """What was not measured: rows of
    ``method, corpus, protocol, clip_id, metric, reason, whole``.

    The last says whether the clip lacks everything.
    """
    names = [*CELL, "clip_id", "metric", "status", "reason"]
    frames = [pd.DataFrame(columns=[*names, "whole"])]
    for path in paths:
        frame = read_table(path, schemas.PER_CLIP, names)
        is_kept = frame.status == KEPT
        frame["whole"] = ~is_kept.groupby(frame.clip_id).transform("any")
        frames.append(frame[~is_kept])
    filled = [f for f in frames if len(f)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def offsets(base: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """AV offsets of all clips, in frames, positive where the audio is early: rows of
    ``method, corpus, protocol, values, clips``.
    """
    rows = base.execute(
        "SELECT method, corpus, protocol, list(value ORDER BY clip_id) AS offsets, "
        "list(clip_id ORDER BY clip_id) AS clips FROM per_clip WHERE metric = 'sync_offset' "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchnumpy()
    frame = pd.DataFrame({name: rows[name] for name in CELL})
    return frame.assign(values=[np.asarray(v, float) for v in rows["offsets"]], clips=list(rows["clips"]))


def clip_sets(base: duckdb.DuckDBPyConnection, method: str) -> dict[str, str]:
    """``corpus/protocol`` -> sha256 of the ids of the clips that a method has, sorted:
    whether two results show the same clips.
    """
    rows = base.execute(
        "SELECT corpus, protocol, string_agg(DISTINCT clip_id, chr(10) ORDER BY clip_id) FROM per_clip "
        "WHERE method = $method GROUP BY ALL ORDER BY ALL",
        {"method": method},
    ).fetchall()
    return {
        f"{corpus}/{protocol}": hashlib.sha256(ids.encode()).hexdigest() for corpus, protocol, ids in rows
    }


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjustment of p values ``(n,)``; null ones stay null and do not count.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p = np.asarray(p_values, float)
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted


def paired_tests(base: duckdb.DuckDBPyConnection, reference: str) -> pd.DataFrame:
    """Compare every method with the reference over the clips that both have.

    Returns:
        Rows of
        ``method, corpus, protocol, metric, reference_method, p_value, n_common``.
    """
    rows = base.execute(
        """
        SELECT p.method, p.corpus, p.protocol, p.metric,
            list(p.value - r.value ORDER BY p.clip_id) AS difference
        FROM per_clip p JOIN per_clip r USING (corpus, protocol, metric, clip_id)
        WHERE r.method = $reference AND p.method <> $reference
        GROUP BY ALL ORDER BY ALL
        """,
        {"reference": reference},
    ).fetchnumpy()
    tests = pd.DataFrame({name: rows[name] for name in (*CELL, "metric")})
    tests["reference_method"] = reference
    tests["p_value"] = [signed_rank(d) for d in track(rows["difference"], "paired tests", unit="test")]
    tests["n_common"] = [len(d) for d in rows["difference"]]
    return tests


def median_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """95 % interval of a median by binomial order statistics; nulls below six values,
    where no such interval exists.
    """
    from scipy.stats import binom

    values = np.sort(values)
    low = int(binom.ppf(0.025, len(values), 0.5)) - 1
    if len(values) < FEWEST or low < 0:
        return None, None
    return float(values[low]), float(values[len(values) - 1 - low])


def speed(samples: pd.DataFrame) -> pd.DataFrame:
    """Time and memory per method, corpus and protocol (``schemas.SPEED``)."""
    rows = []
    for cell, group in samples.groupby(CELL, sort=True):
        timed = group[(group.status == KEPT) & group.seconds.notna() & group.realtime_factor.notna()]
        row = dict(zip(CELL, cell, strict=True)) | {"n": len(timed), "n_missing": len(group) - len(timed)}
        for name in ("seconds", "realtime_factor"):
            values = timed[name].to_numpy(float)
            row[name] = float(np.median(values)) if len(values) else None
            row[f"{name}_low"], row[f"{name}_high"] = median_interval(values)
        peaks = group.peak_mb.dropna()
        row["peak_mb"] = float(peaks.max()) if len(peaks) else None
        rows.append(row)
    return pd.DataFrame(rows, columns=schemas.SPEED.names)
