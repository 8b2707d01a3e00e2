"""Same config, same seed, same values: whatever the number of shards and cores, in one
go or with an interruption.

Here the stages that are cut into shards run once more, for one corpus of the smoke run,
in 3 shards on 1 core. The whole pipeline in 7 shards on 1 core takes ten minutes or
more: EADBENCH_TWICE=1. Slurm is compared in tests/cluster, interrupted runs in
tests/faults.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from faults.values import differences, tables_of, value_bytes
from workflow.running import ROOT, SMOKE, snakemake

pytestmark = pytest.mark.pipeline
CORPUS = "demo_mead"
MERGED = [
    f"results/{name}.parquet"
    for name in (f"clips/{CORPUS}/clips", f"captions/{CORPUS}/captions", f"features/{CORPUS}/index")
]
CUT_INTO_SHARDS = (
    "cut_clips",
    "merge_cut_clips",
    "check_clips",
    "merge_checked_clips",
    "write_captions",
    "merge_captions",
    "filter_captions",
    "extract_features",
    "encode_text",
    "merge_features",
)


def in_shards(count: int, folder: Path) -> tuple[str, ...]:
    """The smoke configuration with every corpus in so many shards."""
    corpora = yaml.safe_load((ROOT / "config.yaml").read_text())["corpora"]["sets"]
    over = folder / "shards.yaml"
    over.write_text(yaml.safe_dump({"corpora": {"sets": {name: {"shards": count} for name in corpora}}}))
    return (*SMOKE, str(over))


def without_shards(values: bytes) -> bytes:
    """Paths name the shard that a file lies in; nothing else may tell how many there
    were.
    """
    return re.sub(rb"shards/\d+-of-\d+", b"shards/K", values)


@pytest.mark.timeout(1200)
def test_three_shards_on_one_core_give_the_values_of_one_on_two(smoke: Path, tmp_path: Path) -> None:
    """Recordings and networks are the smoke run's; clips, captions and features are
    made anew.
    """
    folder = tmp_path / "sharded"
    for part in (f"studio/{CORPUS}", f"corpora/{CORPUS}", "zoo"):
        shutil.copytree(smoke / "results" / part, folder / "results" / part)
    done = snakemake(
        folder, *MERGED, "--allowed-rules", *CUT_INTO_SHARDS, configs=in_shards(3, tmp_path), cores=1
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert len(list((folder / f"results/features/{CORPUS}/shards").iterdir())) == 3
    for output in MERGED:
        assert without_shards(value_bytes(folder / output)) == without_shards(value_bytes(smoke / output)), (
            output
        )


@pytest.mark.timeout(5400)
@pytest.mark.skipif(
    not os.environ.get("EADBENCH_TWICE"), reason="the whole pipeline a second time; set EADBENCH_TWICE=1"
)
def test_the_whole_pipeline_in_seven_shards_on_one_core(smoke: Path, tmp_path: Path) -> None:
    done = snakemake(tmp_path / "run", configs=in_shards(7, tmp_path), cores=1, timeout=5000)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert tables_of(smoke)
    assert differences(tables_of(smoke), tables_of(tmp_path / "run")) == []
