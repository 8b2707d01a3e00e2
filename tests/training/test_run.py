"""Whole runs: what they write, exact resume, several processes, bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from training.conftest import as_given

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import read_table, write_table
from eadbench.features.store import FeatureStore
from eadbench.training import loop
from eadbench.training.config import TrainingConfig
from eadbench.training.networks import load_run
from eadbench.training.run import run


def train(
    name: str, section: dict[str, Any], features: Path, trained: dict[str, Path], out: Path, **options: Any
) -> Path:
    config = TrainingConfig.model_validate(section)
    settings = config.run(name)
    init = trained["stage1"] if settings.init else None
    names = [*settings.parts, *(["syncnet"] if settings.syncnet else [])]
    run(
        name,
        as_given(section, name),
        1,
        "cpu",
        [features],
        out / "card.json",
        init,
        {n: trained[n] for n in names},
        **options,
    )
    return out


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def history(folder: Path) -> pd.DataFrame:
    """History without what measures time."""
    rows = read_table(folder / "history.parquet", schemas.HISTORY)
    return rows[~rows["quantity"].isin(["data_wait", "seconds_per_step"])].reset_index(drop=True)


@pytest.mark.parametrize("name", ["full", "no_tfrm", "wav2lip"])
def test_a_run_leaves_what_others_need(
    name: str, small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    out = train(name, small, tiny_features, trained, tmp_path / name)
    graphs = ["adjacency.safetensors"] if name == "full" else []
    assert sorted(p.name for p in out.iterdir()) == [
        *graphs,
        "card.json",
        "config.json",
        "history.parquet",
        "model.safetensors",
        "provenance.json",
        "sums.sha256",
    ]
    network, facts = load_run(out)
    assert (
        facts["features"]["size"] == 32
        and facts["features"]["mask"] == "face"
        and facts["features"]["reduction"] == 4
    )
    assert not any(p.requires_grad for p in network.parameters())
    logged = read_table(out / "history.parquet", schemas.HISTORY)
    quantities = set(logged.loc[logged["split"] == "train", "quantity"])
    assert {"loss", "gradient_norm", "learning_rate", "data_wait"} <= quantities
    assert logged["value"].notna().all()
    assert logged.loc[logged["quantity"] == "data_wait", "value"].between(0, 1).all()
    if name == "full":
        assert {"noise", "sync", "lpips", "trepa"} <= quantities
        assert facts["scheduler"]["beta_schedule"] == "scaled_linear" and facts["prediction"] == "epsilon"
        assert set(logged.loc[logged["quantity"] == "sync", "step"]) == {2, 4}, "x0_every: 2"
        card = json.loads((out / "card.json").read_text())
        assert set(card["parents"]) == {"init", "syncnet", "vae", "lpips", "videomae"} and card["steps"] == 4
        first = {"name": "stage1", "trained_on": ["tiny"], "steps": 4, "initialised_from": None}
        assert card["trained_on"] == ["tiny"] and card["initialised_from"] == first
        assert card["sync_loss_from"] == first | {"name": "syncnet"}


def test_wav2lips_expert_counts_from_the_step_that_it_is_told(
    small: dict[str, Any],
    tiny_features: Path,
    trained: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In validation it always counts. The corpus has no such split, so the clips of the
    other one stand in for it.
    """
    split = FeatureStore.split
    monkeypatch.setattr(FeatureStore, "split", lambda store, name: split(store, "train"))
    small["runs"]["wav2lip"] |= {"sync_from": 3, "sync_weight": 0.25}
    logged = read_table(
        train("wav2lip", small, tiny_features, trained, tmp_path) / "history.parquet", schemas.HISTORY
    )
    of = {split: rows.set_index(["quantity", "step"])["value"] for split, rows in logged.groupby("split")}
    assert set(of["train"]["sync"].index) == {3, 4}
    assert of["train"]["loss", 2] == of["train"]["l1", 2] and of["train"]["loss", 3] != of["train"]["l1", 3]
    assert of["val"]["loss", 4] == pytest.approx(
        0.75 * of["val"]["l1", 4] + 0.25 * of["val"]["sync", 4], rel=1e-5
    )


