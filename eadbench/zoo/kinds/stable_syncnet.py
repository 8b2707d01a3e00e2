"""Kind ``stable_syncnet``: LatentSync's StableSyncNet as the second evaluator of lip
sync, the published weights alone.

Frames are first cut to the face as LatentSync aligns it. What differs from its code:
centres of brows and nose come from the face mesh, there from InsightFace's 106 points;
one warp of the frame gives the crop, there one to 210 x 280 pixels and one to 256 x 256;
a shift of less than a pixel that smooths its template over time is left out; numbers are
float32, there float16; beyond the ends the sound's spectrum is mirrored, there zero.
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
# of 75 x 100 that is stretched to the square: brows left and right in the picture, nose.
POINTS = (RIGHT_BROW, LEFT_BROW, (5, 4, 129, 358))
TEMPLATE = np.array([[17.0, 20.0], [58.0, 20.0], [37.5, 40.0]])
STRETCH = np.array([SIDE / 75, SIDE / 100])


class StableSyncEvaluator:
    """Says how well lips and sound match, window by window."""

    resolution = SIDE
    crop = f"latentsync-{SIDE}, every {STRIDE} frames"

    def __init__(self, net: StableSyncNet, device: Any = "cpu") -> None:
        self.net, self.device = net.eval().to(device), device

    def stream(self, audio: np.ndarray, batch: int = 4) -> "StableSyncStream":
        """Scores a clip whose frames come a stretch at a time."""
        return StableSyncStream(self, audio, batch)


class StableSyncStream:
    """Scores one clip while its frames come; of the past it keeps 16 crops and the
    embeddings.

    Args:
        evaluator: The evaluator.
        audio: Mono float32 in [-1, 1] at 16 kHz, whole.
        batch: Windows at a time.
    """

    def __init__(self, evaluator: StableSyncEvaluator, audio: np.ndarray, batch: int = 4) -> None:
        self.evaluator, self.batch = evaluator, batch
        mel = mel_spectrogram(audio) if len(audio) > MEL_STEPS * 200 else torch.empty(80, 0)
        starts = np.arange(len(audio) * FPS // 16000 + 1) * MEL_RATE // FPS
        self.mel, self.starts = mel, starts[starts + MEL_STEPS <= mel.shape[1]]
        self.frames = 0
        self._recent: deque[np.ndarray] = deque(maxlen=FRAMES)
        self._waiting: list[torch.Tensor] = []
        self._at: list[int] = []
        self._lips: list[torch.Tensor] = []

    def add(self, frames: np.ndarray, marks: np.ndarray) -> None:
        """Take in the next frames ``(T, H, W, 3)`` RGB uint8 with their landmarks
        ``(T, 478, 2)``. A window in which a frame shows no face does not count.
        """
        for frame, points in zip(frames, marks, strict=True):
            self.frames += 1
            if not np.isfinite(points).all():
                self._recent.clear()
                continue
            self._recent.append(face_of(frame, points)[SIDE // 2 :])
            start = self.frames - FRAMES
            if len(self._recent) == FRAMES and start % STRIDE == 0:
                stacked = torch.from_numpy(np.stack(self._recent)).permute(0, 3, 1, 2).flatten(0, 1)
                self._waiting.append(stacked)
                self._at.append(start)
                if len(self._waiting) == self.batch:
                    self._embed()

    @torch.no_grad()
    def _embed(self) -> None:
        if self._waiting:
            pixels = torch.stack(self._waiting).to(self.evaluator.device).float() / 127.5 - 1
            self._lips.append(self.evaluator.net.embed_lips(pixels).cpu())
            self._waiting = []

    def _embed_sound(self, starts: torch.Tensor) -> torch.Tensor:
        windows = self.mel[:, starts[:, None] + torch.arange(MEL_STEPS)].transpose(0, 1)[:, None]
        return self.evaluator.net.embed_audio(windows.to(self.evaluator.device)).cpu()

    @torch.no_grad()
    def similarities(self) -> np.ndarray:
        """Cosines of each window of lips with the sound at all shifts, ``(windows, 31)``
        from audio that comes 15 frames late to 15 frames early; NaN where there is no
        sound.

        Raises:
            EadbenchError: If no window of 16 frames has a face and sound.
        """
        self._embed()
        whole = [at for at in self._at if at < len(self.starts)]
        if not whole:
            raise EadbenchError(
                f"too short for StableSyncNet: no {FRAMES} frames in a row with a face and "
                f"{MEL_STEPS / MEL_RATE:g} s of sound"
            )
        parts = torch.as_tensor(self.starts).split(4 * self.batch)
        sound = torch.cat([self._embed_sound(starts) for starts in parts]).numpy()
        found = np.full((len(self._at), 2 * SHIFT + 1), np.nan)
        for row, (at, lips) in enumerate(zip(self._at, torch.cat(self._lips).numpy(), strict=True)):
            heard = at - np.arange(-SHIFT, SHIFT + 1)
            there = (heard >= 0) & (heard < len(self.starts))
            found[row, there] = sound[heard[there]] @ lips
        return found

    def result(self) -> dict[str, float]:
        """``similarity``: mean cosine over the windows at no shift; ``offset``: shift of
        the greatest mean cosine in frames, positive when the audio leads.
        """
        found = self.similarities()
        counts = np.isfinite(found).sum(0)
        means = np.where(counts > 0, np.nansum(found, 0) / np.maximum(counts, 1), -np.inf)
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
    """Matrix ``(2, 3)`` from a frame to the aligned face: the turn and scale that bring
    the centres ``(3, 2)`` nearest to the template, then the stretch to the square.
    """
    middle, target = centres.mean(0), TEMPLATE.mean(0)
    own, wanted = centres - middle, TEMPLATE - target
    left, _, right = np.linalg.svd(own.T @ wanted)
    right[-1] *= np.sign(np.linalg.det(left @ right))
    turn = (left @ right).T * (wanted.std(ddof=1) / own.std(ddof=1))
    return np.column_stack([turn, target - turn @ middle]) * STRETCH[:, None]


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
