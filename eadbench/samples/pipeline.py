"""Sampling EAD-Net: any length in constant memory, the same bytes whatever else is
rendered beside it.
"""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from eadbench.core.errors import EadbenchError
from eadbench.core.seeds import torch_generator_for
from eadbench.features.extract import masked_frames
from eadbench.models.conditioning import audio_windows
from eadbench.models.masks import latent_mask, mask_for
from eadbench.samples.composite import Compositor
from eadbench.samples.config import SamplerConfig
from eadbench.samples.run import TrainedRun
from eadbench.samples.schedulers import make_scheduler
from eadbench.samples.windows import WindowChunk, blend_weights, chunks, hand_over
from eadbench.zoo.kinds.vae import decode, encode, normalise, to_tensor

FRAMES_PER_BATCH = 64  # of the VAE
LONGEST_REFERENCE = 250  # frames of the reference that are looked at


@dataclass
class RenderClip:
    """What is rendered.

    Attributes:
        name: Names the noise.
        frames: Aligned frames ``(S, S, 3)`` uint8, drawn as they are needed.
        count: How many of them to render.
        reference: Frames ``(R, S', S', 3)`` uint8 that show the identity; played to and
            fro.
        audio: Whisper states ``(T50, L, D)``.
        reference_at: Frame of the reference that belongs to the first frame.
        text: T5 states ``(N, D)``, or nothing.
        vai: Valence, arousal, intensity, or nothing.
    """

    name: str
    frames: Iterable[np.ndarray]
    count: int
    reference: np.ndarray
    audio: torch.Tensor
    reference_at: int = 0
    text: torch.Tensor | None = None
    vai: tuple[float, float, float] | None = None


@dataclass
class _Conditions:
    """Of the frames of one chunk, in its order: all ``(length, ...)``."""

    mask: torch.Tensor
    masked: torch.Tensor
    reference: torch.Tensor
    audio: torch.Tensor


