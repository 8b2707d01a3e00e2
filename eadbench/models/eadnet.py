"""EAD-Net: the denoising U-Net over video latents.

B clips of F frames; latents (4, h, w), tokens C wide. Convolutions see single frames
(B*F, C, H, W); attention sees (B, F, H, W, C), which is the same memory in
channels-last order. Every transformer block is STDA, then cross-attention to the
conditions, then a feed-forward net; every level with transformer blocks ends with a
TFRM. Shape and names follow Stable Diffusion 1.5, so that its weights fit
(``sd_weights``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch.utils.checkpoint import checkpoint

from eadbench.models.conditioning import (
    ConditionContext,
    ConditionEncoder,
    ConditionShift,
    FusedCrossAttention,
)
from eadbench.models.config import EADNetConfig
from eadbench.models.layers import zeroed
from eadbench.models.stda import STDA
from eadbench.models.tfrm import TFRM

# Tensors that a variant may have and another may lack.
VARIANT_PARTS = re.compile(
    r"\.(stda|tfrm|motion)\.|\b(text_proj|null_text|vai_proj|null_vai)\b|\.cross\.(to_k|to_v|logit)\.(text|vai)\b|\bshift\.to_time\.(text|vai)\b"
)


@dataclass
class LoadReport:
    """What :meth:`EADNet.load_compatible` did: names of tensors loaded, missing in the
    checkpoint, and unused from it.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


