"""``features extract``: everything the models need of a clip, computed once and stored
by shard.
"""

import logging
import shutil
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from eadbench import zoo
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.files import atomic_path
from eadbench.core.job import Job
from eadbench.core.progress import track
from eadbench.core.schemas import ClipsRow
from eadbench.core.settings import shaping_for
from eadbench.core.shards import parse_shard, shard_of
from eadbench.core.tables import DROPPED, FAILED, KEPT, read_rows
from eadbench.features import audio
from eadbench.features.config import FeaturesConfig
from eadbench.features.store import FILES, KINDS, join_parts
from eadbench.media.audio import read_audio
from eadbench.media.video import read_frames
from eadbench.models.frames import normalise, to_tensor
from eadbench.models.masks import mask_for
from eadbench.models.mel import mel_spectrogram
from eadbench.zoo.card import read_card
from eadbench.zoo.kinds.vae import encode

log = logging.getLogger(__name__)
LABELS = [column.name for column in schemas.LABELS]
SPLITS = ("train", "val", "test")


@dataclass
class Networks:
    """What turns a clip into features: VAE, Whisper's encoder, the mask and the
    settings.
    """

    vae: Any
    encoder: Any
    config: FeaturesConfig
    device: torch.device

    @torch.inference_mode()
    def features(self, clip: ClipsRow) -> dict[str, torch.Tensor]:
        """All features of one clip by kind (keys of ``store.KINDS``); of a test clip
        those of its audio alone, since methods read their frames from its video.

        Raises:
            EadbenchError: If the clip cannot be decoded.
        """
        if clip.split == "test":
            return self._audio_features(clip.audio, clip.frames)
        frames = to_tensor(read_frames(clip.video), self.config.size)
        pixels = normalise(frames).to(self.device)
        return {
            "frames": frames,
            "latents": self._encode(pixels),
            "masked": self._encode(masked_frames(pixels, self.config.mask)),
            **self._audio_features(clip.audio, len(frames)),
        }

    def _audio_features(self, audio_file: Path, frames: int) -> dict[str, torch.Tensor]:
        samples = audio.fit_length(read_audio(audio_file), frames)
        states = audio.whisper_states(
            self.encoder, samples, self.config.whisper_padding, self.config.whisper_overlap
        )
        return {"audio": states.half(), "mel": mel_spectrogram(samples).half()}

    def facts(self, hashes: dict[str, str]) -> dict[str, str]:
        """What a reader must know of the features; goes into the header of each shard
        file.
        """
        return {
            "size": str(self.config.size),
            "mask": self.config.mask,
            "reduction": str(2 ** (len(self.vae.config.block_out_channels) - 1)),
            "latent_channels": str(self.vae.config.latent_channels),
            "whisper_padding": str(self.config.whisper_padding).lower(),
            "whisper_overlap": str(self.config.whisper_overlap),
            **hashes,
        }

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return (
            torch.cat([encode(self.vae, part) for part in pixels.split(self.config.frames_per_batch)])
            .half()
            .cpu()
        )


def masked_frames(frames: torch.Tensor, mask: str) -> torch.Tensor:
    """Frames ``(T, 3, S, S)`` in [-1, 1] with what the model must paint set to 0, mid
    grey (LatentSync).
    """
    return frames * mask_for(mask, frames.shape[-1]).to(frames)


def load_networks(config: FeaturesConfig, vae: Path, whisper: Path, device: torch.device) -> Networks:
    """Load both artefacts.

    Raises:
        EadbenchError: If the frame size does not suit the VAE.
    """
    loaded = zoo.load(vae, device)
    reduction = 2 ** (len(loaded.config.block_out_channels) - 1)
    if config.size % reduction:
        raise EadbenchError(
            f"{config.size} is not a multiple of the VAE's reduction {reduction}",
            "features.size",
            f"use a multiple of {reduction}",
        )
    return Networks(loaded, zoo.load(whisper, device), config, device)


def extract(
    clips: Path, shard: str, parts: dict[str, Path], config: FeaturesConfig, out: Path, device: torch.device
) -> None:
    """Compute and store the features of one shard; clips that a killed run had finished
    are taken over.

    Args:
        clips: Table of clips.
        shard: ``k-of-n``.
        parts: Folders of ``vae`` and ``whisper``.
        config: Settings.
        out: Table to write; the safetensors files lie beside it.
        device: Where the networks run.

    Raises:
        EadbenchError: If a part is missing, or every clip failed.
    """
    missing = [name for name in ("vae", "whisper") if name not in parts]
    if missing:
        raise EadbenchError(
            f"part {missing[0]!r} was not given",
            "--part",
            f"add --part {missing[0]}=results/zoo/{missing[0]}",
        )
    number, count = parse_shard(shard)
    mine = [clip for clip in read_rows(clips, schemas.CLIPS) if shard_of(clip.recording_id, count) == number]
    hashes = {name: read_card(parts[name]).sha256 for name in ("vae", "whisper")}
    networks = load_networks(config, parts["vae"], parts["whisper"], device)
    shaped_by = shaping_for("features extract", config)
    job = Job(out, shaped_by, [shaped_by, hashes], {"clips": clips, **hashes})
    scratch = out.parent / "parts"
    table, done = [], []
    for clip in track(sorted(mine, key=attrgetter("clip_id")), f"features {shard}", unit="clips"):
        record = {name: getattr(clip, name) for name in ("clip_id", *LABELS)} | {"shard": "."}
        reason = not_used(clip)
        if reason:
            table.append(record | {"status": DROPPED, "reason": reason})
            continue
        part = scratch / f"{clip.clip_id}.safetensors"
        try:
            frames = _part(part, networks, clip, job)
        except Exception as error:
            table.append(record | {"status": FAILED, "reason": reason_of(error, clip.clip_id)})
            log.warning("clip %s failed: %s", clip.clip_id, error)
            continue
        done.append(part)
        table.append(record | {"status": KEPT, "reason": "", "frames": frames})
    for file in FILES:
        kinds = [kind for kind, (where, _) in KINDS.items() if where == file]
        join_parts(done, out.parent / f"{file}.safetensors", kinds, networks.facts(hashes))
    job.write(
        table, schemas.FEATURES, "clip_id", "clips", [out.parent / f"{file}.safetensors" for file in FILES]
    )
    shutil.rmtree(scratch, ignore_errors=True)


def not_used(clip: ClipsRow) -> str:
    """Why a clip gets no features; empty if it does."""
    if clip.status != KEPT:
        return f"clips: {clip.status}: {clip.reason}"
    if clip.split not in SPLITS:
        return f"split {clip.split!r} is none of {', '.join(SPLITS)}"
    return ""


def _part(part: Path, networks: Networks, clip: ClipsRow, job: Job) -> int:
    """Make the file with one clip's features unless it is there, made from the same;
    returns the number of frames.
    """
    key = job.key([clip.clip_id, clip.split], clip.video, clip.audio)
    if kept := job.done(key):
        return kept["frames"]
    features = networks.features(clip)
    with atomic_path(part) as temporary:
        save_file({kind: tensor.contiguous() for kind, tensor in features.items()}, temporary)
    frames = len(features["frames"]) if "frames" in features else clip.frames
    job.keep(key, {"frames": frames}, [part])
    return frames
