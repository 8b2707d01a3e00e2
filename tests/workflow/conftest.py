"""The smoke pipeline, run once for all tests that look at it."""

import os
from pathlib import Path

import pytest
from workflow.running import snakemake


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke pipeline, run once; tests must leave its outputs as they found them. EADBENCH_SMOKE names a folder to reuse."""
    given = os.environ.get("EADBENCH_SMOKE")
    folder = Path(given) if given else tmp_path_factory.mktemp("smoke")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return folder
