"""Fixtures of the tables: synthetic results, built once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import synthetic

from eadbench.tables.build import TableInputs, build
from eadbench.tables.config import TablesConfig


@pytest.fixture(scope="session")
def config() -> TablesConfig:
    """All tables, a complete grid."""
    return TablesConfig.model_validate(synthetic.CONFIG)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, config: TablesConfig) -> Path:
    """A results folder with tables built."""
    folder = synthetic.make_results(tmp_path_factory.mktemp("results"))
    build(TableInputs(**synthetic.inputs_of(folder)), config, 1, folder / "tables" / "scores.parquet")
    return folder
