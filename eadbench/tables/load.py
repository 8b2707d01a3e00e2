"""Reads what ``tables build`` wrote."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.tables.cite import bibtex, keys_of
from eadbench.tables.config import CELLS, TABLES, TablesConfig, with_automatic_tables
from eadbench.tables.notes import Note
from eadbench.tables.wide import Facts, WideTable, ablation_grid, comparison

REBUILD = "run `eadbench tables build`, or delete the folder and run the workflow again"


@dataclass(frozen=True)
class Built:
    """The content of a tables folder; ``clips`` and ``measured`` as ``build.TableInputs``
    has them, ``few_clips`` as it was built with.
    """

    folder: Path
    config: TablesConfig
    scores: pd.DataFrame
    tables: list[WideTable]
    notes: list[Note]
    speed: pd.DataFrame | None
    facts: Facts = field(default_factory=lambda: Facts({}, {}))
    clips: dict[str, str] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    few_clips: int = 0
    dial: pd.DataFrame | None = None
    breakdown: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=schemas.BREAKDOWN.names))


def folder_of(scores: Path) -> Path:
    """The folder of all tables beside the table that ``eadbench score`` writes."""
    return scores.with_name(scores.name + TABLES)


def tables_folder(path: Path) -> Path:
    """The tables of a results folder, the folder itself, or those of a table that
    ``eadbench score`` wrote.

    Raises:
        EadbenchError: If there are none.
    """
    for candidate in (path / "tables", path, folder_of(path)):
        if (candidate / "scores.parquet").exists():
            return candidate
    if path.is_file():
        raise EadbenchError(
            "the tables of this file are not beside it",
            folder_of(path),
            "bring that folder too, or run `eadbench score` again",
        )
    raise EadbenchError(
        "no tables here",
        path,
        "give a results folder with tables in it, which `snakemake --cores all` makes, or the table that "
        "`eadbench score --out` wrote",
    )


def measured_in(tables: Path) -> Path:
    """The folder with what was measured: that of the results, or the cells beside the
    table that ``eadbench score`` writes.
    """
    scored = tables.name.endswith(TABLES)
    return tables.with_name(tables.name.removesuffix(TABLES) + CELLS) if scored else tables.parent


def per_clip_of(tables: Path, method: str, corpus: str, protocol: str) -> Path:
    """The per-clip values of a cell; the file need not be there."""
    scored = tables.name.endswith(TABLES)
    cell = Path(method) if scored else Path("scores", method, corpus, protocol)
    return measured_in(tables) / cell / "per_clip.parquet"


def read_json(path: Path) -> dict:
    """A JSON file.

    Raises:
        EadbenchError: If it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EadbenchError(
            f"not valid JSON: {error}", path, "delete the file and run the workflow again"
        ) from error


def load_built(folder: Path, config: TablesConfig | None = None) -> Built:
    """Read a tables folder.

    Args:
        folder: What ``tables build`` wrote.
        config: Labels and figures other than those that the tables were built with.

    Raises:
        EadbenchError: If it is not there, damaged or of another version.
    """
    path = folder / "tables.json"
    scores = read_table(folder / "scores.parquet", schemas.SCORES)
    seals.check(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config = config or TablesConfig.model_validate(record["config"])
        facts, notes = Facts(**record["facts"]), [Note(**n) for n in record["notes"]]
    except FileNotFoundError as error:
        raise EadbenchError("the tables' description is missing", path, REBUILD) from error
    except (ValueError, KeyError, TypeError) as error:
        raise EadbenchError(f"the tables' description cannot be read: {error}", path, REBUILD) from error
    cells = scores[["method", "corpus", "protocol"]].itertuples(index=False, name=None)
    config = with_automatic_tables(config, cells, set(scores.metric[scores.value.notna()]))
    makers = {name: partial(comparison, name, spec) for name, spec in config.comparisons().items()}
    if config.ablation is not None:
        makers["ablation"] = partial(ablation_grid, config.ablation)
    tables = [
        _with_tests(make_table(config, scores, facts), make_table, folder, config, scores, facts)
        for make_table in makers.values()
    ]
    speed = response = None
    if (folder / "speed.parquet").exists():
        speed = read_table(folder / "speed.parquet", schemas.SPEED)
    if (folder / "dial.parquet").exists():
        response = read_table(folder / "dial.parquet", schemas.DIAL)
    breakdown = read_table(folder / "breakdown.parquet", schemas.BREAKDOWN)
    return Built(
        folder,
        config,
        scores,
        tables,
        notes,
        speed,
        facts,
        record.get("clips", {}),
        record.get("measured", {}),
        record.get("few_clips", 0),
        response,
        breakdown,
    )


def _with_tests(
    table: WideTable,
    make_table: Callable[..., WideTable],
    folder: Path,
    config: TablesConfig,
    scores: pd.DataFrame,
    facts: Facts,
) -> WideTable:
    """A table with the paired tests against its own reference. Those in the long scores
    are against the first-listed method; those against another are in the table's file.
    """
    if table.reference == config.reference:
        return table
    wide = read_table(folder / f"{table.name}.parquet", table.contract()).set_index("method")
    scores = scores.copy()
    for column in table.columns:
        of_column = (
            (scores.metric == column.metric.name)
            & (scores.corpus == column.corpus)
            & (scores.protocol == table.protocol)
        )
        scores.loc[of_column, "p_value"] = scores.method[of_column].map(wide[f"{column.key}_p"])
    return make_table(config, scores, facts)


def references(built: Built, name: str | None = None) -> str:
    """BibTeX of everything that the tables, or one of them, hold.

    Raises:
        EadbenchError: If there is no table of that name.
    """
    chosen = [table for table in built.tables if name in (None, table.name)]
    if not chosen:
        raise EadbenchError(
            f"no table is named {name!r}",
            built.folder,
            f"there are: {', '.join(t.name for t in built.tables)}",
        )
    metrics = [
        column.metric.name
        for table in chosen
        for column in table.columns
        if any(key == column.key and cell.value is not None for (_, key), cell in table.cells.items())
    ]
    methods = [row.method for table in chosen for row in table.rows]
    corpora = [column.corpus for table in chosen for column in table.columns]
    kinds = [built.facts.corpora[corpus]["kind"] for corpus in corpora if corpus in built.facts.corpora]
    keys = keys_of(metrics, kinds, [built.facts.kinds.get(method, method) for method in methods])
    return bibtex(keys, drawn=bool(set(corpora) & set(built.facts.drawn)))
