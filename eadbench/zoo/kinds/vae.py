"""The image autoencoder whose latents EAD-Net denoises: diffusers' ``AutoencoderKL``.

Fetched (``sd-vae-ft-mse``) at full size; at demo size a small one trained here on
frames of the training clips. Both are a diffusers folder: ``config.json`` and
``diffusion_pytorch_model.safetensors``. Latents are always the posterior's mode,
scaled, so that a frame has one set of latents.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from pydantic import BaseModel, ConfigDict, model_validator
from torch import nn

from eadbench.core.progress import track
from eadbench.core.seeds import rng_for
from eadbench.media.video import read_frames
from eadbench.models.frames import normalise, to_tensor
from eadbench.zoo.card import Card
from eadbench.zoo.fit import fit
from eadbench.zoo.hub import model_from_folder
from eadbench.zoo.make import ArtefactInputs
from eadbench.zoo.material import training_clips

START_LOGVAR = -8.0
CONSTANT = 2.0  # of the channels that steady the norms at the start, see start_from_mean_colours


class VaeOptions(BaseModel):
    """Options of a VAE trained here.

    Attributes:
        channels: Channels per level; the number of levels sets the reduction, 2 **
            (levels - 1).
        layers_per_block: ResNet layers per level.
        latent_channels: Channels of the latents (4, as Stable Diffusion's).
        norm_groups: Groups of the group norms: at least 3, and at least 4 channels in
            each.
        size: Side of the training frames in pixels.
        clips, frames_per_clip: How many training clips, and frames of each.
        steps, batch, lr: Length of training, frames per step, peak learning rate of the
            one-cycle schedule.
        kl: Weight of the Kullback-Leibler term (a sum over the latents, against mean
            errors of pixels; Stable Diffusion's is of that order, too).
        gradient: Weight of the L1 loss on image gradients, which keeps lip and brow
            edges.
        recolour: Mix the colour channels at random and shift them, to augment the few
            faces of the demo.
        centre: Extra weight of the loss at the mouth and eyes, where the talking
            happens.
    """

    model_config = ConfigDict(extra="forbid")
    channels: tuple[int, ...] = (16, 32, 64)
    layers_per_block: int = 1
    latent_channels: int = 4
    norm_groups: int = 4
    size: int = 64
    clips: int = 120
    frames_per_clip: int = 20
    steps: int = 1000
    batch: int = 4
    lr: float = 7e-4
    kl: float = 1e-8
    gradient: float = 0.5
    recolour: bool = True
    centre: float = 3.0

    @model_validator(mode="after")
    def _room_for_colours(self) -> "VaeOptions":
        if self.norm_groups < 3 or any(
            width % self.norm_groups or width < 4 * self.norm_groups for width in self.channels
        ):
            raise ValueError("norm_groups: at least 3 groups of at least 4 channels each at every level")
        return self


def load(folder: Path, card: Card, device: Any = "cpu"):
    """The ``AutoencoderKL``, frozen, in evaluation mode."""
    from diffusers import AutoencoderKL

    model = model_from_folder(AutoencoderKL, folder, card, use_safetensors=True)
    # Channels last: encoding takes 1.7 times less time on CPUs.
    return model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def encode(vae, frames: torch.Tensor) -> torch.Tensor:
    """Frames ``(N, 3, H, W)`` in [-1, 1] to scaled latents ``(N, C, H/f, W/f)``; the
    posterior's mode, hence deterministic.
    """
    shift = vae.config.shift_factor or 0.0
    return (vae.encode(frames).latent_dist.mode() - shift) * vae.config.scaling_factor


def decode(vae, latents: torch.Tensor) -> torch.Tensor:
    """Scaled latents ``(N, C, h, w)`` to frames ``(N, 3, H, W)``, about [-1, 1] (not
    clipped, so that gradients do not vanish).
    """
    shift = vae.config.shift_factor or 0.0
    return vae.decode(latents / vae.config.scaling_factor + shift).sample


def train(folder: Path, raw_options: dict[str, Any], inputs: ArtefactInputs, seed: int) -> dict[str, Any]:
    """Train a small VAE on frames of the training split; writes a diffusers folder.

    Returns:
        Number of frames, parameters, and the error on held-out frames (mean absolute,
        of 255; PSNR in dB).

    Raises:
        EadbenchError: If there are no clips or the loss is not finite.
    """
    from diffusers import AutoencoderKL

    options = VaeOptions.model_validate(raw_options)
    frames = _frames(options, inputs, seed)
    torch.manual_seed(seed % 2**63)
    levels = len(options.channels)
    model = AutoencoderKL(
        block_out_channels=options.channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=options.layers_per_block,
        latent_channels=options.latent_channels,
        norm_num_groups=options.norm_groups,
        sample_size=options.size,
        mid_block_add_attention=False,
    )
    held_out_count = min(max(16, len(frames) // 20), len(frames) // 2)
    order = rng_for(seed, "held out").permutation(len(frames))
    training_frames = frames[torch.from_numpy(order[held_out_count:])]
    held_out_frames = frames[torch.from_numpy(order[:held_out_count])]
    start_from_mean_colours(model)
    model.train().to(memory_format=torch.channels_last)  # saves a tenth of a step on CPUs
    fit(
        model.parameters(),
        _losses(model, training_frames, options, seed),
        options.steps,
        options.lr,
        "VAE",
        betas=(0.9, 0.99),
        weight_decay=1e-4,
    )
    model.eval()
    with torch.no_grad():
        some_frames = training_frames[:: max(1, len(training_frames) // 256)]
        latents = torch.cat([_posterior_mode(model, part) for part in some_frames.split(32)])
        scale = float(1 / latents.std())
        model.register_to_config(scaling_factor=scale)
        decoded = [model.decode(_posterior_mode(model, part)).sample for part in held_out_frames.split(32)]
        rebuilt = torch.cat(decoded).clamp(-1, 1)
    error = (rebuilt - normalise(held_out_frames)) * 127.5
    model.to(memory_format=torch.contiguous_format).save_pretrained(folder, safe_serialization=True)
    return {
        "frames": len(training_frames),
        "parameters": sum(p.numel() for p in model.parameters()),
        "scaling_factor": round(scale, 5),
        "held_out_mean_abs_error": round(float(error.abs().mean()), 3),
        "held_out_psnr": round(float(10 * torch.log10(255**2 / error.square().mean())), 2),
    }


def _posterior_mode(model, frames: torch.Tensor) -> torch.Tensor:
    """Unscaled latents of uint8 frames ``(N, 3, H, W)``."""
    return model.encode(normalise(frames)).latent_dist.mode()


def _frames(options: VaeOptions, inputs: ArtefactInputs, seed: int) -> torch.Tensor:
    clips = training_clips(inputs.clips, options.clips, seed)
    parts = []
    for clip in track(clips, "frames for the VAE", unit="clips"):
        images = read_frames(clip.video)
        chosen = np.unique(np.linspace(0, len(images) - 1, options.frames_per_clip).round().astype(int))
        parts.append(to_tensor(images[chosen], options.size))
    return torch.cat(parts)


def face_weight(size: int, extra: float) -> torch.Tensor:
    """Loss weight per pixel ``(size, size)``: 1, rising to ``1 + extra`` at mouth and
    eyes of the alignment template.
    """
    from eadbench.core.geometry import template_points

    right_eye, left_eye, _, mouth_right, mouth_left = torch.from_numpy(template_points(size))
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    bumps = [(right_eye, 0.10), (left_eye, 0.10), ((mouth_right + mouth_left) / 2, 0.14)]
    weight = torch.zeros(size, size)
    for centre, sigma in bumps:
        squared_distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
        weight = weight + torch.exp(-squared_distance / (2 * (sigma * size) ** 2))
    return 1 + extra * weight.clamp(max=1)


@torch.no_grad()
def start_from_mean_colours(model) -> None:
    """Initialise an ``AutoencoderKL`` so that its first three latents are the mean
    colours of their cells and the decoder interpolates them.

    A short training then has to learn detail alone, and colours that it has not seen
    are reproduced. Residual branches start at zero, so that the path from pixels to
    latents and back is linear but for the last norm and SiLU of encoder and decoder. To
    pass those, each colour is carried as a pair ``(x, -x)``, since
    ``silu(x) - silu(-x) = x``, beside a large constant pair that keeps the norm from
    rescaling each image. Ours.
    """
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
            if module.conv_shortcut is not None:
                _carry(model, module.conv_shortcut, torch.ones(1, 1))
        elif isinstance(module, Downsample2D):
            _carry(model, module.conv, torch.tensor([[0.25, 0.25, 0], [0.25, 0.25, 0], [0, 0, 0]]))
        elif isinstance(module, Upsample2D):
            binomial = torch.tensor([1.0, 2.0, 1.0])
            _carry(model, module.conv, binomial.outer(binomial) / 16)
    for network in (model.encoder, model.decoder):
        _carry(model, network.conv_in, _centre(), first=True)
        width = network.conv_out.weight.shape[1]
        group = width // model.config.norm_num_groups
        # The constant pair dominates the norm of its group.
        undo = CONSTANT / (group / 2) ** 0.5
        network.conv_out.weight[:3] *= 0.1
        for j in range(3):
            network.conv_out.weight[j, j * group] = undo * _centre()
            network.conv_out.weight[j, j * group + 1] = -undo * _centre()
        nn.init.zeros_(network.conv_out.bias)
    for conv in (model.quant_conv, model.post_quant_conv):
        conv.weight.copy_(torch.eye(len(conv.weight))[..., None, None])
        nn.init.zeros_(conv.bias)
    # Start with little posterior noise; at the library's unit variance it would dominate
    # the first steps.
    channels = model.config.latent_channels
    model.encoder.conv_out.weight[channels:] *= 0.1
    model.quant_conv.bias[channels:] = START_LOGVAR


def _centre() -> torch.Tensor:
    """The kernel of the identity."""
    kernel = torch.zeros(3, 3)
    kernel[1, 1] = 1
    return kernel


def _carry(model, conv: nn.Conv2d, kernel: torch.Tensor, first: bool = False) -> None:
    """Let a convolution pass the colours on by ``kernel``: in group j, channels 0 and 1
    hold ``x_j`` and ``-x_j``, 2 and 3 the constants.
    """
    groups = model.config.norm_num_groups
    out, into = conv.weight.shape[0] // groups, conv.weight.shape[1] // groups
    conv.weight *= 0.5
    nn.init.zeros_(conv.bias)
    for j in range(3):
        conv.weight[j * out : j * out + 4] = 0
        conv.weight[j * out, j if first else j * into] = kernel
        conv.weight[j * out + 1, j if first else j * into] = -kernel
        conv.bias[j * out + 2], conv.bias[j * out + 3] = CONSTANT, -CONSTANT


def _recolour(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirror half of the frames; mix and shift the colours of each."""
    mirrored = torch.from_numpy(rng.random((len(frames), 1, 1, 1)) < 0.5)
    mix = torch.from_numpy(np.eye(3) + rng.normal(0, 0.25, (len(frames), 3, 3))).float()
    shift = torch.from_numpy(rng.uniform(-0.3, 0.3, (len(frames), 3, 1, 1))).float()
    mixed = torch.einsum("nij,njhw->nihw", mix, torch.where(mirrored, frames.flip(-1), frames))
    return (mixed + shift).clamp(-1, 1)


def _losses(
    model, frames: torch.Tensor, options: VaeOptions, seed: int
) -> Callable[[], dict[str, torch.Tensor]]:
    weight = face_weight(options.size, options.centre)
    rng = rng_for(seed, "batches")

    def losses() -> dict[str, torch.Tensor]:
        originals = normalise(frames[torch.from_numpy(rng.integers(0, len(frames), options.batch))])
        if options.recolour:
            originals = _recolour(originals, rng)
        posterior = model.encode(originals.contiguous(memory_format=torch.channels_last)).latent_dist
        difference = model.decode(posterior.sample()).sample - originals
        loss = (weight * difference.abs()).mean() + options.kl * posterior.kl().mean()
        for dim in (2, 3):
            loss = loss + options.gradient * difference.diff(dim=dim).abs().mean()
        return {"loss": loss, "mean_abs_error": 127.5 * difference.abs().mean()}

    return losses
