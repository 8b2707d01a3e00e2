"""Windows over a clip of any length, and how they blend."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class WindowChunk:
    """Windows that are denoised together.

    Attributes:
        starts: First frame of each window, in frames of the clip.
        window: Frames per window.
        carried: Frames at the chunk's beginning that the chunk before has denoised,
            too.
        kept: Frames that leave with this chunk; those after them are carried to the
            next.
    """

    starts: tuple[int, ...]
    window: int
    carried: int
    kept: int

    @property
    def first(self) -> int:
        """First frame of the chunk."""
        return self.starts[0]

    @property
    def length(self) -> int:
        """Frames of the chunk."""
        return self.starts[-1] + self.window - self.first


def chunks(frames: int, window: int, overlap: int, at_once: int) -> Iterator[WindowChunk]:
    """Cover ``frames`` frames by windows that overlap by ``overlap`` (the last one by
    more), ``at_once`` of them per chunk.

    Args:
        frames: Length of the clip; at least ``window``.
        window: Frames per window.
        overlap: Shared by neighbours; less than ``window``.
        at_once: Windows per chunk.

    Raises:
        ValueError: If the clip is shorter than a window, or windows do not advance.
    """
    if frames < window or not 0 <= overlap < window:
        raise ValueError(f"cannot cover {frames} frames by windows of {window} overlapping by {overlap}")
    starts = [*range(0, frames - window, window - overlap), frames - window]
    groups = [tuple(starts[i : i + at_once]) for i in range(0, len(starts), at_once)]
    end = 0
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        carried = max(0, end - group[0])
        end = group[-1] + window
        yield WindowChunk(group, window, carried, (following[0] if following else end) - group[0])


def blend_weights(chunk: WindowChunk, overlap: int) -> torch.Tensor:
    """Weight of every window in every frame of the chunk, rising linearly over the
    overlap: ``(windows, length)``, columns sum to 1.
    """
    place = torch.arange(chunk.window)
    ramp = torch.minimum(place + 1, chunk.window - place).clamp(max=overlap + 1).float()
    weights = torch.zeros(len(chunk.starts), chunk.length)
    for row, start in zip(weights, chunk.starts, strict=True):
        row[start - chunk.first : start - chunk.first + chunk.window] = ramp
    return weights / weights.sum(0)


def hand_over(carried: int) -> torch.Tensor:
    """Share of the chunk before in the carried frames, falling from almost 1 to almost
    0: ``(carried,)``.
    """
    return 1 - torch.arange(1, carried + 1) / (carried + 1)
