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
        carried: Frames at the chunk's beginning that the previous chunk has denoised,
            too.
        finished: Frames that are final after this chunk; those after them are carried
            to the next.
    """

    starts: tuple[int, ...]
    window: int
    carried: int
    finished: int

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
    for group, next_group in zip(groups, [*groups[1:], None], strict=True):
        carried = max(0, end - group[0])
        end = group[-1] + window
        next_start = next_group[0] if next_group else end
        yield WindowChunk(group, window, carried, next_start - group[0])


def blend_weights(chunk: WindowChunk, overlap: int) -> torch.Tensor:
    """Weight of every window in every frame of the chunk, rising linearly over the
    overlap: ``(windows, length)``, columns sum to 1.
    """
    frame = torch.arange(chunk.window)
    ramp = torch.minimum(frame + 1, chunk.window - frame).clamp(max=overlap + 1).float()
    weights = torch.zeros(len(chunk.starts), chunk.length)
    for row, start in zip(weights, chunk.starts, strict=True):
        offset = start - chunk.first
        row[offset : offset + chunk.window] = ramp
    return weights / weights.sum(0)


def crossfade_weights(carried: int) -> torch.Tensor:
    """Weight of the previous chunk in the carried frames, falling from almost 1 to
    almost 0: ``(carried,)``.
    """
    return 1 - torch.arange(1, carried + 1) / (carried + 1)
