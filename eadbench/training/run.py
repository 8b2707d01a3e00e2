"""``training run``: put a run together from the config, its features and the parts it
is given; train; write what sampling needs.
"""

import hashlib
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from eadbench import zoo
from eadbench.core import provenance, schemas, seals
from eadbench.core.device import pick_device
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, sha256_of, write_text
from eadbench.core.section import shaping
from eadbench.core.tables import write_table
from eadbench.features.store import FeatureStore
from eadbench.training.card import origin, read_run_card
from eadbench.training.config import MODELS, RunConfig, TrainingConfig
from eadbench.training.launch import rank
from eadbench.training.loop import Trainer, TrainingTask
from eadbench.training.networks import load_run, read_run
from eadbench.zoo.card import read_card
from eadbench.zoo.weights import read_weights

if TYPE_CHECKING:
    from eadbench.models.eadnet import EADNet
    from eadbench.training.eadnet import LossNetworks

log = logging.getLogger(__name__)
# Losses on the clean sample and the part that each needs.
NEEDS = {"lpips": "lpips", "trepa": "videomae", "sync": "syncnet"}


def run(
    name: str,
    config: TrainingConfig,
    seed: int,
    device: str,
    features: list[Path],
    out: Path,
    init: Path | None = None,
    parts: dict[str, Path] | None = None,
) -> None:
    """Train run ``name`` and write ``model.safetensors``, ``config.json``,
    ``history.parquet`` and, last, ``card.json`` beside ``out``.

    EAD-Net with a learned frame graph also leaves ``adjacency.safetensors``.

    Args:
        name: Run of the config.
        config: Section ``training``.
        seed: Seed of the config.
        device: ``auto``, ``cpu`` or ``cuda``.
        features: Index tables.
        out: The card.
        init: Folder of the run to start from.
        parts: Folders of ``vae``, ``lpips``, ``videomae`` and the run's ``pretrained``
            (zoo), ``syncnet`` (a run).

    Raises:
        EadbenchError: If an input is missing or does not fit, or a loss is not finite.
    """
    started = time.time()
    settings, parts, folder = config.run(name), parts or {}, out.parent
    chosen = pick_device(device)
    store = FeatureStore(features)
    store.verify(main_process=rank() == 0)
    facts = store.facts()
    model = model_config(name, settings, store, facts)
    parents = {
        key: read_run_card(path) if key in ("init", "syncnet") else read_card(path).model_dump()
        for key, path in parts.items()
    }
    if init:
        parents["init"] = read_run_card(init)
    task = make_task(name, settings, model, store, facts, seed, init, parts)
    record = {
        "run": name,
        "seed": seed,
        "config": shaping(settings),
        "model": model.to_dict(),
        "features": {str(k): sha256_of(path) for k, path in enumerate(features)},
        "parents": {key: hash_of(card) for key, card in sorted(parents.items())},
    }
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    trainer = Trainer(task, settings.optim, name, seed, folder, fingerprint, chosen)
    trainer.train()
    if not trainer.accelerator.is_main_process:
        return
    with atomic_path(folder / "model.safetensors") as part:
        save_file(trainer.final_weights(), part)
    save_adjacency(trainer.adjacency(), folder / "adjacency.safetensors")
    write_text(folder / "config.json", json.dumps(run_facts(settings, model, facts), indent=1) + "\n")
    history = pd.DataFrame(trainer.history)
    write_table(folder / "history.parquet", history, schemas.HISTORY)
    inputs = dict(zip(map(str, features), record["features"].values(), strict=True)) | record["parents"]
    provenance.write(folder, shaping(settings), inputs, started, processes=trainer.accelerator.num_processes)
    card = record | {
        "kind": settings.kind,
        "sha256": sha256_of(folder / "model.safetensors"),
        "steps": settings.optim.steps,
        "trained_on": sorted({row.corpus for row in store.split("train")}),
        "initialised_from": origin(
            parents.get("init") or (parents.get(settings.pretrained) if settings.kind == "eadnet" else None)
        ),
        "sync_loss_from": origin(parents.get("syncnet")),
        "ema_decay": trainer.ema.get_decay(settings.optim.steps) if trainer.ema else None,
        "last": last_values(history),
    }
    write_text(out, json.dumps(card, indent=1) + "\n")
    beside = (folder / name for name in ("config.json", "model.safetensors", "adjacency.safetensors"))
    seals.seal_files(folder, [out, *(path for path in beside if path.exists())], out)
    trainer.forget_state()


