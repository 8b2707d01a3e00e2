"""Frames for the networks."""

import numpy as np
import torch

from eadbench.models.frames import normalise, ping_pong_indices, to_tensor


def test_a_reference_shorter_than_the_clip_is_played_forwards_and_backwards() -> None:
    assert ping_pong_indices(torch.arange(8), 4).tolist() == [0, 1, 2, 3, 2, 1, 0, 1]
    assert ping_pong_indices(torch.arange(3), 1).tolist() == [0, 0, 0]


def test_frames_are_shrunk_by_the_mean_of_the_area_and_become_channels_first() -> None:
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[0, :2, :2, 1] = 200
    small = to_tensor(frames, 2)
    assert small.shape == (2, 3, 2, 2) and small.dtype == torch.uint8
    assert small[0, 1].tolist() == [[200, 0], [0, 0]] and not small[1].any()
    assert torch.equal(to_tensor(frames, 4)[0], torch.from_numpy(frames[0]).permute(2, 0, 1))
    assert normalise(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
