"""The Wav2Lip generator trained by this workflow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from eadbench.core.device import pick_device
from eadbench.features.audio import frame_mels
from eadbench.media.video import read_frames
from eadbench.models.frames import ping_pong_indices, to_tensor
from eadbench.models.mel import mel_spectrogram
from eadbench.samples.composite import Compositor
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import RawResult
from eadbench.samples.methods.trained import TrainedMethod
from eadbench.training.networks import load_kind

BATCH = 64
FEATHER = 0.03  # share of the side


class Wav2LipMethod(TrainedMethod):
    """The network gets frames with a black lower half and reference frames; the lower
    half of its output is blended into the clip.
    """

    protocols = frozenset({"self", "cross", "silent"})

    def prepare(self, jobs: list[RenderJob]) -> None:
        network, facts = load_kind(self.context.run, "wav2lip")
        self._device = pick_device(self.context.device)
        self._network, self._size = network.to(self._device), facts["features"]["size"]
        self._features = self.store()

    def features_of(self, audio: np.ndarray) -> torch.Tensor:
        return mel_spectrogram(audio).half()

    def render(self, job: RenderJob, work: Path) -> RawResult:
        reference, start_frame, reference_clip = self.reference(job)
        return RawResult(frames=self._draw(job, reference, start_frame), reference_clip=reference_clip)

    @torch.inference_mode()
    def _draw(self, job: RenderJob, reference: np.ndarray, start_frame: int) -> Iterator[np.ndarray]:
        originals = read_frames(job.video, limit=job.frames)
        frames = to_tensor(originals, self._size)
        indices = ping_pong_indices(torch.arange(len(frames)) + start_frame, len(reference))
        references = to_tensor(reference, self._size)[indices]
        mels = frame_mels(self.driving_features(job, "mel").float(), len(frames))
        keep = np.ones((job.size, job.size), np.float32)
        keep[job.size // 2 :] = 0
        compositor = Compositor(keep, FEATHER, colour_match=False)
        for start in range(0, len(frames), BATCH):
            part = slice(start, start + BATCH)
            generated = self._generate(mels[part], frames[part], references[part])
            yield from compositor(originals[part], generated)

    def _generate(self, mels: torch.Tensor, frames: torch.Tensor, reference: torch.Tensor) -> np.ndarray:
        """Faces ``(T, S, S, 3)`` float, 0..255, at the size of the features."""
        masked = frames.float() / 255
        masked[:, :, masked.shape[-1] // 2 :] = 0
        faces = torch.cat([masked, reference.float() / 255], 1).to(self._device)
        face_size = self._network.config.face_size
        if faces.shape[-1] != face_size:
            faces = functional.interpolate(
                faces, (face_size, face_size), mode="bilinear", antialias=True, align_corners=False
            )
        generated = self._network(mels.to(self._device), faces)
        return (255 * generated).permute(0, 2, 3, 1).cpu().numpy()