def save_adjacency(graphs: dict[str, torch.Tensor], path: Path) -> None:
    """Write what the network learned of the frame graph, for the report's heat maps;
    without any, a file of an earlier run is removed.
    """
    if not graphs:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as part:
        save_file({block: graph.contiguous() for block, graph in graphs.items()}, part)


def run_facts(config: RunConfig, model: Any, facts: dict[str, str]) -> dict[str, Any]:
    """``config.json`` of a run: what whoever uses the weights must know.

    ``kind``; ``model``, the sizes; ``features`` (frame ``size``, ``mask``, VAE
    ``reduction``, hashes of ``vae`` and ``whisper``, Whisper's padding); for EAD-Net
    ``prediction``, ``scheduler`` (arguments of diffusers' schedulers) and
    ``shared_noise``; for SyncNet ``loss`` and ``temperature``.
    """
    result: dict[str, Any] = {
        "kind": config.kind,
        "stage": config.stage,
        "model": model.to_dict(),
        "features": {
            k: int(v) if v.isdigit() and k not in ("vae", "whisper") else v for k, v in facts.items()
        },
    }
    if config.kind == "eadnet":
        d = config.diffusion
        result["prediction"] = model.prediction
        result["scheduler"] = {
            "num_train_timesteps": d.train_steps,
            "beta_start": d.beta_start,
            "beta_end": d.beta_end,
            "beta_schedule": "scaled_linear",
            "prediction_type": "v_prediction" if model.prediction == "v" else "epsilon",
        }
        result["shared_noise"] = d.shared_noise
    if config.kind == "syncnet":
        result |= {"loss": config.loss, "temperature": config.temperature}
    return result


def model_config(name: str, config: RunConfig, store: FeatureStore, facts: dict[str, str]) -> Any:
    """Sizes of the network; those that the features decide are taken from them.

    Raises:
        EadbenchError: If a size is invalid or contradicts the features.
    """
    sizes = dict(config.model)
    for key, value in decided_by_features(config.kind, store, facts).items():
        if sizes.setdefault(key, value) != value:
            raise EadbenchError(
                f"model.{key} is {sizes[key]}, the features have {value}",
                f"training.runs.{name}",
                f"leave {key} out; it is taken from them",
            )
    try:
        return MODELS[config.kind].model_validate(sizes)
    except ValidationError as error:
        raise EadbenchError(
            f"invalid sizes of the network: {error}",
            f"training.runs.{name}.model",
            "see eadbench/models/config.py",
        ) from error


def decided_by_features(kind: str, store: FeatureStore, facts: dict[str, str]) -> dict[str, int]:
    """Sizes that the features decide."""
    size = int(facts["size"])
    if kind == "syncnet":
        return {"image_size": size}
    if kind == "wav2lip":
        return {}
    _, layers, width = store.get(store.clips[0], "audio", 0, 1).shape
    sizes = {
        "image_size": size,
        "audio_dim": width,
        "audio_layers": layers,
        "latent_channels": int(facts["latent_channels"]),
    }
    described = next((row for row in store.clips if row.text_id is not None), None)
    return sizes | ({"text_dim": store.text(described).shape[1]} if described else {})


def make_task(
    name: str,
    config: RunConfig,
    model: Any,
    store: FeatureStore,
    facts: dict[str, str],
    seed: int,
    init: Path | None,
    parts: dict[str, Path],
) -> TrainingTask:
    """The task of a run with all its frozen parts loaded.

    Raises:
        EadbenchError: If a part is missing or does not fit.
    """
    if config.kind == "syncnet":
        from eadbench.training.syncnet import SyncNetTask

        return SyncNetTask(store, config, model, seed, name)
    if config.kind == "wav2lip":
        from eadbench.training.wav2lip import Wav2LipTask

        return Wav2LipTask(store, config, model, *expert(name, parts), seed, name)
    from eadbench.training.eadnet import EADNetTask  # with it come diffusers' layers and schedulers

    networks = loss_networks(name, config, parts, facts)
    task = EADNetTask(store, config, model, networks, seed, name, mask_of(facts))
    if bool(init) != bool(config.init):
        raise EadbenchError(
            "run to start from: config and command disagree",
            f"training.runs.{name}.init",
            f"config says {config.init}; --init {init}",
        )
    if config.pretrained:
        if config.pretrained not in parts:
            raise EadbenchError(
                f"part {config.pretrained!r} was not given",
                f"training.runs.{name}.pretrained",
                "list it in the run's `parts`, too",
            )
        start_from_stable_diffusion(task.model, parts[config.pretrained])
    if init:
        start_from(task.model, init)
    return task


