"""What the rehearsal changes of the paper's run, and how deep it goes."""

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from rehearsal import depth, hub, weights
from rehearsal.__main__ import CONFIGS, SHORT, write_machine

from eadbench.core.settings import load

ROOT = Path(__file__).parents[2]
# Amounts, places, and what no random network or drawn face can meet. All else is the
# paper's.
MAY_DIFFER = {
    "pathvars.results",
    "pathvars.logs",
    "device",
    "corpora.accept_licence",
    "corpora.sets.*.root",
    "corpora.sets.*.studio",
    "corpora.sets.*.shards",
    "corpora.sets.hdtf.split.test",
    "corpora.sets.hdtf.split.val",
    "clips.max_seconds",
    "clips.keep.min_sharpness",
    "clips.keep.max_jitter",
    "clips.sync.trust_from",
    "clips.sync.drop_beyond",
    "clips.sync.min_confidence",
    "zoo.accept_licence",
    "zoo.artefacts.*.id",
    "features.frames_per_batch",
    "captions.batch",
    "captions.qwen.dtype",
    "training.optim.workers",
    "training.optim.save_every",
    "training.optim.validate_every",
    "training.optim.validate_batches",
    "training.optim.log_every",
    "training.runs.*.optim.steps",
    "training.runs.*.optim.batch",
    "training.runs.syncnet.windows",
    "samples.max_clips",
    "samples.max_seconds",
    "samples.sampler.steps",
    "samples.sampler.chunk",
    "samples.sampler.compile",
    "scores.fvd_fixed_n",
    "scores.bootstrap",
}


def leaves(raw: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(raw, dict) and raw and path[-1:] != ("studio",):
        return {
            key: value
            for name, part in raw.items()
            for key, value in leaves(part, (*path, str(name))).items()
        }
    return {path: raw}


def allowed(path: tuple[str, ...]) -> bool:
    pattern = [path, (*path[:2], "*", *path[3:])]
    return any(".".join(one) in MAY_DIFFER for one in pattern)


def test_the_rehearsal_is_the_papers_run_but_for_amounts():
    given = leaves(yaml.safe_load((ROOT / CONFIGS[1]).read_text()))
    assert not [".".join(path) for path in given if not allowed(path)]
    paper, rehearsed = (
        load(None, [ROOT / name for name in names], whole=True) for names in (CONFIGS[:1], CONFIGS)
    )
    assert rehearsed.samples.cells() == paper.samples.cells() and list(rehearsed.training.runs) == list(
        paper.training.runs
    )
    for name, artefact in paper.zoo.artefacts.items():
        assert rehearsed.zoo.artefacts[name].id == hub.MARK + artefact.id, (
            "no table may show random weights under the published name"
        )


def test_the_short_rehearsal_has_every_kind_of_method_and_training():
    whole, short = (
        load(None, [ROOT / name for name in names], whole=True) for names in (CONFIGS, (*CONFIGS, SHORT))
    )
    kinds = [{method.kind for method in each.samples.methods.values()} for each in (whole, short)]
    assert kinds[0] == kinds[1]
    trainings = [
        {(run.kind, getattr(run, "stage", 0)) for run in each.training.runs.values()}
        for each in (whole, short)
    ]
    assert trainings[0] == trainings[1]
    full = [each.training.run("full").model for each in (whole, short)]
    assert full[0] == full[1], "the same sizes"


def test_every_external_method_runs_its_stand_in(tmp_path):
    machine = yaml.safe_load(write_machine(tmp_path, depth.choose("full", {})).read_text())
    paper = load(None, [ROOT / CONFIGS[0]], whole=True).samples.methods
    assert machine["samples"]["methods"].keys() == {
        name for name, method in paper.items() if method.kind == "external"
    }
    settings = load(None, [*(ROOT / name for name in CONFIGS), tmp_path / "machine.yaml"], whole=True)
    assert all(Path(settings.samples.methods[name].path).is_dir() for name in machine["samples"]["methods"])


@pytest.mark.parametrize(("free", "name"), [(200.0, "full"), (20.0, "half"), (13.5, "least"), (2.0, "least")])
def test_the_depth_is_what_the_memory_holds(monkeypatch, free, name):
    monkeypatch.setattr(depth, "available_gib", lambda: free)
    found = depth.choose("auto", {})
    assert found.name == name and f"free are {free:.0f}" in found.told


def test_less_depth_keeps_the_widths():
    assert all(set(depth.Depth(name, "").channels) == set(depth.CHANNELS) for name in depth.KEEPING_WIDTHS)


@pytest.mark.parametrize("name", depth.WHAT)
@pytest.mark.parametrize("published", weights.WRITERS)
def test_every_writer_takes_the_options_of_every_depth(name, published):
    inspect.signature(weights.WRITERS[published]).bind(Path(), **depth.Depth(name, "").options(published))


def test_an_unknown_depth_is_told():
    with pytest.raises(SystemExit, match="known are auto, full"):
        depth.choose("7", {})


@cache
def paper():
    return load(None, [ROOT / CONFIGS[0]], whole=True).training


@cache
def network(name: str):
    """EAD-Net of a run of the paper at full size, without its numbers."""
    import torch

    from eadbench.models.config import EADNetConfig
    from eadbench.models.eadnet import EADNet

    with torch.device("meta"):
        return EADNet(EADNetConfig(**paper().runs[name].model))


@pytest.mark.parametrize("name", ["stage1", "full", "no_stda", "none"])
def test_the_papers_runs_start_from_each_other_and_from_stable_diffusion(name):
    import torch

    from eadbench.models.sd_weights import load_sd_weights

    run = paper().runs[name]
    if run.pretrained:
        with torch.device("meta"):
            published = weights.unet_of(depth.CHANNELS, 2).state_dict()
        report = load_sd_weights(network(name), published)
        assert len(report.mapped) + len(report.unused) == len(published)
    else:
        report = network(name).load_compatible(network(run.init).state_dict())
        assert len(report.loaded) > 500 and not [one for one in report.unexpected if ".stda." not in one]


@pytest.mark.parametrize("name", ["stage1", "full", "none"])
def test_the_papers_networks_take_their_inputs(name):
    import torch

    found = network(name)
    config, windows = found.config, 2

    def empty(*shape: int) -> torch.Tensor:
        return torch.zeros(windows, *shape, device="meta")

    latents = empty(config.frames, 4, 32, 32)
    told = {"text": empty(60, 768), "vai": empty(3)} if config.emotion != "none" else {}
    given = (
        empty(config.frames, 1, 32, 32),
        latents,
        latents,
        empty(config.frames, config.audio_tokens, config.audio_dim),
    )
    found.gradient_checkpointing = True
    predicted = found.train()(latents, empty(), *given, **told)
    assert predicted.shape == latents.shape and config.frames == (1 if name == "stage1" else 16)
