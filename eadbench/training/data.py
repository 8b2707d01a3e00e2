"""Windows of clips for training: each sample is a function of (seed, run, number),
whatever the process, the loader or the resumption.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from eadbench.core.emotions import valence_arousal_intensity
from eadbench.core.errors import EadbenchError
from eadbench.core.schemas import FeaturesRow
from eadbench.core.seeds import rng_for, seed_for
from eadbench.features.audio import STATES_PER_FRAME, frame_mels, mel_start
from eadbench.features.store import FeatureStore
from eadbench.models.conditioning import audio_windows
from eadbench.models.config import EADNetConfig, SyncNetConfig
from eadbench.training.config import DiffusionConfig
from eadbench.training.noise import draw_noise, draw_timestep


@dataclass(frozen=True)
class Stream:
    """Names a stream of samples: the seed of the config, the run, and what the samples
    are for (``train`` or ``val``).
    """

    seed: int
    run: str
    split: str

    def rng(self, number: int) -> np.random.Generator:
        """Randomness of sample ``number``."""
        return rng_for(self.seed, self.run, self.split, "sample", number)

    def generator(self, number: int) -> torch.Generator:
        """The same for torch."""
        return torch.Generator().manual_seed(seed_for(self.seed, self.run, self.split, "noise", number))


class Windows(Dataset):
    """Base: sample ``number`` looks at one clip; every clip comes once before any comes
    again (a permutation per epoch).

    Args:
        store: The features.
        stream: Names the randomness.
        shortest: Frames that a clip must have; shorter ones are left out.

    Raises:
        EadbenchError: If no clip of the split is long enough.
    """

    def __init__(self, store: FeatureStore, stream: Stream, shortest: int) -> None:
        clips = store.split(stream.split)
        self.clips = [row for row in clips if (row.frames or 0) >= shortest]
        if not self.clips:
            where = ", ".join(map(str, store.indexes))
            detail = f"{len(clips)} clips in the split {stream.split!r}, none with {shortest} frames"
            raise EadbenchError(
                f"nothing to train on: {detail}",
                where,
                "look at columns `trains`, `frames` and `reason` of the index",
            )
        self.store, self.stream = store, stream
        self._epoch: tuple[int, np.ndarray] | None = None

    def clip(self, number: int) -> FeaturesRow:
        """The clip of sample ``number``."""
        epoch, place = divmod(number, len(self.clips))
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (
                epoch,
                rng_for(self.stream.seed, self.stream.run, self.stream.split, "epoch", epoch).permutation(
                    len(self.clips)
                ),
            )
        return self.clips[self._epoch[1][place]]

    def mel(self, row: FeaturesRow, start: int, steps: int) -> torch.Tensor:
        """Mel ``(80, steps)`` from a step on, repeated at the end."""
        mel = self.store.get(row, "mel", start, start + steps).float()
        return (
            torch.cat([mel, mel[:, -1:].expand(-1, steps - mel.shape[1])], 1) if mel.shape[1] < steps else mel
        )

    def sync_mels(
        self, row: FeaturesRow, starts: list[int], sync: SyncNetConfig, others: int, rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """``sync_mels`` of the windows starting at these frames ``(K, 80, steps)``, and
        ``others`` of the clip's other windows ``(M, 80, steps)``.
        """
        rest = np.setdiff1d(np.arange(row.frames - sync.frames + 1), starts)
        drawn = rng.choice(rest, others, replace=len(rest) < others) if len(rest) else np.zeros(0, int)
        mels = [self.mel(row, mel_start(int(s)), sync.mel_steps) for s in (*starts, *drawn)]
        empty = torch.zeros(0, *mels[0].shape)
        return {
            "sync_mels": torch.stack(mels[: len(starts)]),
            "others": torch.stack(mels[len(starts) :]) if len(drawn) else empty,
        }


class EADNetWindows(Windows):
    """Windows for EAD-Net, with noise, timestep and dropped conditions drawn.

    Args:
        store, stream: See :class:`Windows`.
        model: Sizes of the network.
        diffusion: Noise and dropout.
        batch: Samples per optimiser step.
        clean_every: Steps between those that need frames and mel for losses on the
            clean sample; 0 = never.
        clean_frames: Frames that those decode.
        sync: SyncNet of the sync loss, if any; its windows start at
            :meth:`sync_starts`.
        others: Audio of other moments that these are told from.
    """

    def __init__(
        self,
        store: FeatureStore,
        stream: Stream,
        model: EADNetConfig,
        diffusion: DiffusionConfig,
        batch: int,
        clean_every: int = 0,
        clean_frames: int = 0,
        sync: SyncNetConfig | None = None,
        others: int = 0,
    ) -> None:
        super().__init__(store, stream, model.frames)
        self.model, self.diffusion, self.batch = model, diffusion, batch
        self.of_speaker: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, row in enumerate(self.clips):
            if row.speaker is not None:
                self.of_speaker[row.corpus, row.speaker].append(place)
        self.clean_every, self.clean_frames, self.sync, self.others = clean_every, clean_frames, sync, others

    def sync_starts(self) -> range:
        """First frames of the SyncNet windows among the decoded frames: all there are."""
        return range(self.clean_frames - self.sync.frames + 1) if self.sync else range(0)

    def has_clean(self, step: int) -> bool:
        """Whether step ``step`` (from 1) has losses on the clean sample."""
        return bool(self.clean_every) and step % self.clean_every == 0

    def __getitem__(self, number: int) -> dict[str, Any]:
        row, rng = self.clip(number), self.stream.rng(number)
        frames = self.model.frames
        start = int(rng.integers(0, row.frames - frames + 1))
        latents = self.store.get(row, "latents", start, start + frames).float()
        reference, other = self.reference(row, start, rng)
        text = self.store.text(row) if "text" in self.model.sources else None
        intensity = 1.0 if row.intensity is None else row.intensity
        labelled = row.emotion is not None
        drop_audio, drop_text = (
            rng.random(2) < (self.diffusion.drop_audio, self.diffusion.drop_text)
        ).tolist()
        if labelled and "vai" in self.model.sources and rng.random() < self.diffusion.vector_alone:
            text = None
        sample = {
            "number": number,
            "clip_id": row.clip_id,
            "clean": latents,
            "masked": self.store.get(row, "masked", start, start + frames).float(),
            "reference": self.store.get(reference, "latents", other, other + frames).float(),
            "audio": self.audio(row, start),
            "text": text.float() if text is not None else None,
            # Not a number: unknown, which is not the same as neutral.
            "vai": torch.tensor(
                valence_arousal_intensity(row.emotion, intensity) if labelled else (np.nan,) * 3,
                dtype=torch.float32,
            ),
            "noise": draw_noise(
                tuple(latents.shape), self.diffusion.shared_noise, self.stream.generator(number)
            ),
            "t": draw_timestep(self.diffusion, rng),
            "drop_audio": drop_audio,
            "drop_text": drop_text,
        }
        if self.has_clean(number // self.batch + 1):
            first = int(rng.integers(0, frames - self.clean_frames + 1))
            begin = start + first
            sample["first"] = first
            sample["frames"] = self.store.get(row, "frames", begin, begin + self.clean_frames)
            if self.sync:
                sample |= self.sync_mels(
                    row, [begin + s for s in self.sync_starts()], self.sync, self.others, rng
                )
        return sample

    def reference(self, row: FeaturesRow, start: int, rng: np.random.Generator) -> tuple[FeaturesRow, int]:
        """Clip and start of the reference window: elsewhere in the clip, or in another
        clip of the speaker.
        """
        frames = self.model.frames
        if rng.random() < self.diffusion.other_reference:
            others = [
                k
                for k in self.of_speaker.get((row.corpus, row.speaker), ())
                if self.clips[k].clip_id != row.clip_id
            ]
            if others:
                chosen = self.clips[others[rng.integers(len(others))]]
                return chosen, int(rng.integers(0, chosen.frames - frames + 1))
        return row, reference_start(start, frames, row.frames, rng)

    def audio(self, row: FeaturesRow, start: int) -> torch.Tensor:
        """Whisper states around each frame ``(F, N, D)``."""
        m = self.model
        return audio_slice(self.store, row, start, m.frames, m.audio_left, m.audio_right)


def audio_slice(
    store: FeatureStore, row: FeaturesRow, start: int, frames: int, left: int, right: int
) -> torch.Tensor:
    """As ``audio_windows`` of the whole clip cut to ``frames`` frames from ``start``,
    but only those states are read.
    """
    first, last = STATES_PER_FRAME * (start - left), STATES_PER_FRAME * (start + frames + right)
    states = store.get(row, "audio", max(0, first), last).float()
    before, after = max(0, -first), last - max(0, first) - len(states)
    states = torch.cat([states[:1].expand(before, -1, -1), states, states[-1:].expand(after, -1, -1)])
    return audio_windows(states, left + frames + right, left=left, right=right)[left : left + frames]


def reference_start(start: int, frames: int, total: int, rng: np.random.Generator) -> int:
    """Start of the reference window: without overlap where the clip allows it
    (LatentSync), else as far away as it goes.
    """
    before, after = start - frames, total - frames - (start + frames)
    choices = [*range(before + 1)] + [start + frames + k for k in range(after + 1)]
    if choices:
        return int(choices[rng.integers(len(choices))])
    return 0 if start > total - frames - start else total - frames


class SyncWindows(Windows):
    """``count`` windows of one clip with their audio, for SyncNet: negatives come from
    the same clip only.

    Starts are drawn from all places, at least one frame apart. ``augment`` mirrors and
    recolours all windows of a sample alike. The frames stay uint8 until they are on the
    device, where :func:`recoloured` makes numbers of them: a batch of the paper's size
    has 400 MB so, and as many wait as workers load ahead.
    """

    def __init__(
        self, store: FeatureStore, stream: Stream, model: SyncNetConfig, count: int, augment: bool
    ) -> None:
        super().__init__(store, stream, model.frames + count - 1)
        self.model, self.count, self.augment = model, count, augment

    def __getitem__(self, number: int) -> dict[str, Any]:
        row, rng = self.clip(number), self.stream.rng(number)
        size, steps = self.model.frames, self.model.mel_steps
        starts = np.sort(rng.choice(row.frames - size + 1, self.count, replace=False))
        frames = self.store.get(row, "frames")
        mel = self.store.get(row, "mel").float()
        frames = frames[:, :, frames.shape[2] // 2 :]
        gain, offset = torch.ones(3), torch.zeros(3)
        if self.augment and self.stream.split == "train":
            frames = frames.flip(-1) if rng.random() < 0.5 else frames
            gain, offset = (
                torch.from_numpy(rng.uniform(*reach, 3)).float() for reach in ((0.7, 1.3), (-0.2, 0.2))
            )
        mel_starts = [mel_start(int(s)) for s in starts]
        padded = torch.cat([mel, mel[:, -1:].expand(-1, steps)], 1)
        return {
            "number": number,
            "clip_id": row.clip_id,
            "windows": torch.stack([frames[s : s + size] for s in starts]),
            "gain": gain,
            "offset": offset,
            "sync_mels": torch.stack([padded[:, m : m + steps] for m in mel_starts]),
        }


def recoloured(batch: dict[str, Any]) -> torch.Tensor:
    """Windows ``(B, K, F, 3, H, W)`` in [-1, 1] of a batch of :class:`SyncWindows`,
    with the gain and offset of its colour channels.
    """
    gain, offset = (batch[key][:, None, None, :, None, None] for key in ("gain", "offset"))
    return ((batch["windows"].float() / 127.5 - 1) * gain + offset).clamp(-1, 1)


class Wav2LipWindows(Windows):
    """Consecutive frames, as many reference frames of elsewhere in the clip, the audio
    of each frame, and that of the SyncNet windows among them.
    """

    def __init__(
        self, store: FeatureStore, stream: Stream, length: int, sync: SyncNetConfig, others: int
    ) -> None:
        super().__init__(store, stream, length + 1)
        self.length, self.sync, self.others = length, sync, others

    def sync_starts(self) -> range:
        """First frames of the SyncNet windows."""
        return range(self.length - self.sync.frames + 1)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row, rng = self.clip(number), self.stream.rng(number)
        total = row.frames
        start = int(rng.integers(0, total - self.length + 1))
        other = reference_start(start, self.length, total, rng)
        return {
            "number": number,
            "clip_id": row.clip_id,
            "frames": self.store.get(row, "frames", start, start + self.length),
            "reference": self.store.get(row, "frames", other, other + self.length),
            "mels": frame_mels(self.store.get(row, "mel").float(), self.length, start),
            **self.sync_mels(row, [start + s for s in self.sync_starts()], self.sync, self.others, rng),
        }


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack tensors, keep strings as lists; texts of different lengths are padded, with
    ``text_mask`` true where a token counts.
    """
    batch: dict[str, Any] = {}
    for key, first in samples[0].items():
        values = [sample[key] for sample in samples]
        if key == "text":
            batch["text"], batch["text_mask"] = pad_texts(values)
        elif isinstance(first, torch.Tensor):
            batch[key] = torch.stack(values)
        elif isinstance(first, str):
            batch[key] = values
        else:
            batch[key] = torch.tensor(values)
    return batch


