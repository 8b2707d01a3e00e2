"""Task of the Wav2Lip baseline: L1 and the loss of the expert, which here is the
training SyncNet (Wav2Lip without its visual critic).
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from eadbench.features.store import FeatureStore
from eadbench.models.config import Wav2LipConfig
from eadbench.models.wav2lip import Wav2Lip
from eadbench.training import losses as L
from eadbench.training.config import RunConfig
from eadbench.training.data import Stream, Wav2LipWindows
from eadbench.training.loop import TrainingTask


class Wav2LipTask(TrainingTask):
    """See :class:`TrainingTask`. Windows have as many frames as the SyncNet looks at,
    so that the expert looks at each window once.
    """

    def __init__(
        self,
        store: FeatureStore,
        config: RunConfig,
        model: Wav2LipConfig,
        syncnet: nn.Module,
        temperature: float | None,
        seed: int,
        run: str,
    ) -> None:
        self.config, self.syncnet, self.temperature = config, syncnet, temperature
        torch.manual_seed(seed % 2**63)
        self.model = Wav2Lip(model)
        length = syncnet.config.frames + (config.windows - 1 if temperature is not None else 0)
        self.data = Wav2LipWindows(
            store, Stream(seed, run, "train"), length, syncnet.config, config.losses.sync_others
        )
        self.validation = None
        if len(store.split("val")):
            self.validation = Wav2LipWindows(
                store, Stream(seed, run, "val"), length, syncnet.config, config.losses.sync_others
            )

    def to(self, device: torch.device) -> None:
        """Move the expert."""
        self.syncnet.to(device)

    def losses(self, model: nn.Module, batch: dict[str, Any], step: int | None) -> dict[str, torch.Tensor]:
        """``(1 - w) L1 + w sync``; before ``sync_from`` L1 alone, and the expert is not
        asked (two fifths of a step of the demo).
        """
        frames, reference = batch["frames"].float() / 255, batch["reference"].float() / 255
        hidden = frames.clone()
        hidden[..., frames.shape[-2] // 2 :, :] = 0
        faces = torch.cat([hidden, reference], 2).flatten(0, 1)
        side = self.model.config.face_size
        if faces.shape[-1] != side:
            faces = functional.interpolate(
                faces, (side, side), mode="bilinear", antialias=True, align_corners=False
            )
        drawn = model(batch["mels"].flatten(0, 1), faces)
        if drawn.shape[-1] != frames.shape[-1]:
            drawn = functional.interpolate(drawn, frames.shape[-2:], mode="bilinear", align_corners=False)
        drawn = drawn.unflatten(0, frames.shape[:2])
        l1 = (drawn - frames).abs().mean()
        if step is not None and step < self.config.sync_from:
            return {"loss": l1, "l1": l1}
        size = self.syncnet.config.frames
        windows = torch.stack([2 * drawn[:, s : s + size] - 1 for s in self.data.sync_starts()], 1)
        sync = L.sync_loss(
            self.syncnet, windows.float(), batch["sync_mels"], batch["others"], self.temperature
        ).mean()
        weight = self.config.sync_weight
        return {"loss": (1 - weight) * l1 + weight * sync, "l1": l1, "sync": sync}
