"""Means of the clips' values by group: emotion, speaker, any column of the clips table,
any column of the user's own labels.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.sheets import read_sheet
from eadbench.core.tables import read_table
from eadbench.scores.metrics import METRICS
from eadbench.tables.config import BY, TablesConfig
from eadbench.tables.metrics import metric
from eadbench.tables.render import estimate
from eadbench.tables.wide import decimals_for

CELL = ["method", "corpus", "protocol"]
ALWAYS = ("emotion", "speaker")  # columns of the scores themselves
GROUP = ["corpus", "clip_id", "by", "level"]
MANY, PARTS = 10, 3  # numbers of more than MANY distinct values are cut into PARTS groups
FEW_SPEAKERS = 3
LABELS = "a CSV with a column clip_id, optionally corpus, and others of your choice"


def groups_of(clips: Sequence[Path], by: Iterable[str], labels: Path | None = None) -> pd.DataFrame:
    """Which clip belongs to which group: rows of ``corpus, clip_id, by, level``.

    Args:
        clips: Tables of clips (``schemas.CLIPS``), one per corpus.
        by: Columns of them or of the labels; ``emotion`` and ``speaker`` are always
            there and may be left out. A column of the labels goes before one of the
            clips.
        labels: CSV with a column ``clip_id``, optionally ``corpus``.

    Raises:
        EadbenchError: If a column is in neither, or the labels cannot be read.
    """
    names = [name for name in dict.fromkeys(by) if name not in ALWAYS]
    label_frame = read_labels(labels) if labels is not None else pd.DataFrame(columns=["clip_id"])
    from_labels = [name for name in names if name in label_frame.columns]
    label_columns = label_frame.columns.drop(["clip_id", "corpus"], errors="ignore")
    check_known(names, [*BY, *label_columns], "column", "--by")
    group_frames = []
    from_clips = [name for name in names if name not in from_labels]
    for path in clips if names else ():
        frame = read_table(path, schemas.CLIPS, ["corpus", "clip_id", *from_clips])
        if from_labels:
            keys = [key for key in ("corpus", "clip_id") if key in label_frame.columns]
            frame = frame.merge(label_frame[[*keys, *from_labels]], on=keys, how="left")
        group_frames += [levels(frame, name) for name in names]
    return pd.concat(group_frames, ignore_index=True) if group_frames else pd.DataFrame(columns=GROUP)


def check_known(names: Iterable[str], valid_names: Collection[str], what: str, option: str) -> None:
    """Verify that columns, or metrics, exist.

    Raises:
        EadbenchError: If one does not, with the nearest name.
    """
    for name in names:
        if name not in valid_names:
            hint = f"known: {', '.join(dict.fromkeys(valid_names))}"
            raise EadbenchError(f"no {what} {name!r}{nearest(name, valid_names)}", option, hint)


def levels(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """The groups of one corpus's clips by one column; clips without a value are in
    none.

    Numbers of more than ten distinct values are cut into three parts of equal size,
    named by their ends.
    """
    values = frame[by]
    number_like = pd.to_numeric(values, errors="coerce")
    if values.notna().any() and number_like[values.notna()].notna().all():
        if number_like.nunique() > MANY:
            cuts = pd.qcut(number_like, PARTS, duplicates="drop")
            named = cuts.map(lambda part: f"{part.left:.3g} to {part.right:.3g}", na_action="ignore")
        else:
            named = number_like.map(lambda value: f"{value:g}", na_action="ignore")
    else:
        named = values.map(str, na_action="ignore")
    chosen = pd.DataFrame({"corpus": frame.corpus, "clip_id": frame.clip_id, "by": by, "level": named})
    return chosen[values.notna() & (named.astype(str) != "")].astype(str)


def read_labels(path: Path) -> pd.DataFrame:
    """The user's labels, all as text.

    Raises:
        EadbenchError: If they cannot be read, lack ``clip_id``, or name a clip twice.
    """
    sheet = read_sheet(path, "labels", LABELS)
    if "clip_id" not in sheet.headings:
        raise EadbenchError("labels lack the column 'clip_id'", path, LABELS)
    frame = pd.DataFrame([row for _, row in sheet.rows], columns=sheet.headings).replace("", None)
    twice = frame[frame.duplicated([key for key in ("corpus", "clip_id") if key in frame.columns])]
    if len(twice):
        raise EadbenchError(
            f"the labels name clip {twice.clip_id.iloc[0]!r} twice", path, "leave one of them"
        )
    return frame


def clustered_mean(
    values: np.ndarray, speakers: Sequence[str]
) -> tuple[float, float | None, float | None, int]:
    """Mean over clips, its 95 % interval, and the number of speakers.

    The clips of a speaker stand or fall together: the standard error is that of means
    over clusters, the interval Student's t of the speakers less one. With one speaker it
    is Student's t over the clips; with one clip there is none. Where every speaker has
    one clip, both are the same.

    Source: Liang & Zeger 1986; with few clusters as in Cameron & Miller 2015, "A
    practitioner's guide to cluster-robust inference".

    Args:
        values: One per clip, ``(n,)``.
        speakers: Of each clip.
    """
    from scipy.special import stdtrit

    n, mean = len(values), math.fsum(values) / len(values)
    deviations = values - mean
    deviations_of: dict[str, list[float]] = {}
    for speaker, deviation in zip(speakers, deviations, strict=True):
        deviations_of.setdefault(speaker, []).append(deviation)
    if len(deviations_of) > 1:
        cluster_sums = [math.fsum(of_speaker) for of_speaker in deviations_of.values()]
    else:
        cluster_sums = list(deviations)
    n_clusters = len(cluster_sums)
    if n_clusters < 2:
        return mean, None, None, len(deviations_of)
    squares = math.fsum(cluster_sum * cluster_sum for cluster_sum in cluster_sums)
    standard_error = math.sqrt(n_clusters / (n_clusters - 1) * squares) / n
    half_width = float(stdtrit(n_clusters - 1, 0.975)) * standard_error
    return mean, mean - half_width, mean + half_width, len(deviations_of)


def breakdown(
    base: duckdb.DuckDBPyConnection, groups: pd.DataFrame | None = None, few_clips: int = 0
) -> pd.DataFrame:
    """Means by emotion, by speaker and by further groups (``schemas.BREAKDOWN``).

    The clips are added up in their order, so that the last bits are the same from run
    to run.

    Args:
        base: With the table ``per_clip``, see ``gather.open_per_clip``.
        groups: See :func:`groups_of`.
        few_clips: Groups of fewer clips carry a warning.
    """
    group_rows = groups if groups is not None else pd.DataFrame(columns=GROUP)
    types = pa.schema([(name, pa.string()) for name in GROUP])
    cursor = base.cursor()  # what is registered with it goes with it
    cursor.register(
        "groups", pa.Table.from_pandas(group_rows[GROUP].astype(object), types, preserve_index=False)
    )
    names = [*CELL, "metric", "by", "level"]
    grouped = " UNION ALL ".join(
        [
            *(
                f"SELECT p.*, '{by}' AS \"by\", {by} AS level FROM per_clip p WHERE {by} IS NOT NULL"
                for by in ALWAYS
            ),
            'SELECT p.*, g."by", g.level FROM per_clip p JOIN groups g USING (corpus, clip_id)',
        ]
    )
    rows = cursor.execute(
        f"""
        SELECT method, corpus, protocol, metric, "by", level, list(value ORDER BY clip_id) AS values,
            list(coalesce(speaker, 'clip ' || clip_id) ORDER BY clip_id) AS speakers,
            bool_and(speaker IS NOT NULL) AS speakers_known
        FROM ({grouped}) GROUP BY ALL ORDER BY ALL
        """
    ).fetchnumpy()
    cursor.close()
    frame = pd.DataFrame({name: rows[name] for name in names})
    estimates = [
        clustered_mean(np.asarray(values, float), speakers)
        for values, speakers in zip(rows["values"], rows["speakers"], strict=True)
    ]
    frame["value"], frame["low"], frame["high"], frame["speakers"] = (
        zip(*estimates, strict=True) if estimates else ([], [], [], [])
    )
    frame = frame.astype({"low": float, "high": float})
    for name, spec in METRICS.items():  # no interval goes beyond what the metric can be
        of_metric = frame.metric == name
        frame.loc[of_metric, ["low", "high"]] = frame.loc[of_metric, ["low", "high"]].clip(*spec.range)
    frame["n"] = [len(values) for values in rows["values"]]
    counted = rows["speakers_known"] & (frame.by != "speaker").to_numpy()
    frame["warning"] = [
        _warning(n, speakers if is_counted else None, few_clips)
        for n, speakers, is_counted in zip(frame.n, frame.speakers, counted, strict=True)
    ]
    return frame[schemas.BREAKDOWN.names]


def _warning(n: int, speakers: int | None, few_clips: int) -> str:
    """What to know of a group that is small."""
    parts = [f"only {n} clip{'s' if n > 1 else ''}"] if n < few_clips else []
    if speakers is not None and speakers < FEW_SPEAKERS:
        parts.append(f"{speakers} speaker{'s' if speakers > 1 else ''}")
    return ", ".join(parts)


SMALL = "*"
LEGEND = (
    "Means over clips with their 95 % interval (standard error clustered by speaker, Student's t) and, in "
    f"brackets, the number of clips; {SMALL} marks a group of few clips or fewer than three speakers."
)


def printed(
    frame: pd.DataFrame, config: TablesConfig, by: str, metrics: Collection[str] = ()
) -> dict[str, pd.DataFrame]:
    """Heading -> a table of methods against levels, for every corpus, protocol and
    metric.

    Args:
        frame: ``schemas.BREAKDOWN``.
        config: Names and order.
        by: The column.
        metrics: Those shown; all if none is named.
    """
    chosen = frame[(frame.by == by) & (frame.metric.isin(metrics) if metrics else True)]
    marked = chosen.assign(mark=[SMALL if warning else "" for warning in chosen.warning])
    return against_levels(marked, config, _order, f" by {by}")


def against_levels(
    frame: pd.DataFrame, config: TablesConfig, order_of: Callable[[str], Any], by: str = ""
) -> dict[str, pd.DataFrame]:
    """Heading -> a table of methods against levels, ``0.41 [0.32, 0.50] (12)``.

    Args:
        frame: Rows of ``method, corpus, protocol, metric, level, value, low, high, n``
            and ``mark``, which is put behind.
        config: Names and order of the methods.
        order_of: Key by which the levels are sorted.
        by: Put behind the metric in the heading.
    """
    order = {method: index for index, method in enumerate(config.methods)}
    tables = {}
    for (corpus, protocol, name), rows in frame.groupby(["corpus", "protocol", "metric"], sort=False):
        label = metric(name)
        d = decimals_for(rows.value, label.spec.unit)
        lines: dict[str, dict[str, str]] = {}
        rows = rows.sort_values("method", key=lambda methods: methods.map(order).fillna(len(order)))
        for row in rows.itertuples():
            line = lines.setdefault(row.method, {"Method": config.label(row.method)})
            line[row.level] = f"{estimate(row.value, row.low, row.high, d)} ({row.n}){row.mark}"
        heads = ["Method", *sorted(set(rows.level), key=order_of)]
        where = "" if protocol == "self" else f", protocol {protocol}"
        heading = f"{label.heading}{by} on {config.label(corpus)}{where}"
        tables[heading] = pd.DataFrame(list(lines.values())).reindex(columns=heads).fillna("–")
    return tables


def _order(level: str) -> tuple[int, float, str]:
    """Numbers by size, then words."""
    try:
        return 0, float(level.split(" to ")[0]), ""
    except ValueError:
        return 1, 0.0, level


def of_results(results: Path) -> tuple[list[Path], list[Path]]:
    """Per-clip tables and tables of clips of a results folder.

    Raises:
        EadbenchError: If nothing was scored there.
    """
    cells = sorted(results.glob("scores/*/*/*/per_clip.parquet"))
    if not cells:
        raise EadbenchError("nothing was scored here", results, "name the folder with --results")
    corpora = sorted({path.parents[1].name for path in cells})
    clips = [results / "clips" / corpus / "clips.parquet" for corpus in corpora]
    return cells, [path for path in clips if path.is_file()]


def labelled(by_clip: Mapping[str, Mapping[str, str]], corpus: str, by: Iterable[str]) -> pd.DataFrame:
    """Groups from labels by clip: ``{clip: {column: value}}``, for ``eadbench score``."""
    frame = pd.DataFrame(
        [{"corpus": corpus, "clip_id": clip, **labels} for clip, labels in by_clip.items()],
        columns=["corpus", "clip_id", *by],
    ).replace("", None)
    group_frames = [levels(frame, name) for name in by if name not in ALWAYS]
    return pd.concat(group_frames, ignore_index=True) if group_frames else pd.DataFrame(columns=GROUP)
