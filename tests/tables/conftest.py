"""Fixtures of the tables: synthetic results, built once."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import synthetic

from eadbench.tables import metrics
from eadbench.tables.build import Inputs, build
from eadbench.tables.config import TablesConfig

DIRECTIONS = {"ssim": "up", "fid": "down", "fvd": "down", "sync_c": "up", "acc_emo": "up", "jitter": "down", "motion_energy": "none"}


@pytest.fixture(autouse=True, scope="session")
def registry():
    """The synthetic metrics, so that these tests stand apart from the scores'."""
    patch = pytest.MonkeyPatch()
    known = {name: SimpleNamespace(direction=d, unit="", description=f"{name}, synthetic") for name, d in DIRECTIONS.items()}
    patch.setattr(metrics, "_registry", lambda: known)
    yield known
    patch.undo()


@pytest.fixture(scope="session")
def config() -> TablesConfig:
    """All tables, a complete grid."""
    return TablesConfig.model_validate(synthetic.CONFIG)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, config: TablesConfig, registry) -> Path:
    """A results folder with tables built."""
    folder = synthetic.make_results(tmp_path_factory.mktemp("results"))
    build(Inputs(**synthetic.inputs_of(folder)), config, 1, folder / "tables" / "scores.parquet")
    return folder
