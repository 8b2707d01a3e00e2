"""Distortions do what they say, by the amount they say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import correlate, lfilter

from eadbench.audit.distortions import REGISTRY, Footage
from eadbench.audit.names import AUDIO, DISTORTIONS
from eadbench.core.errors import EadbenchError


@pytest.fixture(scope="module")
def clip() -> Footage:
    y, x = np.mgrid[:128, :128]
    texture = np.random.default_rng(4).normal(0, 15, (128, 128, 1))
    frames = np.stack(
        [
            (127 + 80 * np.sin((x + 3 * t) / 6) * np.cos(y / 7))[..., None] + texture + [0, 5, 10]
            for t in range(30)
        ]
    )
    audio = 0.1 * lfilter([1], [1, -0.9], np.random.default_rng(1).standard_normal(19200)).astype(np.float32)
    marks = np.full((30, 478, 2), 20.0, np.float32) + np.random.default_rng(2).uniform(
        -6, 6, (30, 478, 2)
    ).astype(np.float32)
    frames = np.clip(frames, 0, 255).astype(np.uint8)
    return Footage(frames, audio, 25.0, marks, frames[::-1].copy(), 255 - frames)


def applied(clip: Footage, name: str, k: int) -> Footage:
    distortion = REGISTRY[name]
    return distortion.apply(clip, distortion.levels[k - 1], np.random.default_rng(3))


def test_the_list_of_names_is_that_of_the_functions():
    assert tuple(REGISTRY) == DISTORTIONS


@pytest.mark.parametrize("name", DISTORTIONS)
def test_there_are_five_levels_each_stronger_than_the_one_before_and_described(clip, name):
    distortion = REGISTRY[name]
    steps = np.diff(distortion.levels)
    assert len(distortion.levels) == 5 and (all(steps > 0) or all(steps < 0))
    assert distortion.apply.__doc__
    weak, strong = applied(clip, name, 1), applied(clip, name, 5)
    for distorted in (weak, strong):
        assert distorted.frames.dtype == np.uint8
        assert distorted.frames.shape[1:] == clip.frames.shape[1:]
        assert distorted.audio.shape == clip.audio.shape
    if name in AUDIO:
        assert np.array_equal(strong.frames, clip.frames) and not np.array_equal(strong.audio, clip.audio)
    elif name in ("drop",):
        assert len(strong.frames) < len(weak.frames) < len(clip.frames)
    else:
        assert np.array_equal(strong.audio, clip.audio) and not np.array_equal(strong.frames, clip.frames)


@pytest.mark.parametrize(("name", "sign"), [("audio_early", -1), ("audio_late", 1)])
def test_audio_moves_by_whole_frames(clip, name, sign):
    for k, frames in enumerate(REGISTRY[name].levels, 1):
        correlations = correlate(applied(clip, name, k).audio, clip.audio)
        assert correlations.argmax() - (len(clip.audio) - 1) == sign * frames * 640


def test_audio_shorter_than_the_delay_is_silent_and_none_stays_none(clip):
    for length in (0, 100, 6000):
        short = replace(clip, audio=clip.audio[:length])
        for name in AUDIO:
            assert applied(short, name, 5).audio.shape == (length,)
        assert not applied(short, "audio_late", 5).audio.any()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_same_seed_gives_the_same_bytes(clip, name):
    first, second = applied(clip, name, 3), applied(clip, name, 3)
    assert np.array_equal(first.frames, second.frames) and np.array_equal(first.audio, second.audio)


def test_aac_keeps_the_time(clip):
    for k in range(1, 6):
        assert correlate(applied(clip, "aac", k).audio, clip.audio).argmax() == len(clip.audio) - 1


@pytest.mark.parametrize(
    "name",
    [
        "h264",
        "h265",
        "blur",
        "noise",
        "brightness",
        "colour",
        "scale",
        "shift",
        "other_speaker",
        "other_emotion",
    ],
)
def test_the_error_grows_with_the_level(clip, name):
    errors = [
        float(np.abs(applied(clip, name, k).frames.astype(int) - clip.frames).mean()) for k in range(1, 6)
    ]
    assert all(np.diff(errors) > 0), errors


def test_at_the_strongest_level_a_frozen_clip_shows_one_frame(clip):
    frames = applied(clip, "freeze", 5).frames
    assert (frames == frames[0]).all() and np.array_equal(frames[0], clip.frames[0])


def test_a_mouth_is_replaced_around_the_lips_and_nowhere_else(clip):
    changed = (applied(clip, "mouth_frozen", 5).frames != clip.frames).any((0, 3))
    assert changed[20, 20] and not changed[60:, 60:].any()


def test_frames_without_a_face_keep_their_mouth(clip):
    faceless = replace(clip, marks=np.full_like(clip.marks, np.nan))
    assert np.array_equal(applied(faceless, "mouth_frozen", 5).frames, clip.frames)


@pytest.mark.parametrize(
    ("name", "what"),
    [("other_speaker", "clip of another speaker"), ("other_emotion", "clip of the same speaker")],
)
def test_what_cannot_be_blended_says_what_is_missing(clip, name, what):
    with pytest.raises(EadbenchError, match=what):
        applied(Footage(clip.frames, clip.audio, 25.0, clip.marks), name, 1)


@pytest.mark.parametrize(
    ("name", "level", "text"),
    [
        ("h264", 23, "crf 23"),
        ("audio_late", 1, "1 frame"),
        ("audio_late", 5, "5 frames"),
        ("freeze", 25, "25 % of the clip"),
    ],
)
def test_an_amount_in_words(name, level, text):
    assert REGISTRY[name].amount(level) == text
