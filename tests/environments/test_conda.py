"""The rules under ``--use-conda``: a small workflow from filming to tables, every job
in an environment made from ``envs/``.

``conda`` is a stand-in (``standin/bin/conda``) on py-rattler, whose solver is real, and
its one channel is made of what is installed here (``channel.py``). What this shows:
every such file of ``envs/`` can be solved, no rule imports what its file does not list,
and the package can be imported in environments that do not hold it, although Snakemake
copies their files. What it does not show: that conda-forge has these packages.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from environments.channel import make_channel
from workflow.running import ROOT, snakemake

from eadbench.core import schemas
from eadbench.core.settings import merge
from eadbench.core.tables import read_table

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
FAMILIES = ("media", "captions", "training", "scoring", "tables")


def small_config() -> dict:
    """The smoke configuration with one corpus, no training and two methods that need no
    network.
    """
    raw: dict = {}
    for name in ("config.yaml", "config/smoke.yaml"):
        raw = merge(raw, yaml.safe_load((ROOT / name).read_text()))
    raw["corpora"]["sets"] = {"demo_mead": raw["corpora"]["sets"]["demo_mead"]}
    raw["zoo"]["train_on"] = ["demo_mead"]
    raw["zoo"]["artefacts"]["syncnet_evaluator"]["options"]["steps"] = 2
    raw["training"] = {"train_on": ["demo_mead"], "runs": {}}
    raw["samples"]["methods"] = {
        kind: {"kind": kind, "corpora": ["demo_mead"], "protocols": ["self"]}
        for kind in ("ground_truth", "still")
    }
    raw["scores"] |= {"evaluators": {"sync": "syncnet_evaluator"}, "metrics": ["ssim", "sync"]}
    main = {"title": "Main", "corpora": ["demo_mead"], "metrics": ["ssim", "sync"]}
    raw["tables"] = {"methods": ["still", "ground_truth"], "controls": ["still"], "main": main}
    return raw


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which ``conda`` is the stand-in."""
    pytest.importorskip("rattler")
    folder = tmp_path_factory.mktemp("conda")
    try:
        make_channel(folder, [ROOT / f"envs/{family}.yaml" for family in FAMILIES])
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"older releases cannot be fetched here: {error}")
    home = folder / "home"
    shutil.copytree(Path(__file__).parent / "standin", home)
    command = home / "bin/conda"
    # the Python that has py-rattler
    command.write_text(command.read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1))
    places = {
        "CHANNEL": (folder / "channel").as_uri(),
        "CACHE": str(folder / "cache"),
        "WHEELS": str(folder / "wheels"),
    }
    return {
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        **{f"CONDA_STANDIN_{name}": value for name, value in places.items()},
    }


def test_every_family_of_rules_runs_in_its_own_environment(conda, tmp_path, monkeypatch):
    for name, value in conda.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(small_config(), sort_keys=False))
    targets = [
        "results/tables/scores.parquet",
        "results/captions/demo_mead/captions.parquet",
        "results/clips/demo_mead/report.html",
    ]
    done = snakemake(tmp_path, "--use-conda", "--nocolor", *targets, configs=(str(config),))
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-6000:]
    scores = read_table(tmp_path / "results/tables/scores.parquet", schemas.SCORES)
    assert (
        set(scores["method"]) == {"still", "ground_truth"}
        and scores.loc[scores["metric"] == "ssim", "value"].notna().all()
    )
    made = {
        yaml.safe_load(path.read_text())["name"]: path.with_suffix("")
        for path in (tmp_path / ".snakemake/conda").glob("*.yaml")
    }
    assert set(made) == {f"eadbench-{family}" for family in FAMILIES}
    for name, folder in made.items():
        site = next(folder.glob("lib/python3.*/site-packages"))
        assert not list(site.glob("eadbench*")), "the package comes from the checkout"
        if name in ("eadbench-media", "eadbench-tables"):
            assert not (site / "torch").exists(), f"{name} does without torch"
