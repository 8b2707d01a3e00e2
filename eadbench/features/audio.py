"""Sound to what the networks hear: Whisper states at 50 Hz and mel spectrograms at 80
Hz.
"""

from functools import cache

import numpy as np
import torch
from torch import nn

from eadbench.media.audio import RATE
from eadbench.zoo.whisper import encoder_states

SAMPLES_PER_FRAME = RATE // 25
STATES_PER_FRAME = 2
WINDOW_SECONDS = 30
# Wav2Lip's mel: 80 bands of 55..7600 Hz, window 800, hop 200 (80 Hz), pre-emphasis
# 0.97, -100..0 dB to [-4, 4] after a reference of 20 dB.
MEL_BANDS, MEL_FFT, MEL_HOP, MEL_RATE = 80, 800, 200, 80
PREEMPHASIS, REFERENCE_DB, FLOOR_DB, MEL_RANGE = 0.97, 20.0, -100.0, 4.0


def fit_length(samples: np.ndarray, frames: int) -> np.ndarray:
    """Cut or pad sound with silence to the length of ``frames`` video frames at 25 fps."""
    wanted = frames * SAMPLES_PER_FRAME
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples)))).astype(np.float32)


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


@cache
def _mel_filters() -> torch.Tensor:
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(MEL_FFT // 2 + 1, MEL_BANDS, 55.0, 7600.0, RATE, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(bank).float()


def mel_spectrogram(samples: np.ndarray) -> torch.Tensor:
    """Mel spectrogram as SyncNet and Wav2Lip hear it.

    Args:
        samples: Mono sound at 16 kHz.

    Returns:
        ``(80, Tm)`` float32 in [-4, 4] at 80 Hz; step m is centred at sample
        ``200 * m``.
    """
    x = torch.from_numpy(np.asarray(samples, np.float32))
    x = torch.cat([x[:1], x[1:] - PREEMPHASIS * x[:-1]])
    window = torch.hann_window(MEL_FFT)
    spectrum = torch.stft(
        x, MEL_FFT, MEL_HOP, window=window, center=True, pad_mode="reflect", return_complex=True
    ).abs()
    level = 20 * torch.log10((_mel_filters().T @ spectrum).clamp(min=10 ** (FLOOR_DB / 20))) - REFERENCE_DB
    return (2 * MEL_RANGE * (level - FLOOR_DB) / -FLOOR_DB - MEL_RANGE).clamp(-MEL_RANGE, MEL_RANGE)


@torch.inference_mode()
def whisper_states(
    encoder: nn.Module, samples: np.ndarray, padding: bool = True, overlap: float = 5.0
) -> torch.Tensor:
    """All hidden states of Whisper's encoder for sound of any length.

    Sound longer than 30 s goes through overlapping windows whose states are cross-faded
    in the overlap: no seam, and each instant is heard with its context.

    Args:
        encoder: openai-whisper's ``AudioEncoder``.
        samples: Mono sound at 16 kHz, a multiple of 320 samples.
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
    # One log-mel for the whole sound: its floor depends on the loudest instant, which
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
