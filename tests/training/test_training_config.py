"""Inheritance of runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from eadbench.core.errors import EadbenchError
from eadbench.training.config import MODELS, TrainingConfig

ROOT = Path(__file__).parents[2]


def test_runs_inherit_from_shared_values_and_from_their_base(small: dict[str, Any]) -> None:
    config = TrainingConfig.model_validate(small)
    full, diff = config.run("full"), config.run("no_tfrm")
    assert (
        diff.model == full.model | {"tfrm": "none"} and diff.losses == full.losses and diff.init == "stage1"
    )
    assert full.optim.steps == 4 and full.losses.x0_every == 2 and full.losses.trepa == 10
    assert "block_channels" not in config.run("syncnet").model, "the shared model is EAD-Net's"


def test_what_a_run_trains_on_is_the_sections_its_bases_or_its_own(small: dict[str, Any]) -> None:
    runs = small["runs"] | {
        "alone": {"base": "full", "train_on": ["one"]},
        "of_alone": {"base": "alone", "init": "alone"},
    }
    config = TrainingConfig.model_validate(small | {"train_on": ["one", "two"], "runs": runs})
    assert config.run("full").train_on == ["one", "two"] and config.run("of_alone").train_on == ["one"]
    assert config.requires("alone").features == ("one",) and config.corpora() == {"one", "two"}
    assert config.seen_by("of_alone") == {"one", "two"}, "stage1, from which `alone` starts, saw both"


def test_mistakes_are_refused(small: dict[str, Any]) -> None:
    with pytest.raises(EadbenchError, match="no run 'nothing'"):
        TrainingConfig.model_validate(small).run("nothing")
    for change, words in (
        ({"base": "nothing"}, "there is no run .nothing."),
        ({"base": "no_tfrm"}, "no_tfrm -> no_tfrm is a circle"),
        ({"kind": "eadnet", "losses": {"sink": 1}}, "sink"),
        ({"kind": "eadnet", "optim": {"batch": 0}}, "batch"),
    ):
        with pytest.raises(ValidationError, match=words):
            TrainingConfig.model_validate(small | {"runs": small["runs"] | {"no_tfrm": change}})


@pytest.mark.parametrize("name", ["config.yaml", "config/paper.yaml"])
def test_the_configs_runs_refer_to_each_other(name: str) -> None:
    """What the workflow reads of a run: `init` and `syncnet` name runs, `parts`
    artefacts, and every model is one that can be built.
    """
    whole = yaml.safe_load((ROOT / name).read_text())
    config = TrainingConfig.model_validate(whole["training"])
    for run_name in config.runs:
        run = config.run(run_name)
        for other, kind in ((run.init, "eadnet"), (run.syncnet, "syncnet")):
            assert other is None or config.run(other).kind == kind
        assert set(run.parts) <= set(whole["zoo"]["artefacts"])
        assert run.pretrained is None or run.pretrained in run.parts
        MODELS[run.kind].model_validate(run.model)
        if run.kind == "eadnet" and run.stage == 2:
            assert {"vae", "lpips", "videomae"} <= set(run.parts) and run.syncnet
    models = [
        MODELS["eadnet"].model_validate(run.model)
        for run in config.runs.values()
        if run.kind == "eadnet" and run.stage == 2
    ]
    grid = {(model.stda != "full", model.tfrm != "none", model.emotion != "none") for model in models}
    assert len(grid) == (8 if name.endswith("paper.yaml") else 4)
    assert config.run("full").optim.ema > 0
