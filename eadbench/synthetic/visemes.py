"""From phonemes to the shape of the mouth over time."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

GRID = 200  # shapes per second before sampling at the frame rate
CHANNELS = ("open", "wide", "round", "close", "bite", "tongue")

# phoneme (espeak-ng's mnemonics for English, without stress marks) -> one shape, or two
# for a diphthong: (jaw opening, width, rounding, tongue tip)
VOWELS = {
    "a": [(1.0, 0.25, 0, 0)], "a#": [(0.6, 0.1, 0, 0)], "A:": [(1.0, 0.0, 0, 0)], "A@": [(1.0, 0.0, 0, 0)],
    "0": [(0.9, -0.1, 0.15, 0)],
    "O2": [(0.85, -0.2, 0.4, 0)], "V": [(0.75, 0.05, 0, 0)], "VR": [(0.7, 0.0, 0.1, 0)],
    "@": [(0.42, 0.05, 0, 0)], "@-": [(0.35, 0, 0, 0)],
    "@2": [(0.4, 0.05, 0, 0)], "@5": [(0.4, 0.0, 0.1, 0)], "@L": [(0.4, 0.0, 0.1, 0.7)],
    "3": [(0.42, 0.0, 0.3, 0)], "3:": [(0.45, 0.0, 0.4, 0)],
    "E": [(0.72, 0.45, 0, 0)], "e@": [(0.7, 0.4, 0, 0)], "I": [(0.4, 0.5, 0, 0)], "I#": [(0.35, 0.45, 0, 0)],
    "I2": [(0.38, 0.5, 0, 0)],
    "i": [(0.3, 0.85, 0, 0)], "i:": [(0.32, 1.0, 0, 0)], "i@": [(0.4, 0.7, 0, 0)], "i@3": [(0.4, 0.7, 0, 0)],
    "O:": [(0.75, -0.3, 0.65, 0)],
    "O@": [(0.7, -0.3, 0.65, 0)], "o@": [(0.65, -0.3, 0.7, 0)], "U": [(0.4, -0.3, 0.7, 0)],
    "u:": [(0.28, -0.4, 1.0, 0)],
    "aI": [(1.0, 0.15, 0, 0), (0.4, 0.7, 0, 0)], "aI2": [(1.0, 0.15, 0, 0), (0.4, 0.7, 0, 0)],
    "aI3": [(1.0, 0.15, 0, 0), (0.4, 0.7, 0, 0)],
    "aI@": [(1.0, 0.15, 0, 0), (0.45, 0.4, 0, 0)], "eI": [(0.65, 0.5, 0, 0), (0.32, 0.85, 0, 0)],
    "OI": [(0.7, -0.3, 0.65, 0), (0.4, 0.6, 0, 0)],
    "aU": [(1.0, 0.1, 0, 0), (0.4, -0.3, 0.85, 0)], "oU": [(0.62, -0.2, 0.6, 0), (0.32, -0.4, 1.0, 0)],
}  # fmt: skip
CONSONANTS = {
    "p": (0.1, 0.0, 0.0, 0), "b": (0.1, 0.0, 0.0, 0), "m": (0.1, 0.0, 0.0, 0), "f": (0.16, 0.1, 0.0, 0),
    "v": (0.16, 0.1, 0.0, 0),
    "w": (0.15, -0.4, 1.0, 0), "w#": (0.15, -0.4, 1.0, 0), "r": (0.25, -0.15, 0.5, 0),
    "r-": (0.25, -0.15, 0.45, 0), "l": (0.4, 0.15, 0, 1.0),
    "T": (0.28, 0.15, 0, 0.95), "D": (0.28, 0.15, 0, 0.95), "t": (0.2, 0.25, 0, 0.55),
    "t#": (0.22, 0.2, 0, 0.5), "t2": (0.2, 0.2, 0, 0.5),
    "t[": (0.2, 0.2, 0, 0.8), "d": (0.2, 0.25, 0, 0.55), "n": (0.22, 0.2, 0, 0.6), "s": (0.14, 0.45, 0, 0.2),
    "z": (0.14, 0.45, 0, 0.2),
    "S": (0.2, -0.25, 0.55, 0), "dZ": (0.2, -0.25, 0.55, 0.2), "tS": (0.2, -0.25, 0.55, 0.2),
    "k": (0.3, 0.15, 0, 0), "g": (0.3, 0.15, 0, 0),
    "N": (0.3, 0.15, 0, 0), "h": (0.45, 0.1, 0, 0), "j": (0.28, 0.6, 0, 0), ";": (0.28, 0.6, 0, 0),
}  # fmt: skip
CLOSED, BITTEN = set("pbm"), set("fv")
REST = (0.0, 0.0, 0.0, 0.0)
EARLY = 0.03  # voiceless stops close before their burst, which is where espeak-ng puts the event
SHORTEST = 0.075  # a closure shorter than two frames would be seen by chance only


@dataclass(frozen=True)
class MouthTrack:
    """Shape of the mouth per frame, each ``(T,)`` float32: ``open``, ``round``,
    ``close``, ``bite``, ``tongue`` in 0..1, ``wide`` in -1..1, ``loud`` in 0..1.3.
    """

    open: np.ndarray
    wide: np.ndarray
    round: np.ndarray
    close: np.ndarray
    bite: np.ndarray
    tongue: np.ndarray
    loud: np.ndarray


def _shapes(name: str) -> list[tuple[float, float, float, float]]:
    name = name.lstrip("',%=")
    if name in VOWELS:
        return VOWELS[name]
    if name in CONSONANTS:
        return [CONSONANTS[name]]
    if name.startswith("_") or not name:
        return [REST]
    stem = name[0]
    return VOWELS.get(stem) or [CONSONANTS.get(stem, (0.3, 0.1, 0.0, 0.0))]


def _targets(events: list[tuple[float, str]], seconds: float) -> np.ndarray:
    """Targets on the fine grid, ``(N, 6)``: opening, width, rounding and tongue as
    steps, closures and bites as windows.
    """
    count = int(np.ceil(seconds * GRID)) + 1
    track = np.zeros((count, len(CHANNELS)), np.float32)
    ends = [*(start for start, _ in events[1:]), seconds]
    for (start, name), end in zip(events, ends, strict=True):
        shapes = _shapes(name)
        edges = np.linspace(start, end, len(shapes) + 1)
        for shape, shape_start, shape_end in zip(shapes, edges[:-1], edges[1:], strict=True):
            first = round(shape_start * GRID)
            track[first : max(round(shape_end * GRID), first + 1), [0, 1, 2, 5]] = shape
        letter = name.lstrip("',%=")[:1]
        if letter in CLOSED or letter in BITTEN:
            channel = 3 if letter in CLOSED else 4
            start -= EARLY
            missing = max(SHORTEST - (end - start), 0) / 2
            first, last = round((start - missing) * GRID), round((end + missing) * GRID)
            track[max(first, 0) : max(last, 1), channel] = 1
    return track


def loudness(samples: np.ndarray, rate: int, count: int, per_second: float) -> np.ndarray:
    """Root mean square per frame relative to the utterance's loud parts (its 90th
    percentile), clipped to 1.3; ``(count,)``.
    """
    edges = np.round(np.arange(count + 1) / per_second * rate).astype(int)
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    edges = np.clip(edges, 0, len(samples))
    mean = (power[edges[1:]] - power[edges[:-1]]) / np.maximum(edges[1:] - edges[:-1], 1)
    level = np.sqrt(mean)
    return np.clip(level / (np.percentile(level, 90) + 1e-6), 0, 1.3).astype(np.float32)


def mouth_track(samples: np.ndarray, rate: int, events: list[tuple[float, str]], fps: float) -> MouthTrack:
    """Shapes at the middle of each frame.

    Vowel-like channels are low-passed (coarticulation, about 60 ms); lip closures and
    bites keep their plateau, so that each is seen for at least one frame. The jaw opens
    with the phoneme and with loudness.
    """
    seconds = len(samples) / rate
    frames = int(seconds * fps)
    targets = _targets(events, seconds)
    smoothed = gaussian_filter1d(targets, sigma=0.026 * GRID, axis=0, mode="nearest")
    smoothed[:, 3:5] = np.clip(
        gaussian_filter1d(targets[:, 3:5], sigma=0.012 * GRID, axis=0, mode="nearest") * 1.15, 0, 1
    )
    loud = gaussian_filter1d(loudness(samples, rate, len(targets), GRID), sigma=0.02 * GRID, mode="nearest")
    smoothed[:, 0] *= 0.45 + 0.6 * np.minimum(loud, 1.1)
    frame_times = (np.arange(frames) + 0.5) / fps * GRID
    shapes = np.stack(
        [np.interp(frame_times, np.arange(len(targets)), smoothed[:, k]) for k in range(len(CHANNELS))], 1
    ).astype(np.float32)
    return MouthTrack(
        *(shapes[:, k] for k in range(len(CHANNELS))),
        np.interp(frame_times, np.arange(len(targets)), loud).astype(np.float32),
    )
