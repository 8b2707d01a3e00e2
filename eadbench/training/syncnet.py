"""Task of the training SyncNet.

Negatives come from the same clip only: with others, it learns which voice goes with
which face and stays at chance.
"""

from typing import Any

import torch
from torch import nn

from eadbench.core.schemas import FeaturesRow
from eadbench.features.audio import mel_start
from eadbench.features.store import FeatureStore
from eadbench.models.config import SyncNetConfig
from eadbench.models.frames import normalise
from eadbench.models.syncnet import LipSyncNet
from eadbench.training import losses as L
from eadbench.training.config import RunConfig
from eadbench.training.data import Stream, SyncWindows, recoloured
from eadbench.training.loop import TrainingTask

LARGEST_OFFSET = 10
VALIDATION_CLIPS = 24
WINDOWS_AT_ONCE = 64


class SyncNetTask(TrainingTask):
    """See :class:`TrainingTask`."""

    def __init__(
        self, store: FeatureStore, config: RunConfig, model: SyncNetConfig, seed: int, run: str
    ) -> None:
        self.config, self.store = config, store
        torch.manual_seed(seed % 2**63)
        self.model = LipSyncNet(model)
        self.data = SyncWindows(store, Stream(seed, run, "train"), model, config.windows, config.augment)
        self.validation = (
            SyncWindows(store, Stream(seed, run, "val"), model, config.windows, False)
            if len(store.split("val"))
            else None
        )

    def losses(self, model: nn.Module, batch: dict[str, Any], step: int | None) -> dict[str, torch.Tensor]:
        """Contrastive or cosine loss over the windows of each clip."""
        v, a = L.embed_pairs(model, recoloured(batch), batch["sync_mels"], lower=True)
        if self.config.loss == "contrastive":
            loss, right = L.contrastive(v, a, self.config.temperature)
            return {"loss": loss.mean(), "found": right.mean()}
        # Every other window gets the audio of another window of its clip.
        shifted = torch.where(torch.arange(v.shape[1], device=v.device)[:, None] % 2 == 0, a, a.roll(1, 1))
        match = (torch.arange(v.shape[1], device=v.device) % 2 == 0).float().expand(v.shape[:2])
        cosine = (v * shifted).sum(-1).clamp(1e-6, 1 - 1e-6)
        loss = -(match * cosine.log() + (1 - match) * (1 - cosine).log()).mean(1)
        return {"loss": loss.mean(), "found": ((cosine > 0.5) == match.bool()).float().mean()}

    @torch.no_grad()
    def validate(self, model: nn.Module, batches: list[dict[str, Any]]) -> dict[str, float]:
        """Loss, and how often the best of 21 offsets (-10..10 frames) lies within one
        frame of the true one; chance is 14 %.
        """
        result = super().validate(model, batches)
        hits, cosines = [], []
        for row in self.validation.clips[:VALIDATION_CLIPS]:
            scores = offset_scores(model, self.store, row)
            if scores is not None:
                hits.append((scores.argmax(1) - LARGEST_OFFSET).abs() <= 1)
                cosines.append(scores[:, LARGEST_OFFSET])
        if hits:
            result |= {
                "within_one_frame": float(torch.cat(hits).float().mean()),
                "cosine_in_sync": float(torch.cat(cosines).mean()),
            }
        return result


def offset_scores(model: LipSyncNet, store: FeatureStore, row: FeaturesRow) -> torch.Tensor | None:
    """Cosine of each window with the audio at offsets -10..10 frames:
    ``(windows, 21)``, ``None`` if the clip is too short.
    """
    config, device = model.config, next(model.parameters()).device
    windows = row.frames - config.frames + 1
    if windows <= 2 * LARGEST_OFFSET:
        return None
    frames = normalise(store.get(row, "frames"))
    frames = frames[:, :, frames.shape[2] // 2 :].to(device)
    mel = store.get(row, "mel").float().to(device)
    mel = torch.cat([mel, mel[:, -1:].expand(-1, config.mel_steps)], 1)
    embedded = []
    # all of a clip of ten seconds would be 3 GB of frames
    for part in torch.arange(windows).split(WINDOWS_AT_ONCE):
        lips = torch.stack([frames[s : s + config.frames] for s in part.tolist()])
        mels = torch.stack([mel[:, mel_start(s) : mel_start(s) + config.mel_steps] for s in part.tolist()])
        embedded.append(L.embed_pairs(model, lips[None], mels[None], lower=True))
    v, a = (torch.cat(pieces, 1) for pieces in zip(*embedded, strict=True))
    cosines = v[0] @ a[0].T
    middle = torch.arange(LARGEST_OFFSET, windows - LARGEST_OFFSET, device=device)
    return cosines[
        middle[:, None], middle[:, None] + torch.arange(-LARGEST_OFFSET, LARGEST_OFFSET + 1, device=device)
    ].cpu()
