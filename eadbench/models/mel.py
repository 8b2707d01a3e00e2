"""The mel spectrogram that Wav2Lip, its SyncNet and LatentSync's hear."""

from functools import cache

import numpy as np
import torch

RATE = 16000
# 80 bands of 55..7600 Hz, window 800, hop 200 (80 Hz), pre-emphasis 0.97, -100..0 dB to
# [-4, 4] after a reference of 20 dB.
MEL_BANDS, MEL_FFT, MEL_HOP, MEL_RATE = 80, 800, 200, 80
LOWEST, HIGHEST = 55.0, 7600.0
PREEMPHASIS, REFERENCE_DB, FLOOR_DB, MEL_RANGE = 0.97, 20.0, -100.0, 4.0
# Slaney's scale: 200/3 Hz to a mel up to 1 kHz, 27 mels for each factor of 6.4 above.
LINEAR, KNEE_HZ, KNEE, STEP = 200 / 3, 1000.0, 15.0, np.log(6.4) / 27


def _to_mel(hertz: float) -> float:
    return hertz / LINEAR if hertz < KNEE_HZ else KNEE + np.log(hertz / KNEE_HZ) / STEP


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < KNEE, mel * LINEAR, KNEE_HZ * np.exp(STEP * (mel - KNEE)))


@cache
def mel_filters() -> torch.Tensor:
    """Slaney's triangles of equal area, ``(401, 80)`` float32: the weight of each
    frequency in each band.
    """
    edges = _to_hertz(np.linspace(_to_mel(LOWEST), _to_mel(HIGHEST), MEL_BANDS + 2))
    gaps = np.diff(edges)
    away = edges - np.linspace(0, RATE // 2, MEL_FFT // 2 + 1)[:, None]
    triangles = np.maximum(0, np.minimum(-away[:, :-2] / gaps[:-1], away[:, 2:] / gaps[1:]))
    return torch.from_numpy(triangles * (2 / (edges[2:] - edges[:-2]))).float()


def mel_spectrogram(samples: np.ndarray) -> torch.Tensor:
    """Mel spectrogram as SyncNet and Wav2Lip hear it.

    Args:
        samples: Mono audio at 16 kHz.

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
    level = 20 * torch.log10((mel_filters().T @ spectrum).clamp(min=10 ** (FLOOR_DB / 20))) - REFERENCE_DB
    return (2 * MEL_RANGE * (level - FLOOR_DB) / -FLOOR_DB - MEL_RANGE).clamp(-MEL_RANGE, MEL_RANGE)
