"""Task of EAD-Net's runs: stage 1 (noise loss) and stage 2 (with losses on the decoded
clean sample).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from eadbench.core.geometry import TEMPLATE
from eadbench.features.store import FeatureStore
from eadbench.models.config import EADNetConfig
from eadbench.models.eadnet import EADNet
from eadbench.models.frames import normalise
from eadbench.models.masks import latent_mask, mask_for
from eadbench.training import losses as L
from eadbench.training.config import RunConfig
from eadbench.training.data import EADNetWindows, Stream
from eadbench.training.loop import TrainingTask
from eadbench.training.noise import Diffusion
from eadbench.zoo.kinds.vae import decode

DECODED_AT_ONCE = 4  # frames, see EADNetTask.decoded


@dataclass
class LossNetworks:
    """Frozen networks of the losses on the clean sample; ``None`` where the weight is 0
    or the stage has none.

    Attributes:
        vae: Decoder.
        syncnet: Training SyncNet.
        temperature: Of its contrastive loss; ``None`` if it was trained with the cosine
            loss.
        lpips: ``(x, y) -> (B,)``.
        videomae: :class:`eadbench.zoo.kinds.videomae.VideoFeatures`.
    """

    vae: Any = None
    syncnet: nn.Module | None = None
    temperature: float | None = None
    lpips: nn.Module | None = None
    videomae: nn.Module | None = None

    def to(self, device: torch.device) -> None:
        """Move them."""
        for network in (self.vae, self.syncnet, self.lpips, self.videomae):
            if network is not None:
                network.to(device)


class EADNetTask(TrainingTask):
    """See :class:`TrainingTask`.

    Args:
        store: Features.
        config: The run.
        model: Sizes of the network.
        networks: Of the losses.
        seed: Seed of the config.
        run: Name of the run.
        mask: Mask kind and frame size, as the features were made.
    """

    def __init__(
        self,
        store: FeatureStore,
        config: RunConfig,
        model: EADNetConfig,
        networks: LossNetworks,
        seed: int,
        run: str,
        mask: tuple[str, int, int],
    ) -> None:
        self.config, self.networks = config, networks
        torch.manual_seed(seed % 2**63)
        self.model = EADNet(model)
        self.model.gradient_checkpointing = config.optim.gradient_checkpointing
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(any(re.fullmatch(pattern, name) for pattern in config.trainable))
        self.diffusion = Diffusion(config.diffusion, model.prediction)
        kind, size, factor = mask
        self.mask = latent_mask(mask_for(kind, size), factor)
        self.weight = position_weight(self.mask, config.losses.emphasis, config.losses.mouth_emphasis)
        clean_every = config.losses.x0_every if config.stage == 2 and networks.vae is not None else 0
        shape = (
            model,
            config.diffusion,
            config.optim.batch,
            clean_every,
            config.losses.x0_frames or model.frames,
        )
        sync = networks.syncnet.config if networks.syncnet is not None else None
        self.data = EADNetWindows(
            store, Stream(seed, run, "train"), *shape, sync=sync, others=config.losses.sync_others
        )
        self.validation = None
        if len(store.split("val")):
            # The stream carries no run name: all runs are validated on the same windows
            # with the same noise, so that they can be compared.
            self.validation = EADNetWindows(
                store, Stream(seed, "eadnet", "val"), model, config.diffusion, config.optim.batch
            )

    def to(self, device: torch.device) -> None:
        """Move mask and loss networks."""
        self.mask, self.weight = self.mask.to(device), self.weight.to(device)
        self.networks.to(device)

    def predict(self, model: nn.Module, batch: dict[str, Any], noisy: torch.Tensor, **options: Any) -> Any:
        """The network's output for a batch; ``options`` go to :meth:`EADNet.forward`."""
        b, f = noisy.shape[:2]
        return model(
            noisy,
            batch["t"],
            self.mask.expand(b, f, -1, -1, -1),
            batch["masked"],
            batch["reference"],
            batch["audio"],
            text=batch["text"],
            text_mask=batch.get("text_mask"),
            vai=batch["vai"],
            drop_audio=batch["drop_audio"],
            drop_text=batch["drop_text"],
            **options,
        )

    def losses(self, model: nn.Module, batch: dict[str, Any], step: int | None) -> dict[str, torch.Tensor]:
        """Noise loss; on every ``x0_every``-th step of stage 2 also sync, LPIPS and
        TREPA.
        """
        weights = self.config.losses
        clean, t = batch["clean"], batch["t"]
        noisy = self.diffusion.add_noise(clean, batch["noise"], t)
        predicted = self.predict(model, batch, noisy)
        per_sample = L.noise_loss(predicted, self.diffusion.target(clean, batch["noise"], t), self.weight)
        noise = (per_sample * self.diffusion.noise_weight(t, weights.snr_gamma)).mean()
        result = {"noise": noise, "loss": weights.noise * noise}
        if "frames" in batch:
            estimate = self.diffusion.clean(noisy.float(), predicted.float(), t)
            parts = self.clean_losses(estimate, batch)
            # Each of these steps stands for x0_every steps, so that the weights mean
            # the same whatever the interval.
            result["loss"] = result["loss"] + weights.x0_every * sum(
                getattr(weights, name) * value for name, value in parts.items()
            )
            result |= parts
        return result

    def clean_losses(self, estimate: torch.Tensor, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Losses on the estimated clean latents ``(B, F, C, h, w)``, each sample
        weighted by its noise level.
        """
        weights, count = self.config.losses, batch["frames"].shape[1]
        trust = self.diffusion.clean_weight(batch["t"], weights.x0_weight)
        part = torch.stack(
            [x[first : first + count] for x, first in zip(estimate, batch["first"].tolist(), strict=True)]
        )
        real = normalise(batch["frames"])
        fake = self.decoded(part.flatten(0, 1)).unflatten(0, part.shape[:2]).float()
        parts = {}
        if self.networks.syncnet is not None:
            size = self.networks.syncnet.config.frames
            windows = torch.stack([fake[:, s : s + size] for s in self.data.sync_starts()], 1)
            parts["sync"] = L.sync_loss(
                self.networks.syncnet, windows, batch["sync_mels"], batch["others"], self.networks.temperature
            )
        if self.networks.lpips is not None:
            parts["lpips"] = L.lpips_loss(self.networks.lpips, fake, real, weights.lower_half)
        if self.networks.videomae is not None:
            parts["trepa"] = L.trepa_loss(self.networks.videomae, fake, real)
        return {name: (trust * value).mean() for name, value in parts.items()}

    def decoded(self, latents: torch.Tensor) -> torch.Tensor:
        """Frames ``(N, 3, H, W)`` of latents ``(N, C, h, w)``. With gradient
        checkpointing a few are decoded at a time, and again on the way back, as
        LatentSync does: the decoder keeps 1.5 GB for a frame of 256 pixels (float32),
        and a batch of the paper's size has 64.
        """
        if not (self.config.optim.gradient_checkpointing and torch.is_grad_enabled()):
            return decode(self.networks.vae, latents)
        pieces = latents.split(DECODED_AT_ONCE)
        return torch.cat(
            [checkpoint(decode, self.networks.vae, piece, use_reentrant=False) for piece in pieces]
        )

    @torch.no_grad()
    def validate(self, model: nn.Module, batches: list[dict[str, Any]]) -> dict[str, float]:
        """Noise loss where the mask says regenerate, with the clip's own audio and
        emotion, and with another clip's audio or emotion.

        The others should be worse: by how much tells whether the network listens, and
        whether it heeds the emotion. Nothing is dropped.
        """
        others = {"noise": (), "noise_other_sound": ("audio",)}
        if len(self.model.config.sources) > 1:
            others["noise_other_emotion"] = ("text", "text_mask", "vai")
        losses: dict[str, list[torch.Tensor]] = {name: [] for name in others}
        for batch in batches:
            for name, keys in others.items():
                exchanged = batch | {key: batch[key].roll(1, 0) for key in keys if batch.get(key) is not None}
                losses[name].append(self.regenerated_noise(model, exchanged))
        result = {name: float(torch.cat(values).mean()) for name, values in losses.items()}
        for used, name in (
            ("audio_sensitivity", "noise_other_sound"),
            ("emotion_sensitivity", "noise_other_emotion"),
        ):
            if name in result:
                result[used] = result[name] / result["noise"] - 1
        return result

    def regenerated_noise(
        self, model: nn.Module, batch: dict[str, Any], drop_audio: bool = False, drop_text: bool = False
    ) -> torch.Tensor:
        """Noise loss ``(B,)`` where the mask says regenerate, with all conditions, or
        the null audio or null emotion for every clip.
        """
        where = (1 - self.mask) / (1 - self.mask).mean()
        noisy = self.diffusion.add_noise(batch["clean"], batch["noise"], batch["t"])
        target = self.diffusion.target(batch["clean"], batch["noise"], batch["t"])
        dropped = {
            "drop_audio": torch.full_like(batch["drop_audio"], drop_audio),
            "drop_text": torch.full_like(batch["drop_text"], drop_text),
        }
        return L.noise_loss(self.predict(model, batch | dropped, noisy), target, where)

    @torch.no_grad()
    def adjacency(self, batches: Iterable[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Frame graphs of TFRM where they are learned: block -> mean over the windows
        ``(rounds, F, F)``, each row summing to 1.
        """
        if self.model.config.tfrm not in ("gat", "learned"):
            return {}
        per_block: dict[str, list[torch.Tensor]] = {}
        for batch in batches:
            noisy = self.diffusion.add_noise(batch["clean"], batch["noise"], batch["t"])
            _, graphs = self.predict(self.model, batch, noisy, return_adjacency=True)
            for block, graph in graphs.items():
                per_block.setdefault(block, []).append(graph.float().cpu())
        return {block: torch.cat(graphs).mean(0) for block, graphs in per_block.items()}


def position_weight(mask: torch.Tensor, emphasis: float, mouth: float) -> torch.Tensor:
    """Weight of the noise loss per latent position ``(1, h, w)``, mean 1: more where
    the mask (0) says regenerate, more still around the mouth.
    """
    size = mask.shape[-1]
    centres = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    right, left = TEMPLATE["mouth_right"], TEMPLATE["mouth_left"]
    centre_x, centre_y, width = (right[0] + left[0]) / 2, (right[1] + left[1]) / 2 + 0.04, left[0] - right[0]
    bump = torch.exp(-(((x - centre_x) / (0.6 * width)) ** 2 + ((y - centre_y) / (0.5 * width)) ** 2))
    weight = 1 + emphasis * (1 - mask) + mouth * bump
    return weight / weight.mean()
