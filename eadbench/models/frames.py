"""Frames as the networks take them, and the order of reference frames."""

import cv2
import numpy as np
import torch


def to_tensor(frames: np.ndarray, size: int) -> torch.Tensor:
    """RGB uint8 ``(T, H, W, 3)`` resized by area averaging to ``(T, 3, size, size)``
    uint8.
    """
    if frames.shape[1:3] != (size, size):
        method = cv2.INTER_AREA if frames.shape[1] > size else cv2.INTER_CUBIC
        frames = np.stack([cv2.resize(frame, (size, size), interpolation=method) for frame in frames])
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))


def normalise(frames: torch.Tensor) -> torch.Tensor:
    """uint8 to float in [-1, 1]."""
    return frames.float() / 127.5 - 1


def ping_pong_indices(numbers: torch.Tensor, length: int) -> torch.Tensor:
    """Indices into a sequence that is played forwards and backwards without end: 0 1 2
    3 2 1 0 1 ...
    """
    if length == 1:
        return torch.zeros_like(numbers)
    period = 2 * length - 2
    place = numbers % period
    return torch.minimum(place, period - place)
