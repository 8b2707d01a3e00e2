"""``tables compare A B``: what changed between two results, and whether by more than
noise.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from eadbench.core import schemas
from eadbench.core.files import write_text
from eadbench.core.tables import read_table
from eadbench.scores.bootstrap import mean_interval, resamplings
from eadbench.scores.paired import signed_rank
from eadbench.tables.ablation import mover
from eadbench.tables.gather import CELL
from eadbench.tables.load import measured_in, per_clip_of, read_json, tables_folder
from eadbench.tables.render import estimate, frame_to_markdown, number
from eadbench.tables.wide import decimals_for, describe_signature

KEY = [*CELL, "metric", "variant"]
SIGNATURE = ["extractor", "weights_sha256", "resolution"]
ALPHA = 0.05
REPLICATES = 1000
FILE_WIDTH = 180  # characters of a line in a file or pipe
ORDER = ("changed", "other signature", "unknown", "noise", "only in A", "only in B", "same")


@dataclass(frozen=True)
class Paired:
    """Paired test of a mean difference, with its bootstrap interval (clustered by
    speaker) and the clips in common.
    """

    p: float
    low: float
    high: float
    n: int


def compare(first: Path, second: Path, out: Path | None = None, everything: bool = False) -> None:
    """Compare two results folders, or tables of ``eadbench score``, print the
    differences and, if asked, write them as Markdown.

    Raises:
        EadbenchError: If one of them holds no tables.
    """
    values, settings = compare_values(first, second), compare_settings(first, second)
    shown = values if everything else values[values.verdict != "same"]
    text = as_text(in_order(shown))
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    counts = f"{len(values)} values: " + ", ".join(
        f"{n} {v}" for v, n in values.verdict.value_counts().items()
    )
    console.print(counts, highlight=False)
    _print(console, "Values", text)
    _print(console, "Settings and inputs", settings)
    if out is not None:
        parts = [f"# {first} and {second}", counts, "## Values", frame_to_markdown(text)]
        parts += ["## Settings and inputs", frame_to_markdown(settings)]
        write_text(out, "\n\n".join(parts))


def compare_values(first: Path, second: Path) -> pd.DataFrame:
    """Every value of either result, the difference, its interval, p, and a verdict (see
    ``ORDER``).
    """
    results = [read_table(tables_folder(f) / "scores.parquet", schemas.SCORES) for f in (first, second)]
    for frame in results:
        frame["variant"] = frame.variant.fillna("")
        frame["resolution"] = frame.resolution.astype("Int64").astype(str).replace("<NA>", "")
    columns = [*KEY, "value", "low", "high", "n", *SIGNATURE, "run_hash", "seed", "commit"]
    both = results[0][columns].merge(
        results[1][columns], on=KEY, how="outer", suffixes=("_a", "_b"), indicator="side"
    )
    tests = _paired(first, second, both)
    rows = []
    for row in both.itertuples(index=False):
        values = {name: getattr(row, name) for name in KEY} | {
            "a": row.value_a,
            "b": row.value_b,
            "n_a": row.n_a,
            "n_b": row.n_b,
        }
        test = tests.get((row.method, row.corpus, row.protocol, row.metric))
        rows.append(values | _verdict(row, test))
    frame = pd.DataFrame(
        rows,
        columns=[*KEY, "a", "b", "n_a", "n_b", "difference", "low", "high", "p_value", "verdict", "detail"],
    )
    return frame.sort_values(KEY, kind="stable", ignore_index=True)


def _verdict(row, paired: Paired | None) -> dict:
    """Difference, interval and verdict of one value."""
    no_difference = {"difference": None, "low": None, "high": None, "p_value": None, "detail": ""}
    if row.side != "both":
        return no_difference | {"verdict": "only in A" if row.side == "left_only" else "only in B"}
    signatures = [
        describe_signature(*(str(getattr(row, f"{name}_{suffix}")) for name in SIGNATURE), "")
        for suffix in "ab"
    ]
    if signatures[0] != signatures[1]:
        return no_difference | {"verdict": "other signature", "detail": f"{signatures[0]} / {signatures[1]}"}
    if pd.isna(row.value_a) or pd.isna(row.value_b):
        same = pd.isna(row.value_a) and pd.isna(row.value_b)
        return no_difference | {
            "verdict": "same" if same else "changed",
            "detail": "not measured" if same else "measured on one side only",
        }
    difference = row.value_b - row.value_a
    if difference == 0 and row.n_a == row.n_b:
        return no_difference | {"difference": 0.0, "verdict": "same"}
    if paired is not None:
        detail = f"{paired.n} clips in common"
        verdict = "changed" if paired.p < ALPHA else "noise"
        return {
            "difference": difference,
            "low": paired.low,
            "high": paired.high,
            "p_value": paired.p,
            "verdict": verdict,
            "detail": detail,
        }
    ends = (row.low_a, row.high_a, row.low_b, row.high_b)
    if any(pd.isna(e) for e in ends):
        return no_difference | {"difference": difference, "verdict": "unknown", "detail": "no interval"}
    low, high = mover([-1, 1], [row.value_a, row.value_b], [row.low_a, row.low_b], [row.high_a, row.high_b])
    return {
        "difference": difference,
        "low": low,
        "high": high,
        "p_value": None,
        "verdict": "noise" if low <= 0 <= high else "changed",
        "detail": "",
    }


def _paired(first: Path, second: Path, both: pd.DataFrame) -> dict[tuple[str, ...], Paired]:
    """Paired tests per (method, corpus, protocol, metric) where both results hold
    per-clip values.
    """
    paired_tests: dict[tuple[str, ...], Paired] = {}
    draws: dict[tuple[str, ...], np.ndarray] = {}
    columns = ["clip_id", "speaker", "metric", "value"]
    for cell in both[both.side == "both"][CELL].drop_duplicates().itertuples(index=False):
        paths = [per_clip_of(tables_folder(f), *cell) for f in (first, second)]
        if not all(p.exists() for p in paths):
            continue
        pairs = pd.merge(
            *(read_table(p, schemas.PER_CLIP, columns) for p in paths),
            on=["clip_id", "metric"],
            suffixes=("_a", "_b"),
        )
        pairs["difference"] = pairs.value_b - pairs.value_a
        for name, group in pairs[np.isfinite(pairs.difference)].groupby("metric"):
            difference = group.difference.to_numpy(float)
            if len(difference) < 2:
                continue
            clips = tuple(group.clip_id)
            if clips not in draws:
                draws[clips] = resamplings(group.speaker_a.tolist(), REPLICATES, 0, "compare", *clips)
            low, high = mean_interval(difference, draws[clips])
            paired_tests[(*cell, str(name))] = Paired(signed_rank(difference), low, high, len(difference))
    return paired_tests


def compare_settings(first: Path, second: Path) -> pd.DataFrame:
    """Seeds, commits, checkpoints, settings and versions that differ, as rows of
    ``what, A, B``; records that one of the results lacks are a row per stage.
    """
    facts = [_facts(folder) for folder in (first, second)]
    records = [{key.partition(": ")[0] for key in result_facts if ": " in key} for result_facts in facts]
    only_a, only_b = records[0] - records[1], records[1] - records[0]
    stages = [Counter(record.partition("/")[0] for record in lone) for lone in (only_a, only_b)]
    differing = [
        key for key in sorted(set(facts[0]) | set(facts[1])) if facts[0].get(key) != facts[1].get(key)
    ]
    rows = [
        {"what": key, "A": str(facts[0].get(key, "–")), "B": str(facts[1].get(key, "–"))}
        for key in differing
        if key.partition(": ")[0] not in only_a | only_b
    ]
    rows += [
        {
            "what": f"{stage}: records of their own",
            "A": str(stages[0].get(stage, "–")),
            "B": str(stages[1].get(stage, "–")),
        }
        for stage in sorted(stages[0].keys() | stages[1].keys())
    ]
    return pd.DataFrame(rows, columns=["what", "A", "B"])


def _facts(folder: Path) -> dict[str, Any]:
    """Flat mapping of everything that may explain a difference: from the scores, and
    from every ``provenance.json`` and ``card.json`` around.
    """
    tables = tables_folder(folder)
    scores = read_table(tables / "scores.parquet", schemas.SCORES)
    facts: dict[str, Any] = {"seed": sorted(set(scores.seed)), "commit": sorted(set(scores.commit))}
    facts |= {f"run of {m}": sorted(set(g.run_hash.dropna())) for m, g in scores.groupby("method")}
    root = measured_in(tables)
    for path in sorted(root.glob("*/**/provenance.json")):
        record = read_json(path)
        where = path.parent.relative_to(root).as_posix()
        facts |= {
            f"{where}: {key}": value for key, value in _flat(record.get("settings"), "settings").items()
        }
        facts |= {
            f"{where}: version of {name}": version for name, version in (record.get("versions") or {}).items()
        }
    for path in sorted(root.glob("zoo/*/card.json")):
        record = read_json(path)
        facts |= {f"zoo/{path.parent.name}: {key}": record.get(key) for key in ("how", "id", "files")}
    return facts


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    """``{"a": {"b": 1}}`` to ``{"a.b": 1}``."""
    if not isinstance(value, dict):
        return {} if value is None else {prefix: value}
    return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{prefix}.{key}").items()}


def in_order(values: pd.DataFrame) -> pd.DataFrame:
    """What changed first; a cell that only one of the results has is one row."""
    lone = values[values.verdict.str.startswith("only")].groupby([*CELL, "verdict"], sort=True)
    counts = values.groupby(CELL).size()
    whole = {key: group for key, group in lone if len(group) == counts[key[:3]]}
    rest = values.drop(index=[index for group in whole.values() for index in group.index])
    rows = [
        dict(zip([*CELL, "verdict"], key, strict=True))
        | {"metric": f"all {len(g)}", "variant": "", "detail": ""}
        for key, g in whole.items()
    ]
    if rows:
        rest = pd.concat([rest, pd.DataFrame(rows, columns=values.columns)], ignore_index=True)
    return rest.sort_values("verdict", key=lambda v: v.map(ORDER.index), kind="stable", ignore_index=True)


def as_text(values: pd.DataFrame) -> pd.DataFrame:
    """The differences for print."""
    rows = []
    for row in values.itertuples(index=False):
        d = decimals_for([v for v in (row.a, row.b) if not pd.isna(v)]) + 1
        n = "/".join("–" if pd.isna(v) else str(int(v)) for v in dict.fromkeys((row.n_a, row.n_b)))
        rows.append(
            {
                "method": row.method,
                "corpus": row.corpus,
                "protocol": row.protocol,
                "metric": f"{row.metric} {row.variant}".strip(),
                "A": number(row.a, d),
                "B": number(row.b, d),
                "B − A": estimate(row.difference, row.low, row.high, d),
                "n": n,
                "p": "–" if pd.isna(row.p_value) else f"{row.p_value:.2g}",
                "verdict": row.verdict + (f" ({row.detail})" if row.detail else ""),
            }
        )
    return pd.DataFrame(
        rows, columns=["method", "corpus", "protocol", "metric", "A", "B", "B − A", "n", "p", "verdict"]
    )


def _print(console: Console, title: str, frame: pd.DataFrame) -> None:
    from eadbench.tables.show import plain_table

    console.print(plain_table(title, frame) if len(frame) else f"{title}: no difference")
