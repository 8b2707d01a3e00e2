"""What each module of a trained network does."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from training.conftest import as_given

from eadbench.core.errors import EadbenchError
from eadbench.features.store import FeatureStore
from eadbench.models.stda import StripAttention
from eadbench.training import modules
from eadbench.zoo.weights import load_weights


@pytest.fixture
def measured(small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], monkeypatch):
    """Measures the run ``stage1``, whose network may be changed before; the corpus has no
    validation split, so the clips of the other one stand in for it.
    """
    split = FeatureStore.split
    monkeypatch.setattr(FeatureStore, "split", lambda store, name: split(store, "train"))
    config = as_given(small, "stage1").run("stage1")

    def of(change=lambda model: None) -> pd.DataFrame:
        def loaded(model: torch.nn.Module, path: Path) -> None:
            load_weights(model, path)
            change(model)

        monkeypatch.setattr(modules, "load_weights", loaded)
        table = modules.uses("stage1", config, 1, "cpu", [tiny_features], trained["stage1"])
        return table.set_index("module")

    return of


def zeroed(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, StripAttention):
            torch.nn.init.zeros_(module.to_out.weight)
            torch.nn.init.zeros_(module.to_out.bias)


def enlarged(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, StripAttention):
            module.to_out.reset_parameters()


def test_a_module_that_adds_nothing_is_not_relied_on(measured):
    table = measured(zeroed)
    assert list(table.index) == ["stda row", "stda column", "audio", "emotion"]
    strips = table.loc[["stda row", "stda column"]]
    assert (strips.share == 0).all() and (strips.reliance == 0).all()
    assert (table.blocks.iloc[:2] > 0).all() and table.share.iloc[2:].isna().all()


def test_left_out_is_what_a_network_without_the_module_gives(measured):
    """Rows and columns are left out one after the other, so the network with both zeroed
    is compared through the one whose columns alone are.
    """

    def columns_zeroed(model: torch.nn.Module) -> None:
        enlarged(model)
        for module in model.modules():
            if isinstance(module, StripAttention) and module.axis == "column":
                torch.nn.init.zeros_(module.to_out.weight)
                torch.nn.init.zeros_(module.to_out.bias)

    torch.manual_seed(0)
    whole = measured(enlarged)
    torch.manual_seed(0)
    without = measured(columns_zeroed)
    assert whole.share["stda column"] > 0 and without.share["stda column"] == 0
    assert whole.noise_without["stda column"] == pytest.approx(without.noise["stda row"], rel=1e-6)
    assert whole.noise_without["stda column"] != whole.noise["stda column"]
    assert whole.reliance["audio"] == whole.noise_without["audio"] / whole.noise["audio"] - 1


def test_other_kinds_of_runs_and_corpora_without_validation_clips_are_refused(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path]
):
    config = as_given(small, "syncnet").run("syncnet")
    with pytest.raises(EadbenchError, match="kind 'syncnet' has no modules"):
        modules.uses("syncnet", config, 1, "cpu", [tiny_features], trained["syncnet"])
    config = as_given(small, "stage1").run("stage1")
    with pytest.raises(EadbenchError, match="no validation clips"):
        modules.uses("stage1", config, 1, "cpu", [tiny_features], trained["stage1"])
