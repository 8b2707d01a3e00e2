"""Sampling EAD-Net: any length in constant memory, the same bytes whatever else is
rendered in the same job.
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
from eadbench.models.frames import normalise, ping_pong_indices, to_tensor
from eadbench.models.masks import latent_mask, mask_for
from eadbench.samples.composite import Compositor
from eadbench.samples.config import SamplerConfig
from eadbench.samples.run import TrainedRun
from eadbench.samples.schedulers import make_scheduler
from eadbench.samples.windows import WindowChunk, blend_weights, chunks, crossfade_weights
from eadbench.zoo.kinds.vae import decode, encode

FRAMES_PER_BATCH = 16  # of the VAE, which takes 0.2 GB a frame at 256 pixels in float32
LONGEST_REFERENCE = 250  # frames of the reference that are used


@dataclass
class RenderClip:
    """What is rendered.

    Attributes:
        name: Clip id, from which the noise is drawn.
        frames: Aligned frames ``(S, S, 3)`` uint8, read as they are needed.
        count: How many of them to render.
        reference: Frames ``(R, S', S', 3)`` uint8 that show the identity; played
            forwards and backwards.
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
    """Conditions of the frames of one chunk, in its order: all ``(length, ...)``."""

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
                f"with overlap {config.overlap} windows do not advance", "samples.sampler.overlap", hint
            )
        dtypes = {
            "auto": torch.bfloat16 if device.type == "cuda" else torch.float32,
            "float32": torch.float32,
            "bfloat16": torch.bfloat16,
        }
        self.dtype = dtypes[config.precision]
        self.network = run.network.to(device)
        if device.type == "cuda":
            self.network = self.network.to(memory_format=torch.channels_last)
        self.predict = self.network.forward_with_guidance
        if config.compile:
            self.predict = torch.compile(self.predict)
        keep = mask_for(run.mask, run.size).to(device)
        self.latent_mask = latent_mask(keep, run.size // self.latent_side)[None]  # (1, 1, h, w)

    @property
    def latent_side(self) -> int:
        return self.run.size // 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.inference_mode()
    def render(self, clip: RenderClip) -> Iterator[np.ndarray]:
        """Render a clip; yields frames ``(S, S, 3)`` uint8 as they are ready."""
        compositor: Compositor | None = None
        for originals, generated in self._pieces(clip):
            if compositor is None:
                config = self.config
                keep = mask_for(self.run.mask, originals.shape[1])[0].numpy()
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
            count = min(chunk.finished, clip.count - chunk.first)
            for start in range(0, count, FRAMES_PER_BATCH):
                part = slice(start, min(start + FRAMES_PER_BATCH, count))
                yield originals[part], self._decode(latents[part])

    def _denoise(
        self,
        chunk: WindowChunk,
        conditions: _Conditions,
        clip: RenderClip,
        previous_states: list[torch.Tensor],
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Denoise the frames of a chunk.

        Args:
            chunk: Which frames.
            conditions: Their conditions.
            clip: The clip, for its text, emotion and name.
            previous_states: States of the carried frames at every step, from the
                previous chunk.

        Returns:
            Latents ``(length, C, h, w)`` and the states of the frames that are carried
            to the next chunk, at every step.
        """
        run, config = self.run, self.config
        scheduler = make_scheduler(config.scheduler, run.schedule, config.steps, self.device)
        weights = blend_weights(chunk, config.overlap).to(self.device)[:, :, None, None, None]
        starts = torch.tensor(chunk.starts, device=self.device) - chunk.first
        frame_indices = starts[:, None] + torch.arange(self.window, device=self.device)  # (windows, window)
        inputs = {name: frames[frame_indices] for name, frames in vars(conditions).items()}
        inputs |= self._emotion(clip, len(frame_indices))
        previous_weight = crossfade_weights(chunk.carried).to(self.device)[:, None, None, None]

        def crossfade(state: torch.Tensor, step: int) -> torch.Tensor:
            if chunk.carried:
                state[: chunk.carried] += previous_weight * (previous_states[step] - state[: chunk.carried])
            return state

        noise = self._noise(clip.name, chunk)
        state = crossfade(config.temperature * scheduler.init_noise_sigma * noise, 0)
        carried_states = [state[chunk.finished :].clone()]
        reduced = self.dtype != torch.float32
        autocast = torch.autocast(self.device.type, self.dtype) if reduced else nullcontext()
        for step, time in enumerate(scheduler.timesteps):
            noisy = scheduler.scale_model_input(state, time)
            timestep = time if time.dtype == torch.float32 else time.to(torch.long)
            with autocast:
                predicted = self.predict(
                    noisy[frame_indices],
                    timestep.expand(len(frame_indices)),
                    **inputs,
                    audio_scale=config.audio_guidance,
                    text_scale=config.text_guidance,
                )
            blended = torch.zeros_like(state)
            for indices, prediction, weight in zip(frame_indices, predicted.float(), weights, strict=True):
                blended[indices] += prediction * weight[indices]
            state = scheduler.step(blended, time, state).prev_sample
            state = crossfade(state, step + 1)
            carried_states.append(state[chunk.finished :].clone())
        return state, carried_states

    def _emotion(self, clip: RenderClip, windows: int) -> dict[str, torch.Tensor | None]:
        sources = self.run.model.sources
        text = vai = None
        if "text" in sources and clip.text is not None:
            text = clip.text.to(self.device).float().expand(windows, -1, -1)
        if "vai" in sources and clip.vai is not None:
            vai = torch.tensor(clip.vai, dtype=torch.float32, device=self.device).expand(windows, -1)
        return {"text": text, "vai": vai}

    def _noise(self, name: str, chunk: WindowChunk) -> torch.Tensor:
        """Noise ``(length, C, h, w)`` as in training: a part that all frames share and
        one that each frame owns, drawn by clip and frame number.
        """
        shape = (self.run.model.latent_channels, self.latent_side, self.latent_side)

        def draw(*names: object) -> torch.Tensor:
            return torch.randn(shape, generator=torch_generator_for(self.seed, "samples", name, *names))

        noise = torch.stack([draw("frame", chunk.first + k) for k in range(chunk.length)])
        shared = self.run.shared_noise
        if shared:
            noise = (shared * draw("shared") + noise) / (1 + shared**2) ** 0.5
        return noise.to(self.device)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames ``(T, 3, s, s)`` in [-1, 1] to latents."""
        return torch.cat([encode(self.vae, part) for part in frames.split(FRAMES_PER_BATCH)])

    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        """Latents to frames ``(T, s, s, 3)`` float32, 0..255."""
        images = (decode(self.vae, latents) + 1) * 127.5
        return images.clamp(0, 255).permute(0, 2, 3, 1).float().cpu().numpy()


class _Source:
    """A clip's frames, read once, and the conditions of a chunk. Never holds more frames
    than one chunk.
    """

    def __init__(self, clip: RenderClip, sampler: Sampler) -> None:
        self.clip, self.sampler = clip, sampler
        self.stream = iter(islice(clip.frames, clip.count))
        self.buffer = np.zeros((0, 0, 0, 3), np.uint8)
        self.buffer_start = 0
        small = normalise(to_tensor(clip.reference[:LONGEST_REFERENCE], sampler.run.size)).to(sampler.device)
        self.reference = sampler.encode(small)

    def frames(self, chunk: WindowChunk) -> np.ndarray:
        """The chunk's frames ``(length, S, S, 3)``; past the end the last one is
        repeated.
        """
        reused = self.buffer[chunk.first - self.buffer_start :]
        new_frames = list(islice(self.stream, chunk.length - len(reused)))
        buffer = np.stack([*reused, *new_frames])
        if len(buffer) < chunk.length:
            buffer = np.concatenate([buffer, np.repeat(buffer[-1:], chunk.length - len(buffer), 0)])
        self.buffer, self.buffer_start = buffer, chunk.first
        return buffer

    def conditions(self, chunk: WindowChunk, frames: np.ndarray) -> _Conditions:
        sampler, clip = self.sampler, self.clip
        small = normalise(to_tensor(frames, sampler.run.size)).to(sampler.device)
        numbers = torch.arange(chunk.first, chunk.first + chunk.length)
        model = sampler.run.model
        reference_frames = ping_pong_indices(numbers + clip.reference_at, len(self.reference))
        return _Conditions(
            mask=sampler.latent_mask.expand(chunk.length, -1, -1, -1),
            masked=sampler.encode(masked_frames(small, sampler.run.mask)),
            reference=self.reference[reference_frames.to(sampler.device)],
            audio=_audio_windows(clip.audio, chunk, model.audio_left, model.audio_right).to(sampler.device),
        )


def _audio_windows(states: torch.Tensor, chunk: WindowChunk, left: int, right: int) -> torch.Tensor:
    """Audio windows ``(length, N, A)`` of the chunk's frames, without making those of
    the whole clip; ``left`` and ``right``: frames of context, of two states each.
    """
    first, last = 2 * (chunk.first - left), 2 * (chunk.first + chunk.length + right)
    indices = torch.arange(first, last).clamp(0, len(states) - 1)
    frames = left + chunk.length + right
    windows = audio_windows(states[indices].float(), frames, left=left, right=right)
    return windows[left : left + chunk.length]
