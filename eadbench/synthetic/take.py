"""One take: an actor says something in a mood; audio and frames that belong together."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import cv2
import numpy as np

from eadbench.core.seeds import rng_for
from eadbench.synthetic.acting import EXPRESSIONS, PROSODIES, Expression
from eadbench.synthetic.cast import Actor
from eadbench.synthetic.features import Pose
from eadbench.synthetic.scene import HeadPose, Shot
from eadbench.synthetic.visemes import MouthTrack, mouth_track
from eadbench.synthetic.voice import Utterance, Voices

# Fields that a pose takes over from an expression; ``open`` means something else in each.
SHARED = tuple(
    f.name for f in fields(Pose) if f.name in {g.name for g in fields(Expression)} and f.name != "open"
)


@dataclass(frozen=True)
class Line:
    """A sentence with its mood: emotion of the common vocabulary and strength in 0..1."""

    text: str
    emotion: str
    strength: float


@dataclass(frozen=True)
class Speech:
    """A whole audio track: samples, sample rate, phoneme events, and the time from
    which each line's mood holds.
    """

    samples: np.ndarray
    rate: int
    events: list[tuple[float, str]]
    moods: list[tuple[float, Line]]


def speak(voices: Voices, actor: Actor, line: Line, rng: np.random.Generator) -> Utterance:
    """Say one line: prosody by emotion and strength, with small random changes."""
    prosody, strength = PROSODIES[line.emotion], line.strength
    rate = actor.rate + prosody.rate * strength + rng.normal(0, 3)
    utterance = voices.speak(
        line.text,
        actor.voice,
        rate,
        actor.pitch + prosody.pitch * strength + rng.normal(0, 1.5),
        50 + prosody.range * strength,
    )
    gain = 10 ** (prosody.gain * strength / 20) * 0.55
    samples = utterance.samples * gain
    return Utterance(np.tanh(samples * 1.2) / 1.2, utterance.rate, utterance.events)


def record(
    voices: Voices,
    actor: Actor,
    lines: list[Line],
    rng: np.random.Generator,
    lead: float = 0.2,
    pause: float = 0.45,
    tail: float = 0.25,
) -> Speech:
    """Say lines one after the other with pauses, over faint background noise."""
    parts, events, moods, time, rate = [], [], [], 0.0, 22050
    for number, line in enumerate(lines):
        utterance = speak(voices, actor, line, rng)
        rate = utterance.rate
        gap = round((lead if number == 0 else pause * rng.uniform(0.7, 1.4)) * rate)
        moods.append((time, line))
        events.append((time, "_"))
        time += gap / rate
        events += [(time + t, name) for t, name in utterance.events]
        parts += [np.zeros(gap, np.float32), utterance.samples]
        time += utterance.seconds
    events.append((time, "_"))
    parts.append(np.zeros(round(tail * rate), np.float32))
    samples = np.concatenate(parts)
    samples = samples + rng.normal(0, 6e-4, len(samples))
    return Speech(np.clip(samples, -0.98, 0.98).astype(np.float32), rate, events, moods)


def wander(
    count: int, fps: float, amount: float, rng: np.random.Generator, period: float = 3.0
) -> np.ndarray:
    """A slow random motion: four sines of random phase with periods around ``period``
    seconds; ``(count,)``, standard deviation ``amount``.
    """
    t = np.arange(count) / fps
    periods, phases = period * rng.uniform(0.5, 1.8, 4), rng.uniform(0, 2 * np.pi, 4)
    waves = [np.sin(2 * np.pi * t / p + phase) for p, phase in zip(periods, phases, strict=True)]
    return amount / np.sqrt(2) * sum(waves)


def blinks(count: int, fps: float, rng: np.random.Generator, gap: float = 2.6) -> np.ndarray:
    """Closure of the lids per frame, 0..1: fast down, short hold, slower up; about one
    blink per ``gap`` seconds.
    """
    t = (np.arange(count) + 0.5) / fps
    closed = np.zeros(count)
    time = rng.uniform(0.3, gap)
    while time < count / fps:
        elapsed = t - time
        opening_again = np.where(elapsed < 0.045, 1, 1 - (elapsed - 0.045) / 0.14)
        shape = np.where(elapsed < 0, 1 + elapsed / 0.07, opening_again)
        closed = np.maximum(closed, np.clip(shape, 0, 1))
        time += 0.5 + rng.exponential(gap - 0.5)
    return closed


@dataclass(frozen=True)
class TakeMotion:
    """How much the head moves: standard deviations of yaw, pitch, roll in degrees and
    of the position in units.
    """

    yaw: float = 2.6
    pitch: float = 1.6
    roll: float = 1.2
    shift: float = 1.4


class Performance:
    """Poses of face and head over a whole take.

    Args:
        actor: Who speaks.
        speech: The audio track.
        fps: Frame rate.
        motion: How much the head moves.
        seed, name: Of everything random in it.
    """

    FADE = 0.7  # seconds from one mood to the next

    def __init__(
        self, actor: Actor, speech: Speech, fps: float, motion: TakeMotion, seed: int, *name: object
    ) -> None:
        rng = rng_for(seed, "studio", "performance", *name)
        self.fps, self.speech = fps, speech
        self.track: MouthTrack = mouth_track(speech.samples, speech.rate, speech.events, fps)
        self.count = n = len(self.track.open)
        mirrored = bool(rng_for(seed, "studio", "side", actor.name).random() < 0.5)
        expressions = [EXPRESSIONS[line.emotion].times(line.strength) for _, line in speech.moods]
        self.expressions = [e.mirrored() if mirrored else e for e in expressions]
        starts = np.array([start for start, _ in speech.moods])
        t = (np.arange(n) + 0.5) / fps
        self.mood = np.searchsorted(starts, t, "right") - 1
        elapsed = t - starts[self.mood]
        self.share = np.where(self.mood > 0, np.clip(elapsed / self.FADE, 0, 1), 1.0)
        self.swell = np.clip(
            0.96 + wander(n, fps, 0.07, rng, 2.0) + 0.10 * (self.track.loud - 0.5), 0.75, 1.12
        )
        smoothed_loudness = [
            np.convolve(np.pad(self.track.loud, 6, "edge"), np.hanning(13) / 6, "valid")[:n]
        ][0]
        self.yaw = wander(n, fps, motion.yaw, rng)
        self.pitch = wander(n, fps, motion.pitch, rng) + 1.3 * (smoothed_loudness - 0.5)
        self.roll = wander(n, fps, motion.roll, rng)
        self.x = wander(n, fps, motion.shift, rng)
        self.y = wander(n, fps, motion.shift * 0.6, rng) - 0.8 * (smoothed_loudness - 0.5)
        self.zoom = wander(n, fps, 0.008, rng, 5.0)
        self.blink = blinks(n, fps, rng)
        gaze_targets = np.repeat(rng.normal(0, 0.75, (n // 9 + 2, 2)), 9, 0)[:n]
        self.gaze = gaze_targets * (rng.random(n // 9 + 2) < 0.6).repeat(9)[:n, None]
        self.articulation = [
            1 + (PROSODIES[line.emotion].articulation - 1) * line.strength for _, line in speech.moods
        ]

    def state(self, i: int) -> tuple[Pose, HeadPose, Expression, Expression, float]:
        """Poses of face and head, the two expressions between which the skin fades, and
        the share of the second.
        """
        mood, share = self.mood[i], float(self.share[i])
        expression = self.expressions[mood]
        previous = self.expressions[mood - 1] if mood > 0 else expression
        current = previous.mixed(expression, share * share * (3 - 2 * share)) if share < 1 else expression
        swell = float(self.swell[i])
        track = self.track
        actions = {name: getattr(current, name) * swell for name in SHARED}
        pose = Pose(**actions, rest_open=current.open * swell)
        pose.blink = float(self.blink[i])
        pose.gaze_x, pose.gaze_y = (float(v) for v in self.gaze[i])
        pose.open = min(float(track.open[i]) * self.articulation[mood], 1.15)
        pose.wide, pose.round = float(track.wide[i]), float(track.round[i])
        pose.close, pose.bite = float(track.close[i]), float(track.bite[i])
        pose.tongue = float(track.tongue[i])
        degrees = np.pi / 180
        head = HeadPose(
            yaw=(float(self.yaw[i]) + 6 * current.yaw) * degrees,
            pitch=(float(self.pitch[i]) + 6 * current.pitch) * degrees,
            roll=(float(self.roll[i]) + 6 * current.roll) * degrees, x=float(self.x[i]), y=float(self.y[i]),
            zoom=float(self.zoom[i]),
        )  # fmt: skip
        return pose, head, previous, expression, share

    def frames(self, shot: Shot, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Rendered frames ``(H, W, 3)`` RGB uint8 of part of the take; each is valid
        until the next.
        """
        for i in range(start, self.count if stop is None else stop):
            pose, head, previous, expression, share = self.state(i)
            layer = shot.layer(expression)
            if share < 1:
                layer = cv2.addWeighted(shot.layer(previous), 1 - share, layer, share, 0)
            yield shot.frame(layer, pose, head)
