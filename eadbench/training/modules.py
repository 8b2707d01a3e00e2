"""What each module of a trained EAD-Net does: how much it adds to the features, and how
much worse the network denoises without it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from eadbench.core.device import pick_device
from eadbench.core.errors import EadbenchError
from eadbench.features.store import FeatureStore
from eadbench.models.config import EADNetConfig
from eadbench.models.stda import StripAttention, StripFilter, StripPool
from eadbench.models.tfrm import TFRM
from eadbench.training.config import RunConfig
from eadbench.training.data import first_batches
from eadbench.training.eadnet import EADNetTask, LossNetworks
from eadbench.training.networks import read_run
from eadbench.training.run import mask_of
from eadbench.zoo.weights import load_weights


@dataclass(frozen=True)
class ModuleUse:
    """One module of a run, over validation windows.

    Attributes:
        run: Name of the run.
        module: ``stda row``, ``stda column``, ``stda time``, ``tfrm``, ``audio``,
            ``emotion`` and so on.
        blocks: Places of the network that have it.
        share: What it adds over what it is given, ratio of norms, mean over blocks; 0 as
            long as it is not trained. ``None`` of a condition.
        noise: Noise loss where the mask says regenerate, everything on.
        noise_without: The same without the module: its output left out, or the null
            condition in its place.
        reliance: ``noise_without / noise - 1``; 0 when the network does without it.
        windows: Validation windows.
    """

    run: str
    module: str
    blocks: int
    share: float | None
    noise: float
    noise_without: float
    reliance: float
    windows: int


def uses(
    name: str, config: RunConfig, seed: int, device: str, features: Sequence[Path], folder: Path
) -> pd.DataFrame:
    """Measure every module of a run, one row each (:class:`ModuleUse`).

    All runs see the same validation windows with the same noise.

    Args:
        name: The run.
        config: Its configuration.
        seed: Seed of the config.
        device: ``auto``, ``cpu`` or ``cuda``.
        features: Index tables.
        folder: Folder of the run.

    Raises:
        EadbenchError: If it is no EAD-Net, is not trained, or there are no validation
            clips.
    """
    if config.kind != "eadnet":
        raise EadbenchError(
            f"a run of kind {config.kind!r} has no modules", f"training.runs.{name}", "name a run of EAD-Net"
        )
    chosen = pick_device(device)
    run_facts, _ = read_run(folder)
    store = FeatureStore(list(features))
    sizes = EADNetConfig.from_dict(run_facts["model"])
    task = EADNetTask(store, config, sizes, LossNetworks(), seed, name, mask_of(store.facts()))
    load_weights(task.model, folder / "model.safetensors")
    model = task.model.to(chosen).eval()
    task.to(chosen)
    if task.validation is None:
        raise EadbenchError("there are no validation clips", features[0], "give the corpus a split `val`")
    batches = list(first_batches(task.validation, config.optim.validate_batches, config.optim.batch, chosen))
    return pd.DataFrame([asdict(use) for use in measure(name, task, model, batches)])


@torch.no_grad()
def measure(
    run: str, task: EADNetTask, model: nn.Module, batches: list[dict[str, Any]]
) -> Iterator[ModuleUse]:
    """Run the network on the batches, everything on and with each module left out."""

    def noise(**dropped: bool) -> float:
        return float(torch.cat([task.regenerated_noise(model, batch, **dropped) for batch in batches]).mean())

    windows = sum(len(batch["t"]) for batch in batches)
    parts = operators(model)
    with observed([block for blocks in parts.values() for block in blocks]) as shares:
        on = noise()
    for name, blocks in parts.items():
        with left_out(blocks):
            off = noise()
        share = sum(sum(shares[block]) / len(shares[block]) for block in blocks) / len(blocks)
        yield ModuleUse(run, name, len(blocks), share, on, off, off / on - 1, windows)
    conditions = {"audio": {"drop_audio": True}}
    if len(model.config.sources) > 1:
        conditions["emotion"] = {"drop_text": True}
    for name, dropped in conditions.items():
        off = noise(**dropped)
        yield ModuleUse(run, name, 0, None, on, off, off / on - 1, windows)


def operators(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Name -> the blocks of that kind, each of which adds to what it is given."""
    blocks: dict[str, list[nn.Module]] = {}
    for module in model.modules():
        if isinstance(module, StripAttention):
            blocks.setdefault(f"stda {module.axis}", []).append(module)
        elif isinstance(module, StripFilter | StripPool):
            blocks.setdefault("stda filter" if isinstance(module, StripFilter) else "stda pool", []).append(
                module
            )
        elif isinstance(module, TFRM):
            blocks.setdefault("tfrm", []).append(module)
    return blocks


@contextmanager
def observed(blocks: list[nn.Module]) -> Iterator[dict[nn.Module, list[float]]]:
    """Note what each block adds over what it is given, ratio of norms per call."""
    shares: dict[nn.Module, list[float]] = {block: [] for block in blocks}

    def note(block: nn.Module, inputs: tuple, result: Any) -> None:
        x = inputs[0]
        y = result[0] if isinstance(result, tuple) else result
        shares[block].append(float((y - x).norm() / x.norm()))

    handles = [block.register_forward_hook(note) for block in blocks]
    try:
        yield shares
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def left_out(blocks: list[nn.Module]) -> Iterator[None]:
    """Let the blocks give back what they are given."""

    def skip(_: nn.Module, inputs: tuple, result: Any) -> Any:
        return (inputs[0], *result[1:]) if isinstance(result, tuple) else inputs[0]

    handles = [block.register_forward_hook(skip) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
