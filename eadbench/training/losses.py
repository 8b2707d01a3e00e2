"""Losses on decoded frames and on the noise.

All give one value per sample ``(B,)``, so that samples can be weighted and gradients
averaged over processes.
"""

import torch
from torch import nn
from torch.nn import functional

LPIPS_SMALLEST = 32  # height in pixels that leaves something after AlexNet's pooling
TREPA_WIDTH = 1408  # of LatentSync's VideoMAE-v2 giant, to which its weight 10 belongs


def noise_loss(
    predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared error per sample ``(B, F, C, h, w)``, with a weight per position of
    mean 1.
    """
    error = (predicted.float() - target.float()).square()
    return (error if weight is None else error * weight).flatten(1).mean(1)


def sync_loss(
    syncnet: nn.Module,
    windows: torch.Tensor,
    mels: torch.Tensor,
    others: torch.Tensor | None,
    temperature: float | None,
) -> torch.Tensor:
    """How badly mouth and audio agree, by the training SyncNet.

    Args:
        syncnet: Frozen SyncNet.
        windows: ``(B, K, f, 3, S, S)`` in [-1, 1].
        mels: Mel of each window ``(B, K, 80, steps)``.
        others: Mel of other moments of the same clips ``(B, M, 80, steps)``; needed
            with a temperature.
        temperature: Of the contrastive loss, if the SyncNet was trained with it: then
            each window must tell its own audio from those of the other windows and
            moments, as in training. ``None``: -log of the cosine, as LatentSync.

    Returns:
        ``(B,)``.
    """
    v = embed_windows(syncnet, windows)
    with torch.no_grad():
        a = embed_mels(syncnet, mels if temperature is None else torch.cat([mels, others], 1))
    if temperature is None:
        return -((v * a).sum(-1).clamp(1e-4, 1.0)).log().mean(1)
    logits = v @ a.transpose(1, 2) / temperature
    own = torch.arange(v.shape[1], device=v.device).expand(v.shape[:2])
    return (
        functional.cross_entropy(logits.flatten(0, 1), own.flatten(), reduction="none")
        .view(own.shape)
        .mean(1)
    )


def embed_windows(syncnet: nn.Module, windows: torch.Tensor, lower: bool = False) -> torch.Tensor:
    """Windows ``(B, K, f, 3, S, S)`` to unit vectors ``(B, K, E)``; ``lower``: they are
    cut to the lower half already.
    """
    if not lower:
        windows = windows[..., windows.shape[-2] // 2 :, :]
    return syncnet.visual(windows.flatten(2, 3).flatten(0, 1)).float().unflatten(0, windows.shape[:2])


def embed_mels(syncnet: nn.Module, mels: torch.Tensor) -> torch.Tensor:
    """Audio ``(B, K, 80, steps)`` to unit vectors ``(B, K, E)``."""
    return syncnet.audio(mels.flatten(0, 1)[:, None]).float().unflatten(0, mels.shape[:2])


def embed_pairs(
    syncnet: nn.Module, windows: torch.Tensor, mels: torch.Tensor, lower: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embed windows ``(B, K, f, 3, S, S)`` and mels ``(B, K, 80, steps)`` to unit
    vectors ``(B, K, E)``; ``lower``: already cut in half.
    """
    batch, count = windows.shape[:2]
    if not lower:
        windows = windows[..., windows.shape[-2] // 2 :, :]
    v, a = syncnet(windows.flatten(2, 3).flatten(0, 1), mels.flatten(0, 1)[:, None])
    return v.float().unflatten(0, (batch, count)), a.float().unflatten(0, (batch, count))


def contrastive(v: torch.Tensor, a: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """InfoNCE both ways among the K windows of each sample.

    Returns:
        Loss ``(B,)`` and the share of windows that find their audio ``(B,)``.
    """
    logits = v @ a.transpose(1, 2) / temperature
    right = torch.arange(v.shape[1], device=v.device).expand(logits.shape[:2])
    both = (
        functional.cross_entropy(x.flatten(0, 1), right.flatten(), reduction="none")
        for x in (logits, logits.transpose(1, 2))
    )
    loss = sum(x.view(right.shape).mean(1) for x in both) / 2
    return loss, (logits.argmax(-1) == right).float().mean(1)


def lpips_loss(lpips: nn.Module, fake: torch.Tensor, real: torch.Tensor, lower_half: bool) -> torch.Tensor:
    """LPIPS per sample, mean over frames ``(B, F, 3, S, S)`` in [-1, 1]; images too
    small for AlexNet are enlarged.
    """
    if lower_half:
        fake, real = (x[..., x.shape[-2] // 2 :, :] for x in (fake, real))
    images = [x.flatten(0, 1) for x in (fake, real)]
    if images[0].shape[-2] < LPIPS_SMALLEST:
        scale = LPIPS_SMALLEST / images[0].shape[-2]
        images = [
            functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for x in images
        ]
    return lpips(*images).view(fake.shape[:2]).mean(1)


def trepa_loss(features: nn.Module, fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """TREPA per sample: mean squared difference of unit-length video embeddings of
    ``(B, F, 3, S, S)``, times D / 1408.

    The mean over D entries of a squared difference of unit vectors shrinks as 1 / D;
    the factor makes the weight mean the same for any width.
    """
    with torch.no_grad():
        target = features(real)
    difference = (features(fake) - target).float().square().mean(-1)
    return difference * features.width / TREPA_WIDTH
