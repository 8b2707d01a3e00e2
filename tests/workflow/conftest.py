"""The smoke pipeline, run once for all tests that look at it."""

from pathlib import Path

import pytest
from workflow.running import snakemake


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke pipeline, run once; tests must leave its outputs as they found them."""
    folder = tmp_path_factory.mktemp("smoke")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return folder
