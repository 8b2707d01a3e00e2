"""What ``tables build`` wrote, read back."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.tables.config import TablesConfig
from eadbench.tables.notes import Note
from eadbench.tables.wide import Facts, WideTable, ablation_grid, comparison

REBUILD = "run `eadbench tables build`, or delete the folder and run the workflow again"


@dataclass(frozen=True)
class Built:
    """The content of a tables folder."""

    folder: Path
    config: TablesConfig
    scores: pd.DataFrame
    tables: list[WideTable]
    notes: list[Note]
    speed: pd.DataFrame | None


def read_json(path: Path) -> dict:
    """A JSON file.

    Raises:
        EadbenchError: If it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EadbenchError(f"not valid JSON: {error}", path, "delete the file and run the workflow again") from error


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
    tables = [comparison(name, spec, config, scores, facts) for name, spec in config.comparisons().items()]
    if config.ablation is not None:
        tables.append(ablation_grid(config.ablation, config, _with_tests(scores, folder, config, facts), facts))
    speed = read_table(folder / "speed.parquet", schemas.SPEED) if (folder / "speed.parquet").exists() else None
    return Built(folder, config, scores, tables, notes, speed)


def _with_tests(scores: pd.DataFrame, folder: Path, config: TablesConfig, facts: Facts) -> pd.DataFrame:
    """The long scores compare with the first-listed method; the ablation's own tests stand in its wide table."""
    if config.ablation.reference == config.reference:
        return scores
    contract = ablation_grid(config.ablation, config, scores, facts).contract()
    wide = read_table(folder / "ablation.parquet", contract).set_index("method")
    scores = scores.copy()
    for at, row in zip(scores.index, scores.itertuples(index=False), strict=True):
        key = f"{schemas.wide_key(row.metric, row.corpus)}_p"
        if row.method in wide.index and key in wide:
            scores.loc[at, "p_value"] = wide.loc[row.method, key]
    return scores
