"""Kind ``stable_syncnet``: LatentSync's StableSyncNet as the second evaluator of lip
sync, the published weights alone.

Frames are first cut to the face as LatentSync aligns it. What differs from its code:
centres of brows and nose come from the face mesh, there from InsightFace's 106 points;
one warp of the frame gives the crop, there one to 210 x 280 pixels and one to 256 x 256;
a shift of less than a pixel that smooths its template over time is left out; numbers are
float32, there float16; beyond the ends the audio's spectrum is mirrored, there zero.
"""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eadbench.core.errors import EadbenchError
from eadbench.media.image import warp_area
from eadbench.media.mesh import LEFT_BROW, RIGHT_BROW
from eadbench.models.mel import MEL_RATE, mel_spectrogram
from eadbench.models.stable_syncnet import FRAMES, MEL_STEPS, SIDE, StableSyncNet
from eadbench.zoo.card import Card
from eadbench.zoo.weights import load_weights, read_weights

OFFICIAL = "stable_syncnet.pt"
FPS, SHIFT, STRIDE = 25, 15, 4  # frames per second, largest shift, from window to window
# Points of the face mesh and where LatentSync's template has their centres, in a face
# of 75 x 100 that is stretched to the square: brows left and right in the image, nose.
POINTS = (RIGHT_BROW, LEFT_BROW, (5, 4, 129, 358))
TEMPLATE = np.array([[17.0, 20.0], [58.0, 20.0], [37.5, 40.0]])
STRETCH = np.array([SIDE / 75, SIDE / 100])


class StableSyncEvaluator:
    """Scores how well lips and audio match, window by window."""

    resolution = SIDE
    crop = f"latentsync-{SIDE}, every {STRIDE} frames"

    def __init__(self, net: StableSyncNet, device: Any = "cpu") -> None:
        self.net, self.device = net.eval().to(device), device

    def stream(self, audio: np.ndarray, batch: int = 4) -> "StableSyncStream":
        """Scores a clip whose frames come a stretch at a time."""
        return StableSyncStream(self, audio, batch)


