"""The Wav2Lip generator trained by this workflow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from eadbench.core.device import pick_device
from eadbench.features.audio import frame_mels
from eadbench.media.video import read_frames
from eadbench.models.mel import mel_spectrogram
from eadbench.samples.composite import Compositor
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import Raw
from eadbench.samples.methods.trained import TrainedMethod
from eadbench.samples.pipeline import to_and_fro
from eadbench.samples.run import load_kind
from eadbench.zoo.kinds.vae import to_tensor

BATCH = 64
FEATHER = 0.03  # share of the side


class Wav2LipMethod(TrainedMethod):
    """Frames with a blackened lower half and reference frames go in; the lower half of
    what comes out is blended into the clip.
    """

    protocols = frozenset({"self", "cross", "silent"})

    def prepare(self, jobs: list[RenderJob]) -> None:
        network, facts = load_kind(self.context.run, "wav2lip")
        self._device = pick_device(self.context.device)
        self._network, self._size = network.to(self._device), facts["features"]["size"]
        self._features = self.store()

    def features_of(self, sound: np.ndarray) -> torch.Tensor:
        return mel_spectrogram(sound).half()

    def render(self, job: RenderJob, work: Path) -> Raw:
        reference, at, reference_clip = self.reference(job)
        return Raw(frames=self._draw(job, reference, at), reference_clip=reference_clip)

    @torch.inference_mode()
    def _draw(self, job: RenderJob, reference: np.ndarray, at: int) -> Iterator[np.ndarray]:
        originals = read_frames(job.video, limit=job.frames)
        frames = to_tensor(originals, self._size)
        other = to_tensor(reference, self._size)[to_and_fro(torch.arange(len(frames)) + at, len(reference))]
        mel = self.driving(job, "mel").float()
        mels = frame_mels(mel, len(frames))
        keep = np.ones((job.size, job.size), np.float32)
        keep[job.size // 2 :] = 0
        compositor = Compositor(keep, FEATHER, colour_match=False)
        for start in range(0, len(frames), BATCH):
            part = slice(start, start + BATCH)
            yield from compositor(originals[part], self._network_on(mels[part], frames[part], other[part]))

    def _network_on(self, mels: torch.Tensor, frames: torch.Tensor, reference: torch.Tensor) -> np.ndarray:
        """Faces ``(T, S, S, 3)`` float, 0..255, at the size of the features."""
        hidden = frames.float() / 255
        hidden[:, :, hidden.shape[-1] // 2 :] = 0
        faces = torch.cat([hidden, reference.float() / 255], 1).to(self._device)
        side = self._network.config.face_size
        if faces.shape[-1] != side:
            faces = functional.interpolate(
                faces, (side, side), mode="bilinear", antialias=True, align_corners=False
            )
        drawn = self._network(mels.to(self._device), faces)
        return (255 * drawn).permute(0, 2, 3, 1).cpu().numpy()