def test_learned_graphs_are_left_for_the_report(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    small["runs"]["full"]["model"] = {"tfrm": "gat"}
    graphs = load_file(train("full", small, tiny_features, trained, tmp_path) / "adjacency.safetensors")
    assert graphs and all(graph.shape == (2, 4, 4) for graph in graphs.values())  # rounds, frames, frames
    assert all(
        torch.allclose(graph.sum(-1), torch.ones(2, 4), atol=1e-5) and (graph >= 0).all()
        for graph in graphs.values()
    )
    small["runs"]["full"]["model"] = {"tfrm": "gcn"}
    train("full", small, tiny_features, trained, tmp_path)
    assert not (tmp_path / "adjacency.safetensors").exists(), (
        "fixed weights are not learned, and the earlier run's file is gone"
    )


def test_what_the_frozen_networks_hold_does_not_change(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    before = tensors(trained["syncnet"])
    train("full", small, tiny_features, trained, tmp_path)
    after = tensors(trained["syncnet"])
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("name", ["full", "syncnet", "wav2lip"])
def test_killed_and_resumed_equals_uninterrupted(
    name: str,
    small: dict[str, Any],
    tiny_features: Path,
    trained: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small["optim"] |= {"steps": 20, "save_every": 10, "validate_every": 10}
    whole = train(name, small, tiny_features, trained, tmp_path / "whole")
    one_step = loop.Trainer._one_step

    def killed(self, step, batches):
        if step == 13:
            raise KeyboardInterrupt
        one_step(self, step, batches)

    monkeypatch.setattr(loop.Trainer, "_one_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(name, small, tiny_features, trained, tmp_path / "parts")
    assert not (tmp_path / "parts" / "card.json").exists()
    if name == "syncnet":  # as a kill leaves it that comes while the next state takes this one's name
        (tmp_path / "parts" / "state").rename(tmp_path / "parts" / ".old-state")
    steps = []
    monkeypatch.setattr(
        loop.Trainer,
        "_one_step",
        lambda self, step, batches: steps.append(step) or one_step(self, step, batches),
    )
    parts = train(name, small, tiny_features, trained, tmp_path / "parts")
    assert steps == list(range(11, 21))
    a, b = tensors(whole), tensors(parts)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    whole_history, parts_history = (history(folder) for folder in (whole, parts))
    pd.testing.assert_frame_equal(whole_history, parts_history)
    assert json.loads((whole / "card.json").read_text()) == json.loads((parts / "card.json").read_text())


def test_a_state_of_another_configuration_is_not_resumed(
    small: dict[str, Any],
    tiny_features: Path,
    trained: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_step = loop.Trainer._one_step

    def killed(self, step, batches):
        if step == 4:
            raise KeyboardInterrupt
        one_step(self, step, batches)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Trainer, "_one_step", killed)
        train("stage1", small, tiny_features, trained, tmp_path)
    small["optim"]["lr"] = 2e-3
    steps = []
    monkeypatch.setattr(
        loop.Trainer,
        "_one_step",
        lambda self, step, batches: steps.append(step) or one_step(self, step, batches),
    )
    train("stage1", small, tiny_features, trained, tmp_path)
    assert steps == [1, 2, 3, 4]


def test_neither_accumulation_nor_loader_workers_change_the_path(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    base = tensors(train("stage1", small, tiny_features, trained, tmp_path / "a"))
    small["optim"]["workers"] = 1
    loaded = tensors(train("stage1", small, tiny_features, trained, tmp_path / "b"))
    assert all(torch.equal(base[k], loaded[k]) for k in base)
    small["optim"] |= {"workers": 0, "accumulate": 2}
    split = tensors(train("stage1", small, tiny_features, trained, tmp_path / "c"))
    assert max((base[k] - split[k]).abs().max() for k in base) < 2e-3, (
        "equal up to rounding, which Adam's first steps enlarge to about lr"
    )


def command_of(
    section: dict[str, Any], name: str, features: Path, trained: dict[str, Path], out: Path, processes: int
) -> list[str]:
    """`eadbench training run` as the workflow calls it."""
    config = TrainingConfig.model_validate(section).run(name)
    command = [
        sys.executable,
        "-m",
        "eadbench",
        "--log",
        str(out / "run.log"),
        "--threads",
        str(processes),
        "training",
        "run",
        "--run",
        name,
    ]
    command += ["--features", str(features), "--processes", str(processes), "--out", str(out / "card.json")]
    command += ["--init", str(trained["stage1"])] if config.init else []
    command += [f"--part={n}={trained[n]}" for n in (*config.parts, *(["syncnet"] if config.syncnet else []))]
    return [*command, "--settings", json.dumps({"seed": 1, "device": "cpu", "training": section})]


def workers_of(launcher: int) -> list[int]:
    """Process ids of a launcher's workers, by rank."""
    pids = {}
    for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        ranks = [int(line.split(b"=")[1]) for line in environment if line.startswith(b"RANK=")]
        pids |= {rank: int(pid) for rank in ranks}
    return [pids[rank] for rank in sorted(pids)]


def test_two_processes_with_the_same_global_batch_have_the_same_loss(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    small["optim"] |= {"steps": 2, "validate_batches": 0}
    small["losses"] = {"x0_every": 2}
    single = train("full", small, tiny_features, trained, tmp_path / "one")
    done = subprocess.run(
        command_of(small, "full", tiny_features, trained, tmp_path / "two", 2),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    provenance = json.loads((tmp_path / "two" / "provenance.json").read_text())
    assert provenance["processes"] == 2
    both = history(single).merge(history(tmp_path / "two"), on=["split", "step", "quantity"])
    both = both[both["quantity"].isin(["loss", "noise", "sync", "lpips", "trepa", "gradient_norm"])]
    assert len(both) == 9
    off = (both["value_x"] - both["value_y"]).abs() / both["value_x"].abs()
    # The second step's losses stand on weights that Adam's first step moved by about
    # lr, whatever the size of the gradient's rounding.
    assert (off[both["step"] == 1] <= 1e-5).all(), both.assign(off=off)
    assert (off <= 1e-3).all(), both.assign(off=off)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_run_whose_worker_is_killed_goes_on_from_its_last_state(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    small["optim"] |= {"steps": 240, "save_every": 20, "validate_batches": 0, "log_every": 20}
    command = command_of(small, "syncnet", tiny_features, trained, tmp_path, 2)
    with (tmp_path / "stderr").open("w") as log:
        launcher = subprocess.Popen(command, stderr=log)
        try:
            wait_for(lambda: (tmp_path / "state" / "state.json").exists(), launcher)
            _, second = workers_of(launcher.pid)
            os.kill(second, signal.SIGKILL)
            assert launcher.wait(timeout=120) != 0, "the command fails when one of its processes dies"
        finally:
            launcher.kill()
    assert not (tmp_path / "card.json").exists()
    reached = json.loads((tmp_path / "state" / "state.json").read_text())["step"]
    assert 20 <= reached < 240
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"resumed after step {reached}" in (tmp_path / "run.log").read_text()
    assert json.loads((tmp_path / "card.json").read_text())["steps"] == 240
    logged = history(tmp_path)
    assert sorted(set(logged["step"])) == list(range(20, 241, 20)), "no step is lost or done twice"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_launcher_that_is_killed(
    small: dict[str, Any],
    tiny_features: Path,
    trained: dict[str, Path],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    small["optim"] |= {"steps": 100_000, "save_every": 20, "validate_batches": 0, "log_every": 1000}
    with (tmp_path / "stderr").open("w") as log:
        launcher = subprocess.Popen(
            command_of(small, "syncnet", tiny_features, trained, tmp_path, 2), stderr=log
        )
    try:
        wait_for(lambda: (tmp_path / "state" / "state.json").exists(), launcher)
        workers = workers_of(launcher.pid)
        assert len(workers) == 2
        launcher.send_signal(number)
        assert launcher.wait(timeout=60) != 0
        end = time.monotonic() + 20
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < end, "they go on alone"
            time.sleep(0.05)
    finally:
        launcher.kill()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen, seconds: float = 200) -> None:
    """Wait until a condition holds while a process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def test_a_loss_that_is_not_finite_stops_with_all_that_is_needed_to_look(
    small: dict[str, Any],
    tiny_features: Path,
    trained: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from eadbench.training.eadnet import EADNetTask

    work = EADNetTask.losses

    def broken(self, model, batch, step):
        losses = work(self, model, batch, step)
        return {k: v * float("nan") for k, v in losses.items()} if step == 3 else losses

    monkeypatch.setattr(EADNetTask, "losses", broken)
    with pytest.raises(EadbenchError) as caught:
        train("stage1", small, tiny_features, trained, tmp_path)
    text = str(caught.value)
    assert "not finite" in text and "step 3" in text
    assert any(clip in text for clip in ("S00_001-000", "S01_000-000", "S01_001-000")), "clips of the batch"
    assert str(tmp_path / "state") in text and (tmp_path / "state" / "state.json").exists()


def test_an_index_without_training_clips_is_refused(
    small: dict[str, Any], tiny_features: Path, tmp_path: Path
) -> None:
    rows = read_table(tiny_features, schemas.FEATURES)
    rows["trains"] = False
    rows["shard"] = [str(tiny_features.parent / s) for s in rows["shard"]]
    write_table(tmp_path / "index.parquet", rows, schemas.FEATURES)
    with pytest.raises(EadbenchError, match="nothing to train on"):
        run(
            "syncnet",
            TrainingConfig.model_validate(small),
            1,
            "cpu",
            [tmp_path / "index.parquet"],
            tmp_path / "run" / "card.json",
        )


def test_missing_inputs_are_named(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    config = TrainingConfig.model_validate(small)
    parts = {n: trained[n] for n in ("vae", "lpips", "syncnet")}
    with pytest.raises(EadbenchError, match="need part 'videomae'"):
        run("full", config, 1, "cpu", [tiny_features], tmp_path / "card.json", trained["stage1"], parts)
    with pytest.raises(EadbenchError, match="is missing"):
        run("syncnet", config, 1, "cpu", [tmp_path / "index.parquet"], tmp_path / "card.json")
    with pytest.raises(EadbenchError, match="is not trained"):
        run(
            "wav2lip",
            config,
            1,
            "cpu",
            [tiny_features],
            tmp_path / "card.json",
            None,
            {"syncnet": tmp_path / "nothing"},
        )
    with pytest.raises(EadbenchError, match="config and command disagree"):
        run("stage1", config, 1, "cpu", [tiny_features], tmp_path / "card.json", trained["stage1"])
    with pytest.raises(EadbenchError, match="cannot be split"):
        small["optim"] |= {"batch": 3, "accumulate": 2}
        run("stage1", TrainingConfig.model_validate(small), 1, "cpu", [tiny_features], tmp_path / "card.json")
    small["runs"]["stage1"]["model"]["audio_dim"] = 7
    with pytest.raises(EadbenchError, match="audio_dim is 7, the features have 16"):
        run("stage1", TrainingConfig.model_validate(small), 1, "cpu", [tiny_features], tmp_path / "card.json")


def test_changed_weights_are_noticed(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path], tmp_path: Path
) -> None:
    out = train("stage1", small, tiny_features, trained, tmp_path)
    data = bytearray((out / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (out / "model.safetensors").write_bytes(bytes(data))
    with pytest.raises(FatalError, match="changed"):
        load_run(out)
