"""The faulty corpus, cut once for all tests."""

from pathlib import Path

import pandas as pd
import pytest
from clips.faulty_corpus import CONFIG, make_faults, make_index

from eadbench.clips.cut import cut_shard
from eadbench.core import schemas
from eadbench.core.tables import read_table


@pytest.fixture(scope="session")
def faults(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """The folder of results and the table of clips."""
    folder = tmp_path_factory.mktemp("faults")
    make_faults(folder / "source")
    table = make_index(folder / "corpora", folder / "source")
    cut_shard("mine", "0-of-1", table, folder / "clips" / "cut.parquet", CONFIG)
    return folder, read_table(folder / "clips" / "cut.parquet", schemas.CLIPS)