def pad_texts(texts: list[torch.Tensor | None]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Texts ``(L_i, D)`` to ``(B, L, D)`` and ``(B, L)``; ``None`` for both if no
    sample has one.
    """
    present = [text for text in texts if text is not None]
    if not present:
        return None, None
    longest = max(len(text) for text in present)
    padded = torch.zeros(len(texts), longest, present[0].shape[1])
    mask = torch.zeros(len(texts), longest, dtype=torch.bool)
    for k, text in enumerate(texts):
        if text is not None:
            padded[k, : len(text)], mask[k, : len(text)] = text, True
    return padded, mask


class StepSampler(Sampler[list[int]]):
    """Sample numbers of each pass of this process from a step on: passes of one
    optimiser step split its numbers, processes split each pass.

    Args:
        first, last: Optimiser steps, from 1, both included.
        batch: Samples per optimiser step.
        passes: Passes per optimiser step and process.
        rank, world: This process and the number of them.
    """

    def __init__(
        self, first: int, last: int, batch: int, passes: int = 1, rank: int = 0, world: int = 1
    ) -> None:
        if batch % (passes * world):
            hint = "choose optim.batch as a multiple of processes x optim.accumulate"
            raise EadbenchError(
                f"a batch of {batch} cannot be split over {world} processes x {passes} passes",
                "training.optim.batch",
                hint,
            )
        self.first, self.last, self.batch, self.passes, self.rank, self.world = (
            first,
            last,
            batch,
            passes,
            rank,
            world,
        )

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch // (self.passes * self.world)
        for step in range(self.first, self.last + 1):
            for part in range(self.passes):
                begin = (step - 1) * self.batch + (part * self.world + self.rank) * share
                yield list(range(begin, begin + share))

    def __len__(self) -> int:
        return (self.last - self.first + 1) * self.passes


def first_batches(data: Windows, count: int, batch: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """The first batches of the windows, on a device."""
    return (to_device(samples, device) for samples in loader(data, StepSampler(1, count, batch), 0, 2, False))


def loader(data: Windows, sampler: StepSampler, workers: int, prefetch: int, pin: bool) -> DataLoader:
    """A loader that keeps ``prefetch`` batches ready per worker; there are no epochs,
    hence no stall between them.
    """
    options = {"prefetch_factor": prefetch, "multiprocessing_context": "spawn"} if workers else {}
    return DataLoader(
        data, batch_sampler=sampler, collate_fn=collate, num_workers=workers, pin_memory=pin, **options
    )


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Move tensors; pinned ones without waiting."""
    return {
        k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in batch.items()
    }
