"""Sound features against their definitions and reference code."""

import numpy as np
import pytest
import torch
from whisper.model import AudioEncoder

from eadbench.features import audio
from eadbench.models.mel import mel_filters, mel_spectrogram
from eadbench.zoo.kinds.whisper import encoder_states


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(80, 1500, 16, 2, 2).eval().requires_grad_(False)


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count = int(seconds * 16000) // 640 * 640
    return (0.1 * rng.standard_normal(count) * (1 + np.sin(np.arange(count) / 2000))).astype(np.float32)


def test_states_of_padded_audio_are_those_of_whisper_itself(encoder: AudioEncoder) -> None:
    import whisper

    samples = speech(2)
    states = audio.whisper_states(encoder, samples, padding=True)
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples))
    assert states.shape == (100, 3, 16)
    assert torch.allclose(encoder.ln_post(states[:, -1]), encoder(mel[None])[0, :100], atol=1e-4)


def test_short_states_need_no_padding(encoder: AudioEncoder) -> None:
    states = audio.whisper_states(encoder, speech(1.2), padding=False)
    assert states.shape == (60, 3, 16) and torch.isfinite(states).all()


@pytest.mark.parametrize("seconds", [30.0, 31.0, 58.0])
def test_long_audio_has_no_seam(encoder: AudioEncoder, seconds: float) -> None:
    samples = speech(seconds)
    states = audio.whisper_states(encoder, samples, padding=False)[:, -1]
    assert len(states) == len(samples) // 320
    jump = (states[1:] - states[:-1]).norm(dim=1)
    if seconds > 30:
        last = len(states) - 1500
        borders = [k for k in (1250, 1500, last, last + 250) if 0 < k < len(jump)]
        assert max(jump[k - 1] for k in borders) < 2 * jump.quantile(0.99)


def test_hard_cut_windows_would_show_a_seam(encoder: AudioEncoder) -> None:
    """The measure of the test above is able to fail: windows laid side by side, as
    LatentSync does it, jump at 30 s.
    """
    import whisper

    mel = whisper.log_mel_spectrogram(speech(58))
    pieces = [encoder_states(encoder, mel[None, :, a : a + 3000])[0, :, -1] for a in (0, 3000)]
    jump = (torch.cat(pieces)[1:] - torch.cat(pieces)[:-1]).norm(dim=1)
    assert jump[1499] > 2 * jump.quantile(0.99)


def test_mel_matches_librosa_definition() -> None:
    samples = speech(1)
    mel = mel_spectrogram(samples)
    assert mel.shape == (80, 81)
    assert mel.min() >= -4 and mel.max() <= 4
    emphasised = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    middle = 40
    frame = emphasised[200 * middle - 400 : 200 * middle + 400] * np.hanning(801)[:-1]
    energy = mel_filters().numpy().T @ np.abs(np.fft.rfft(frame))
    expected = np.clip(8 * (20 * np.log10(np.maximum(1e-5, energy)) - 20 + 100) / 100 - 4, -4, 4)
    assert np.allclose(mel[:, middle], expected, atol=1e-3)


def test_filters_are_those_of_the_libraries() -> None:
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(401, 80, 55.0, 7600.0, 16000, norm="slaney", mel_scale="slaney")
    assert np.array_equal(mel_filters().numpy(), bank.astype(np.float32))


def test_silence_is_the_floor() -> None:
    assert (mel_spectrogram(np.zeros(16000, np.float32)) == -4).all()


@pytest.mark.parametrize(("frames", "steps"), [(16, 52), (5, 16), (25, 80)])
def test_mel_steps_are_those_of_the_literature(frames: int, steps: int) -> None:
    assert audio.mel_steps(frames) == steps


def test_mel_start_is_the_nearest_step() -> None:
    starts = torch.arange(200)
    assert (audio.mel_start(starts) - starts * 3.2).abs().max() <= 0.5
    assert [audio.mel_start(int(s)) for s in starts] == audio.mel_start(starts).tolist()


def test_frame_mels_are_centred_on_their_frame() -> None:
    mel = torch.arange(400).float().expand(80, -1)
    pieces = audio.frame_mels(mel, 20, first=40)
    assert pieces.shape == (20, 1, 80, 16)
    centre = pieces[:, 0, 0].mean(1)
    assert (centre - 3.2 * (torch.arange(40, 60) + 0.5)).abs().max() < 1
    assert (audio.frame_mels(mel, 2)[0, 0, 0] >= 0).all()


def test_fit_length_cuts_and_pads() -> None:
    samples = np.ones(1000, np.float32)
    assert len(audio.fit_length(samples, 1)) == 640
    padded = audio.fit_length(samples, 3)
    assert len(padded) == 1920 and not padded[1000:].any()