class EADNet(nn.Module):
    """The U-Net. Sizes and choices: :class:`EADNetConfig`."""

    def __init__(self, config: EADNetConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        channels = config.block_channels
        time_dim = 4 * channels[0]
        self.conv_in = nn.Conv2d(config.in_channels, channels[0], 3, padding=1)
        self.time_proj = Timesteps(channels[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(channels[0], time_dim)
        self.condition = ConditionEncoder(config)
        self.shift = ConditionShift(config, time_dim) if config.shift else None

        self.down_blocks = nn.ModuleList()
        skips = [channels[0]]  # channels of what the way down leaves for the way up
        for level, out in enumerate(channels):
            last = level == len(channels) - 1
            self.down_blocks.append(Level(config, [(channels[max(level - 1, 0)] if i == 0 else out,
            out) for i in range(config.layers_per_block)],
                                          level in config.attention_levels, config.sources,
                                          down=not last))  # fmt: skip
            skips += [out] * (config.layers_per_block + (not last))
        self.mid_block = Level(config, [(channels[-1], channels[-1])] * 2, True, config.sources, attentions=1)
        self.up_blocks = nn.ModuleList()
        sources = config.sources if config.decoder_condition == "all" else ("audio",)
        previous = channels[-1]
        for level, out in reversed(list(enumerate(channels))):
            widths = []
            for _ in range(config.layers_per_block + 1):
                widths.append((previous + skips.pop(), out))
                previous = out
            self.up_blocks.append(
                Level(config, widths, level in config.attention_levels, sources, up=level > 0)
            )

        self.conv_norm_out = nn.GroupNorm(config.norm_groups, channels[0], eps=1e-5)
        # an untrained network predicts zero, not noise of its own
        self.conv_out = zeroed(nn.Conv2d(channels[0], config.latent_channels, 3, padding=1))

    def forward(
        self,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        mask: torch.Tensor,
        masked: torch.Tensor,
        reference: torch.Tensor,
        audio: torch.Tensor,
        text: torch.Tensor | None = None,
        text_mask: torch.Tensor | None = None,
        vai: torch.Tensor | None = None,
        drop_audio: torch.Tensor | None = None,
        drop_text: torch.Tensor | None = None,
        return_adjacency: bool = False,
    ) -> torch.Tensor | tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Predict the noise (or v) in a window of latents.

        Args:
            noisy: Noised latents Z_T, (B, F, 4, h, w).
            timesteps: Diffusion steps, (B,).
            mask: 1 keep, 0 regenerate, (B, F, 1, h, w).
            masked: Latents of the masked frames Z_m, (B, F, 4, h, w).
            reference: Latents of the reference frames Z_r, (B, F, 4, h, w).
            audio: Whisper states around each frame, (B, F, N, A) of
                :func:`~eadbench.models.conditioning.audio_windows`.
            text: T5 states, (B, L, D); None is the null text.
            text_mask: True where a text token counts, (B, L); None: all.
            vai: Valence, arousal, intensity, (B, 3); None is the null vector.
            drop_audio: Clips that get the null audio, (B,) bool; None: none of them.
            drop_text: Clips that get the null text and the null vector, (B,) bool;
                None: none of them.
            return_adjacency: Also give the frame graphs, block name to (B, layers, F,
                F).

        Returns:
            The prediction, (B, F, 4, h, w).
        """
        b, f = noisy.shape[:2]
        context = self.condition(audio, text, text_mask, vai, drop_audio, drop_text)
        time = self.time_embedding(self.time_proj(timesteps).to(noisy.dtype))  # (B, D)
        time = time.repeat_interleave(f, 0)  # (B*F, D)
        if self.shift is not None:
            time = time + self.shift(context)
        x = torch.cat((noisy, mask, masked, reference), dim=2).flatten(0, 1)  # (B*F, 13, h, w)
        x = self.conv_in(x.contiguous(memory_format=torch.channels_last))

        graphs: dict[str, torch.Tensor] | None = {} if return_adjacency else None
        skips = [x]
        for i, block in enumerate(self.down_blocks):
            x, block_outputs = block(
                x, time, context, f, graphs=graphs, name=f"down_blocks.{i}", run=self._run
            )
            skips += block_outputs
        x, _ = self.mid_block(x, time, context, f, graphs=graphs, name="mid_block", run=self._run)
        for i, block in enumerate(self.up_blocks):
            x, _ = block(
                x, time, context, f, skips=skips, graphs=graphs, name=f"up_blocks.{i}", run=self._run
            )
        x = self.conv_out(F.silu(self.conv_norm_out(x))).unflatten(0, (b, f))
        return x if graphs is None else (x, graphs)

    def forward_with_guidance(
        self,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        mask: torch.Tensor,
        masked: torch.Tensor,
        reference: torch.Tensor,
        audio: torch.Tensor,
        text: torch.Tensor | None = None,
        text_mask: torch.Tensor | None = None,
        vai: torch.Tensor | None = None,
        audio_scale: float = 1.5,
        text_scale: float = 1.5,
    ) -> torch.Tensor:
        """Classifier-free guidance with a scale for audio and one for text (and
        vector), all branches in one batch.

        ``e(0,0) + s_a (e(a,0) - e(0,0)) + s_t (e(a,t) - e(a,0))``, as InstructPix2Pix
        (Brooks et al. 2023) has it for image and text; branches whose factor is zero
        are not run. Shapes as in :meth:`forward`.
        """
        branches = guidance_branches(
            audio_scale,
            text_scale,
            has_text=len(self.config.sources) > 1 and (text is not None or vai is not None),
        )
        n, b = len(branches), len(noisy)
        inputs = (noisy, timesteps, mask, masked, reference, audio, text, text_mask, vai)
        if n == 1 and not (branches[0].drop_audio or branches[0].drop_text):
            return self(*inputs)
        if n > 1:
            inputs = tuple(None if x is None else x.repeat(n, *[1] * (x.dim() - 1)) for x in inputs)
        drop_audio = torch.cat(
            [torch.full((b,), branch.drop_audio, device=noisy.device) for branch in branches]
        )
        drop_text = torch.cat(
            [torch.full((b,), branch.drop_text, device=noisy.device) for branch in branches]
        )
        predictions = self(*inputs, drop_audio=drop_audio, drop_text=drop_text).chunk(n)
        return sum(
            branch.weight * prediction for branch, prediction in zip(branches, predictions, strict=True)
        )

    def load_compatible(self, state: dict[str, torch.Tensor]) -> LoadReport:
        """Load the checkpoint of another variant (other STDA, TFRM, motion or emotion
        condition, else the same sizes).

        Returns:
            What was loaded, what the checkpoint lacks and what it has too much.

        Raises:
            ValueError: If tensors differ that every variant has, or a shape differs.
        """
        own = self.state_dict()
        report = LoadReport(
            loaded=[name for name in own if name in state],
            missing=[name for name in own if name not in state],
            unexpected=[name for name in state if name not in own],
        )
        foreign = [name for name in report.missing + report.unexpected if not VARIANT_PARTS.search(name)]
        wrong = [
            f"{n}: {tuple(state[n].shape)} for {tuple(own[n].shape)}"
            for n in report.loaded
            if state[n].shape != own[n].shape
        ]
        if foreign or wrong:
            listed = "\n  ".join(foreign + wrong)
            raise ValueError(f"the checkpoint is not of a variant of this network:\n  {listed}")
        self.load_state_dict({name: state[name] for name in report.loaded}, strict=False)
        return report

    def _run(self, module: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
        """Call a module; with gradient checkpointing, keep only its inputs for the
        backward pass.
        """
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(module, *args, use_reentrant=False)
        return module(*args)


@dataclass(frozen=True)
class Branch:
    """One forward pass of guidance: its weight in the sum and what it drops."""

    weight: float
    drop_audio: bool
    drop_text: bool


def guidance_branches(audio_scale: float, text_scale: float, has_text: bool = True) -> list[Branch]:
    """The passes that ``(1 - s_a) e(0,0) + (s_a - s_t) e(a,0) + s_t e(a,t)`` needs;
    their weights sum to 1.
    """
    if not has_text:  # e(a,t) and e(a,0) are the same
        text_scale = audio_scale
    branches = (
        Branch(1 - audio_scale, True, True),
        Branch(audio_scale - text_scale, False, True),
        Branch(text_scale, False, False),
    )
    return [branch for branch in branches if branch.weight != 0]


class Level(nn.Module):
    """Residual and transformer blocks at one resolution, the frame graph, and the step
    to the next resolution.

    Args:
        config: The network's.
        widths: Channels in and out of each residual block.
        attend: Whether transformer blocks follow the residual blocks.
        sources: Conditions to attend to.
        down: Ends by halving the side.
        up: Ends by doubling the side.
        attentions: Number of transformer blocks; default one per residual block. The
            middle has one between two.
    """

    def __init__(
        self,
        config: EADNetConfig,
        widths: list[tuple[int, int]],
        attend: bool,
        sources: tuple[str, ...],
        down: bool = False,
        up: bool = False,
        attentions: int | None = None,
    ) -> None:
        super().__init__()
        out = widths[-1][1]
        count = (len(widths) if attentions is None else attentions) if attend else 0
        self.resnets = nn.ModuleList(
            ResnetBlock2D(
                in_channels=i,
                out_channels=o,
                temb_channels=4 * config.block_channels[0],
                groups=config.norm_groups,
                eps=1e-5,
            )
            for i, o in widths
        )
        self.attentions = nn.ModuleList(TransformerBlock(config, out, sources) for _ in range(count))
        self.motion = (
            nn.ModuleList(motion_module(config, out) for _ in widths)
            if config.motion and attentions is None
            else None
        )
        self.tfrm = (
            TFRM(out, config.tfrm, config.tfrm_band, config.tfrm_layers, config.tfrm_tau)
            if attend and config.tfrm != "none"
            else None
        )
        self.downsamplers = nn.ModuleList(
            [Downsample2D(out, use_conv=True, padding=1, name="op")] if down else []
        )
        self.upsamplers = nn.ModuleList([Upsample2D(out, use_conv=True)] if up else [])

    def forward(
        self,
        x: torch.Tensor,
        time: torch.Tensor,
        context: ConditionContext,
        frames: int,
        skips: list[torch.Tensor] | None = None,
        graphs: dict[str, torch.Tensor] | None = None,
        name: str = "",
        run: Callable[..., torch.Tensor] = lambda module, *args: module(*args),
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Run the level.

        Args:
            x: (B*F, C, H, W).
            time: Time embedding, (B*F, D).
            context: The conditions.
            frames: F.
            skips: On the way up, the stack of features from the way down; taken from
                its end.
            graphs: Where to put the adjacency of the frame graph, under ``name``.
            name: Name of this level.
            run: Caller of the blocks (gradient checkpointing).

        Returns:
            The result and the features after each block and after halving.
        """
        outputs = []
        for i, resnet in enumerate(self.resnets):
            x = run(resnet, x if skips is None else torch.cat((x, skips.pop()), dim=1), time)
            if i < len(self.attentions):
                x = run(self.attentions[i], x, context, frames)
            if self.motion is not None:
                x = run(self.motion[i], x, None, None, None, frames)
            if self.tfrm is not None and i == len(self.resnets) - 1:
                x, graph = self.tfrm(x.unflatten(0, (-1, frames)), return_adjacency=True)
                x = x.flatten(0, 1)
                if graphs is not None:
                    graphs[name] = graph
            outputs.append(x)
        for downsample in self.downsamplers:
            x = downsample(x)
            outputs.append(x)
        for upsample in self.upsamplers:
            x = upsample(x, output_size=skips[-1].shape[-2:])  # sides may be odd
        return x, outputs


class TransformerBlock(nn.Module):
    """STDA, cross-attention to the conditions, feed-forward; around them a group norm,
    two projections and a residual.
    """

    def __init__(self, config: EADNetConfig, channels: int, sources: tuple[str, ...]) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.stda = STDA(channels, config.heads, config.stda, config.filter_taps, config.filter_groups)
        self.cross = FusedCrossAttention(channels, config.heads, config.context_dim, sources)
        self.ff_norm = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, context: ConditionContext, frames: int) -> torch.Tensor:
        """(B*F, C, H, W) to the same shape."""
        y = self.norm(x).permute(0, 2, 3, 1).unflatten(0, (-1, frames))  # (B, F, H, W, C)
        y = self.stda(self.proj_in(y))
        y = self.cross(y, context)
        y = y + self.ff(self.ff_norm(y))
        return x + self.proj_out(y).flatten(0, 1).permute(0, 3, 1, 2)


def motion_module(config: EADNetConfig, channels: int) -> nn.Module:
    """AnimateDiff's temporal transformer (two self-attentions over time per pixel),
    whose output starts at zero.
    """
    from diffusers.models.unets.unet_motion_model import (
        AnimateDiffTransformer3D,  # with it come all U-Nets and transformers of diffusers
    )

    module = AnimateDiffTransformer3D(
        config.heads,
        channels // config.heads,
        channels,
        norm_num_groups=config.norm_groups,
        positional_embeddings="sinusoidal",
        num_positional_embeddings=max(32, config.frames),
    )
    zeroed(module.proj_out)
    return module