def mask_of(facts: dict[str, str]) -> tuple[str, int, int]:
    """Kind of mask, frame size and reduction of the VAE, as the features were made."""
    return facts["mask"], int(facts["size"]), int(facts["reduction"])


def loss_networks(
    name: str, config: RunConfig, parts: dict[str, Path], facts: dict[str, str]
) -> "LossNetworks":
    """Frozen networks of the losses on the clean sample.

    Raises:
        EadbenchError: If a loss has a weight and its part is not given, or the VAE is
            not that of the features.
    """
    from eadbench.training.eadnet import LossNetworks

    networks = LossNetworks()
    active = [loss for loss in NEEDS if getattr(config.losses, loss) > 0] if config.stage == 2 else []
    if not active:
        return networks
    for part in ("vae", *(NEEDS[loss] for loss in active)):
        if part not in parts:
            hint = (
                f"add --part {part}=FOLDER (in the config: `syncnet: RUN` or `parts: [..]`), or set the "
                "weight of the loss to 0"
            )
            raise EadbenchError(f"the losses need part {part!r}", f"training.runs.{name}", hint)
    if read_card(parts["vae"]).sha256 != facts["vae"]:
        raise EadbenchError(
            "the features were made with another VAE",
            parts["vae"],
            "extract the features again, or give the VAE that they were made with",
        )
    networks.vae = zoo.load(parts["vae"])
    networks.lpips = zoo.load(parts["lpips"]) if "lpips" in active else None
    networks.videomae = zoo.load(parts["videomae"]) if "trepa" in active else None
    if "sync" in active:
        networks.syncnet, networks.temperature = expert(name, parts)
        if config.losses.x0_frames and config.losses.x0_frames < networks.syncnet.config.frames:
            raise EadbenchError(
                "SyncNet looks at more frames than are decoded",
                f"training.runs.{name}.losses.x0_frames",
                "raise x0_frames",
            )
    return networks


def expert(name: str, parts: dict[str, Path]) -> tuple[nn.Module, float | None]:
    """The frozen training SyncNet and the temperature of its contrastive loss (``None``
    with the cosine loss).

    Raises:
        EadbenchError: If it was not given.
    """
    if "syncnet" not in parts:
        raise EadbenchError(
            "the training SyncNet was not given",
            f"training.runs.{name}.syncnet",
            "name the run, or --part syncnet=results/training/syncnet",
        )
    network, facts = load_run(parts["syncnet"])
    return network, facts["temperature"] if facts["loss"] == "contrastive" else None


def hash_of(card: dict[str, Any]) -> str:
    """Hash that names a parent: of a run's weights, or of an artefact's files."""
    return (
        card["sha256"]
        if "sha256" in card
        else hashlib.sha256(json.dumps(sorted(card["files"].items())).encode()).hexdigest()
    )


def start_from(model: "EADNet", folder: Path) -> None:
    """Take over the weights of another run, as far as the variants share them.

    Raises:
        EadbenchError: If the runs are not variants of one network.
    """
    read_run(folder)
    state = read_weights(folder / "model.safetensors")  # not the network: at full size that is 4 GB more
    try:
        report = model.load_compatible(state)
    except ValueError as error:
        raise EadbenchError(
            f"cannot start from this run: {error}", folder, "both runs need the same sizes"
        ) from error
    log.info(
        "started from %s: %d tensors taken over, %d new, %d unused",
        folder,
        len(report.loaded),
        len(report.missing),
        len(report.unexpected),
    )


def start_from_stable_diffusion(model: "EADNet", folder: Path) -> None:
    """Fill the spatial layers from Stable Diffusion's U-Net (an artefact of the zoo).

    Raises:
        EadbenchError: If the file is missing or of another shape.
    """
    from eadbench.models.sd_weights import load_sd_weights

    try:
        report = load_sd_weights(model, zoo.load(folder))
    except ValueError as error:
        raise EadbenchError(
            f"these weights do not fit: {error}", folder, "the network must have Stable Diffusion 1.5's shape"
        ) from error
    log.info(
        "started from Stable Diffusion: %d tensors taken over, %d unused, %d new",
        len(report.mapped),
        len(report.unused),
        len(report.new),
    )


def last_values(history: pd.DataFrame) -> dict[str, float]:
    """The last logged value of each quantity, for the card."""
    last = history.groupby(["split", "quantity"], sort=True).tail(1).sort_values(["split", "quantity"])
    # differ from run to run, and a card is an input of later rules
    timing = ("data_wait", "seconds_per_step")
    return {
        f"{row.split}/{row.quantity}": row.value for row in last.itertuples() if row.quantity not in timing
    }
