"""Audio to what the networks hear: Whisper states at 50 Hz and mel spectrograms at 80
Hz.
"""

import numpy as np
import torch
from torch import nn

from eadbench.media.audio import RATE
from eadbench.models.mel import MEL_RATE
from eadbench.zoo.kinds.whisper import encoder_states

SAMPLES_PER_FRAME = RATE // 25
STATES_PER_FRAME = 2
WINDOW_SECONDS = 30


def fit_length(samples: np.ndarray, frames: int) -> np.ndarray:
    """Cut or pad audio with silence to the length of ``frames`` video frames at 25 fps."""
    length = frames * SAMPLES_PER_FRAME
    return np.pad(samples[:length], (0, max(0, length - len(samples)))).astype(np.float32)


def mel_steps(frames: int) -> int:
    """Mel steps that cover a window of video frames: 52 for 16 frames, 16 for 5
    (LatentSync, Wav2Lip).
    """
    return -(-frames * MEL_RATE // 25)


def mel_start(frame: int | torch.Tensor) -> int | torch.Tensor:
    """First mel step of the window that starts at a video frame."""
    return (frame * MEL_RATE * 2 + 25) // 50  # rounded


def frame_mels(mel: torch.Tensor, frames: int, first: int = 0) -> torch.Tensor:
    """What Wav2Lip hears for each frame: the 16 steps from two frames before to three
    after, repeated at the ends.

    Args:
        mel: ``(80, Tm)`` of the clip.
        frames: Number of frames.
        first: First of them.

    Returns:
        ``(frames, 1, 80, 16)``.
    """
    starts = mel_start(torch.arange(first - 2, first - 2 + frames))
    steps = (starts[:, None] + torch.arange(mel_steps(5))).clamp(0, mel.shape[-1] - 1)
    return mel[:, steps].transpose(0, 1)[:, None]


@torch.inference_mode()
def whisper_states(
    encoder: nn.Module, samples: np.ndarray, padding: bool = True, overlap: float = 5.0
) -> torch.Tensor:
    """All hidden states of Whisper's encoder for audio of any length.

    Audio longer than 30 s goes through overlapping windows whose states are cross-faded
    in the overlap: no seam, and each instant is heard with its context.

    Args:
        encoder: openai-whisper's ``AudioEncoder``.
        samples: Mono audio at 16 kHz, a multiple of 320 samples.
        padding: Pad the window to 30 s with silence, as Whisper was trained; else cut
            the positional embedding.
        overlap: Seconds of overlap.

    Returns:
        ``(T50, L, D)`` float32 at 50 Hz, T50 = samples / 320.
    """
    import whisper

    device = encoder.conv1.weight.device
    count = len(samples) // 320
    longest = WINDOW_SECONDS * RATE
    # One log-mel for the whole audio: its floor depends on the loudest instant, which
    # must not jump between windows.
    mel = whisper.log_mel_spectrogram(
        np.pad(samples, (0, longest)) if padding else samples, n_mels=encoder.conv1.in_channels
    ).to(device)
    size = WINDOW_SECONDS * 50
    if count <= size:
        piece = mel[:, : 2 * size] if padding else mel[:, : 2 * count]
        return encoder_states(encoder, piece[None])[0, :count].cpu()
    shared = round(overlap * 50)
    starts = [*range(0, count - size, size - shared), count - size]
    total, weights = None, torch.zeros(count)
    for start in starts:
        states = encoder_states(encoder, mel[None, :, 2 * start : 2 * (start + size)])[0].cpu()
        ramp = torch.ones(size)
        rise = torch.arange(1, shared + 1) / (shared + 1)
        if start > 0:
            ramp[:shared] = rise
        if start < starts[-1]:
            ramp[-shared:] = rise.flip(0)
        if total is None:
            total = torch.zeros(count, *states.shape[1:])
        total[start : start + size] += ramp[:, None, None] * states
        weights[start : start + size] += ramp
    return total / weights[:, None, None]