class StableSyncStream:
    """Scores one clip whose frames come a stretch at a time; of the past it keeps 16
    crops and the embeddings.

    Args:
        evaluator: The evaluator.
        audio: Mono float32 in [-1, 1] at 16 kHz, whole.
        batch: Windows at a time.
    """

    def __init__(self, evaluator: StableSyncEvaluator, audio: np.ndarray, batch: int = 4) -> None:
        self.evaluator, self.batch = evaluator, batch
        self.mel = mel_spectrogram(audio) if len(audio) > MEL_STEPS * 200 else torch.empty(80, 0)
        mel_starts = np.arange(len(audio) * FPS // 16000 + 1) * MEL_RATE // FPS  # one per frame
        self.mel_starts = mel_starts[mel_starts + MEL_STEPS <= self.mel.shape[1]]
        self.frames = 0
        self._recent_crops: deque[np.ndarray] = deque(maxlen=FRAMES)
        self._pending: list[torch.Tensor] = []
        self._starts: list[int] = []
        self._lips: list[torch.Tensor] = []

    def add(self, frames: np.ndarray, landmarks: np.ndarray) -> None:
        """Take in the next frames ``(T, H, W, 3)`` RGB uint8 with their landmarks
        ``(T, 478, 2)``. A window in which a frame shows no face does not count.
        """
        for frame, points in zip(frames, landmarks, strict=True):
            self.frames += 1
            if not np.isfinite(points).all():
                self._recent_crops.clear()
                continue
            self._recent_crops.append(face_of(frame, points)[SIDE // 2 :])
            start = self.frames - FRAMES
            if len(self._recent_crops) == FRAMES and start % STRIDE == 0:
                window = torch.from_numpy(np.stack(self._recent_crops)).permute(0, 3, 1, 2).flatten(0, 1)
                self._pending.append(window)
                self._starts.append(start)
                if len(self._pending) == self.batch:
                    self._embed()

    @torch.no_grad()
    def _embed(self) -> None:
        if self._pending:
            pixels = torch.stack(self._pending).to(self.evaluator.device).float() / 127.5 - 1
            self._lips.append(self.evaluator.net.embed_lips(pixels).cpu())
            self._pending = []

    def _embed_audio(self, starts: torch.Tensor) -> torch.Tensor:
        windows = self.mel[:, starts[:, None] + torch.arange(MEL_STEPS)].transpose(0, 1)[:, None]
        return self.evaluator.net.embed_audio(windows.to(self.evaluator.device)).cpu()

    @torch.no_grad()
    def similarities(self) -> np.ndarray:
        """Cosines of each window of lips with the audio at all shifts, ``(windows, 31)``
        from audio that comes 15 frames late to 15 frames early; NaN where there is no
        audio.

        Raises:
            EadbenchError: If no window of 16 frames has a face and audio.
        """
        self._embed()
        if not any(start < len(self.mel_starts) for start in self._starts):
            raise EadbenchError(
                f"too short for StableSyncNet: no {FRAMES} frames in a row with a face and "
                f"{MEL_STEPS / MEL_RATE:g} s of audio"
            )
        parts = torch.as_tensor(self.mel_starts).split(4 * self.batch)
        audio = torch.cat([self._embed_audio(starts) for starts in parts]).numpy()
        cosines = np.full((len(self._starts), 2 * SHIFT + 1), np.nan)
        for row, (start, lips) in enumerate(zip(self._starts, torch.cat(self._lips).numpy(), strict=True)):
            audio_starts = start - np.arange(-SHIFT, SHIFT + 1)
            has_audio = (audio_starts >= 0) & (audio_starts < len(self.mel_starts))
            cosines[row, has_audio] = audio[audio_starts[has_audio]] @ lips
        return cosines

    def result(self) -> dict[str, float]:
        """``similarity``: mean cosine over the windows at no shift; ``offset``: shift of
        the greatest mean cosine in frames, positive when the audio leads.
        """
        cosines = self.similarities()
        counts = np.isfinite(cosines).sum(0)
        means = np.where(counts > 0, np.nansum(cosines, 0) / np.maximum(counts, 1), -np.inf)
        return {"similarity": float(means[SHIFT]), "offset": float(means.argmax() - SHIFT)}


def face_of(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The face as LatentSync aligns it, ``(256, 256, 3)`` RGB uint8.

    Args:
        frame: ``(H, W, 3)`` RGB uint8.
        points: Landmarks ``(478, 2)`` in its pixels.
    """
    centres = np.stack([points[list(group)].mean(0) for group in POINTS]).astype(np.float64)
    return warp_area(frame, alignment(centres), (SIDE, SIDE))


def alignment(centres: np.ndarray) -> np.ndarray:
    """Matrix ``(2, 3)`` from a frame to the aligned face: the rotation and scale that
    bring the centres ``(3, 2)`` nearest to the template, then the stretch to the square.
    """
    centre, target = centres.mean(0), TEMPLATE.mean(0)
    points, template = centres - centre, TEMPLATE - target
    u, _, vt = np.linalg.svd(points.T @ template)
    vt[-1] *= np.sign(np.linalg.det(u @ vt))
    rotation = (u @ vt).T * (template.std(ddof=1) / points.std(ddof=1))
    return np.column_stack([rotation, target - rotation @ centre]) * STRETCH[:, None]


def load(folder: Path, card: Card, device: Any = "cpu") -> StableSyncEvaluator:
    """The evaluator of an artefact's folder.

    Raises:
        EadbenchError: If the file holds no StableSyncNet.
    """
    path = folder / OFFICIAL
    state = read_weights(path).get("state_dict")
    if not isinstance(state, dict):
        raise EadbenchError("no entry 'state_dict'", path, "use LatentSync's stable_syncnet.pt")
    try:
        net = StableSyncNet.like(state)
    except ValueError as error:
        raise EadbenchError(
            f"not a StableSyncNet: {error}", path, "use LatentSync's stable_syncnet.pt"
        ) from error
    load_weights(net, path, state)
    return StableSyncEvaluator(net, device)