class Sampler:
    """A trained EAD-Net with its VAE, ready to render clips one after the other.

    All windows of a chunk and all branches of guidance go through the network in one
    batch. A clip never shares a batch with another one, which is what makes its bytes
    independent of shards and of the order of work.
    """

    def __init__(
        self, run: TrainedRun, vae: torch.nn.Module, config: SamplerConfig, device: torch.device, seed: int
    ) -> None:
        self.run, self.vae, self.config, self.device, self.seed = run, vae, config, device, seed
        self.window = run.model.frames
        if config.overlap >= self.window:
            hint = f"the run's windows have {self.window} frames: choose less"
            raise EadbenchError(
                f"overlap {config.overlap} leaves windows no way forward", "samples.sampler.overlap", hint
            )
        wanted = {
            "auto": torch.bfloat16 if device.type == "cuda" else torch.float32,
            "float32": torch.float32,
            "bfloat16": torch.bfloat16,
        }
        self.dtype = wanted[config.precision]
        self.network = run.network.to(device)
        if device.type == "cuda":
            self.network = self.network.to(memory_format=torch.channels_last)
        self.predict = (
            torch.compile(self.network.forward_with_guidance)
            if config.compile
            else self.network.forward_with_guidance
        )
        keep = mask_for(run.mask, run.size).to(device)
        self.latent_mask = latent_mask(keep, run.size // self.latent_side)[None]  # (1, 1, h, w)

    @property
    def latent_side(self) -> int:
        return self.run.size // 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.inference_mode()
    def render(self, clip: RenderClip) -> Iterator[np.ndarray]:
        """Render a clip; yields frames ``(S, S, 3)`` uint8 as they are done."""
        compositor: Compositor | None = None
        for originals, generated in self._pieces(clip):
            if compositor is None:
                side = originals.shape[1]
                keep, config = mask_for(self.run.mask, side)[0].numpy(), self.config
                compositor = Compositor(keep, config.feather, config.colour_match, config.sharpen)
            yield from compositor(originals, generated)

    def _pieces(self, clip: RenderClip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Originals and generated frames, piece by piece."""
        source = _Source(clip, self)
        total = max(clip.count, self.window)  # a clip shorter than a window is padded with its last frame
        trajectory: list[torch.Tensor] = []
        for chunk in chunks(total, self.window, self.config.overlap, self.config.chunk):
            originals = source.frames(chunk)
            latents, trajectory = self._denoise(chunk, source.conditions(chunk, originals), clip, trajectory)
            wanted = min(chunk.kept, clip.count - chunk.first)
            for start in range(0, wanted, FRAMES_PER_BATCH):
                part = slice(start, min(start + FRAMES_PER_BATCH, wanted))
                yield originals[part], self._decode(latents[part])

    def _denoise(
        self, chunk: WindowChunk, given: _Conditions, clip: RenderClip, before: list[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Denoise the frames of a chunk.

        Args:
            chunk: Which frames.
            given: Their conditions.
            clip: Text, emotion, name.
            before: States of the carried frames at every step, from the chunk before.

        Returns:
            Latents ``(length, C, h, w)`` and the states of the frames that the next
            chunk gets.
        """
        run, config = self.run, self.config
        scheduler = make_scheduler(config.scheduler, run.schedule, config.steps, self.device)
        weights = blend_weights(chunk, config.overlap).to(self.device)[:, :, None, None, None]
        rows = torch.tensor(
            [[start - chunk.first + k for k in range(self.window)] for start in chunk.starts],
            device=self.device,
        )
        fixed = {name: getattr(given, name)[rows] for name in ("mask", "masked", "reference", "audio")}
        fixed |= self._emotion(clip, len(rows))
        share = hand_over(chunk.carried).to(self.device)[:, None, None, None]

        def take_over(state: torch.Tensor, step: int) -> torch.Tensor:
            if chunk.carried:
                state[: chunk.carried] += share * (before[step] - state[: chunk.carried])
            return state

        state = take_over(config.temperature * scheduler.init_noise_sigma * self._noise(clip.name, chunk), 0)
        passed_on = [state[chunk.kept :].clone()]
        autocast = (
            torch.autocast(self.device.type, self.dtype) if self.dtype != torch.float32 else nullcontext()
        )
        for step, time in enumerate(scheduler.timesteps):
            noisy = scheduler.scale_model_input(state, time)
            with autocast:
                predicted = self.predict(
                    noisy[rows],
                    time.to(torch.long if time.dtype != torch.float32 else time.dtype).expand(len(rows)),
                    **fixed,
                    audio_scale=config.audio_guidance,
                    text_scale=config.text_guidance,
                )
            blended = torch.zeros_like(state)
            for row, own, weight in zip(rows, predicted.float(), weights, strict=True):
                blended[row] += own * weight[row]
            state = scheduler.step(blended, time, state).prev_sample
            state = take_over(state, step + 1)
            passed_on.append(state[chunk.kept :].clone())
        return state, passed_on

    def _emotion(self, clip: RenderClip, windows: int) -> dict[str, torch.Tensor | None]:
        sources = self.run.model.sources
        text = (
            clip.text.to(self.device).float().expand(windows, -1, -1)
            if "text" in sources and clip.text is not None
            else None
        )
        vai = (
            torch.tensor(clip.vai, dtype=torch.float32, device=self.device).expand(windows, -1)
            if "vai" in sources and clip.vai is not None
            else None
        )
        return {"text": text, "vai": vai}

    def _noise(self, name: str, chunk: WindowChunk) -> torch.Tensor:
        """Noise ``(length, C, h, w)`` as in training: a part that all frames share and
        one that each frame owns, drawn by clip and frame number.
        """
        shape = (self.run.model.latent_channels, self.latent_side, self.latent_side)

        def draw(*what: object) -> torch.Tensor:
            return torch.randn(shape, generator=torch_generator_for(self.seed, "samples", name, *what))

        own = torch.stack([draw("frame", chunk.first + k) for k in range(chunk.length)])
        shared = self.run.shared_noise
        if shared:
            own = (shared * draw("shared") + own) / (1 + shared**2) ** 0.5
        return own.to(self.device)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames ``(T, 3, s, s)`` in [-1, 1] to latents."""
        return torch.cat([encode(self.vae, part) for part in frames.split(FRAMES_PER_BATCH)])

    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        """Latents to frames ``(T, s, s, 3)`` float32, 0..255."""
        images = (decode(self.vae, latents) + 1) * 127.5
        return images.clamp(0, 255).permute(0, 2, 3, 1).float().cpu().numpy()


class _Source:
    """A clip's frames, read once, and the conditions of a chunk. Holds no more than a
    chunk.
    """

    def __init__(self, clip: RenderClip, sampler: Sampler) -> None:
        self.clip, self.sampler = clip, sampler
        self.stream = iter(islice(clip.frames, clip.count))
        self.held = np.zeros((0, 0, 0, 3), np.uint8)
        self.held_from = 0
        small = normalise(to_tensor(clip.reference[:LONGEST_REFERENCE], sampler.run.size)).to(sampler.device)
        self.reference = sampler.encode(small)

    def frames(self, chunk: WindowChunk) -> np.ndarray:
        """The chunk's frames ``(length, S, S, 3)``; past the end the last one is
        repeated.
        """
        rest = self.held[chunk.first - self.held_from :]
        fresh = list(islice(self.stream, chunk.length - len(rest)))
        pieces = ([rest] if len(rest) else []) + ([np.stack(fresh)] if fresh else [])
        held = np.concatenate(pieces)
        if len(held) < chunk.length:
            held = np.concatenate([held, np.repeat(held[-1:], chunk.length - len(held), 0)])
        self.held, self.held_from = held, chunk.first
        return held

    def conditions(self, chunk: WindowChunk, frames: np.ndarray) -> _Conditions:
        sampler, clip = self.sampler, self.clip
        small = normalise(to_tensor(frames, sampler.run.size)).to(sampler.device)
        numbers = torch.arange(chunk.first, chunk.first + chunk.length)
        model = sampler.run.model
        return _Conditions(
            mask=sampler.latent_mask.expand(chunk.length, -1, -1, -1),
            masked=sampler.encode(masked_frames(small, sampler.run.mask)),
            reference=self.reference[
                to_and_fro(numbers + clip.reference_at, len(self.reference)).to(sampler.device)
            ],
            audio=_audio(clip.audio, chunk, model.audio_left, model.audio_right).to(sampler.device),
        )


def to_and_fro(numbers: torch.Tensor, length: int) -> torch.Tensor:
    """Indices into a sequence that is played forwards and backwards without end: 0 1 2
    3 2 1 0 1 ...
    """
    if length == 1:
        return torch.zeros_like(numbers)
    place = numbers % (2 * length - 2)
    return torch.minimum(place, 2 * length - 2 - place)


def _audio(states: torch.Tensor, chunk: WindowChunk, left: int, right: int) -> torch.Tensor:
    """Audio windows ``(length, N, A)`` of the chunk's frames, without making those of
    the whole clip.
    """
    rows = torch.arange(2 * (chunk.first - left), 2 * (chunk.first + chunk.length + right)).clamp(
        0, len(states) - 1
    )
    return audio_windows(states[rows].float(), left + chunk.length + right, left=left, right=right)[
        left : left + chunk.length
    ]
