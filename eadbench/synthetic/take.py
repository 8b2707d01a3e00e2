"""One take: an actor says something in a mood; sound and frames that belong together."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import cv2
import numpy as np

from eadbench.core.seeds import rng_for
from eadbench.synthetic.acting import EXPRESSIONS, PROSODIES, Expression
from eadbench.synthetic.cast import Actor
from eadbench.synthetic.features import Pose
from eadbench.synthetic.scene import Shot, Turn
from eadbench.synthetic.visemes import MouthTrack, mouth_track
from eadbench.synthetic.voice import Utterance, Voices

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
    """A whole sound track: samples, rate, phoneme events, and from when each line's
    mood holds.
    """

    samples: np.ndarray
    rate: int
    events: list[tuple[float, str]]
    moods: list[tuple[float, Line]]


def speak(voices: Voices, actor: Actor, line: Line, rng: np.random.Generator) -> Utterance:
    """Say one line: prosody by emotion and strength, a little different each time."""
    p, k = PROSODIES[line.emotion], line.strength
    rate = actor.rate + p.rate * k + rng.normal(0, 3)
    said = voices.speak(
        line.text, actor.voice, rate, actor.pitch + p.pitch * k + rng.normal(0, 1.5), 50 + p.range * k
    )
    loud = 10 ** (p.gain * k / 20) * 0.55
    samples = said.samples * loud
    return Utterance(np.tanh(samples * 1.2) / 1.2, said.rate, said.events)


def record(
    voices: Voices,
    actor: Actor,
    lines: list[Line],
    rng: np.random.Generator,
    lead: float = 0.2,
    pause: float = 0.45,
    tail: float = 0.25,
) -> Speech:
    """Say lines one after the other with pauses, in a room that is never quite silent."""
    pieces, events, moods, at, rate = [], [], [], 0.0, 22050
    for number, line in enumerate(lines):
        said = speak(voices, actor, line, rng)
        rate = said.rate
        gap = round((lead if number == 0 else pause * rng.uniform(0.7, 1.4)) * rate)
        moods.append((at, line))
        events.append((at, "_"))
        at += gap / rate
        events += [(at + t, name) for t, name in said.events]
        pieces += [np.zeros(gap, np.float32), said.samples]
        at += said.seconds
    events.append((at, "_"))
    pieces.append(np.zeros(round(tail * rate), np.float32))
    samples = np.concatenate(pieces)
    samples = samples + rng.normal(0, 6e-4, len(samples))
    return Speech(np.clip(samples, -0.98, 0.98).astype(np.float32), rate, events, moods)


def wander(
    count: int, fps: float, amount: float, rng: np.random.Generator, period: float = 3.0
) -> np.ndarray:
    """A slow aimless motion: four sines of random phase with periods around ``period``
    seconds; ``(count,)``, deviation ``amount``.
    """
    t = np.arange(count) / fps
    periods, phases = period * rng.uniform(0.5, 1.8, 4), rng.uniform(0, 2 * np.pi, 4)
    return (
        amount / np.sqrt(2) * sum(np.sin(2 * np.pi * t / p + f) for p, f in zip(periods, phases, strict=True))
    )


def blinks(count: int, fps: float, rng: np.random.Generator, gap: float = 2.6) -> np.ndarray:
    """Closure of the lids per frame, 0..1: fast down, short hold, slower up; about one
    blink per ``gap`` seconds.
    """
    t = (np.arange(count) + 0.5) / fps
    closed = np.zeros(count)
    at = rng.uniform(0.3, gap)
    while at < count / fps:
        since = t - at
        shape = np.where(since < 0, 1 + since / 0.07, np.where(since < 0.045, 1, 1 - (since - 0.045) / 0.14))
        closed = np.maximum(closed, np.clip(shape, 0, 1))
        at += 0.5 + rng.exponential(gap - 0.5)
    return closed


@dataclass(frozen=True)
class TakeMotion:
    """How lively the head is: deviations of yaw, pitch, roll in degrees and of the
    place in units.
    """

    yaw: float = 2.6
    pitch: float = 1.6
    roll: float = 1.2
    shift: float = 1.4


class Performance:
    """Poses and turns of a whole take.

    Args:
        actor: Who.
        speech: What is heard.
        fps: Frame rate.
        motion: How lively.
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
        starts = np.array([at for at, _ in speech.moods])
        t = (np.arange(n) + 0.5) / fps
        self.mood = np.searchsorted(starts, t, "right") - 1
        since = t - starts[self.mood]
        self.share = np.where(self.mood > 0, np.clip(since / self.FADE, 0, 1), 1.0)
        self.swell = np.clip(
            0.96 + wander(n, fps, 0.07, rng, 2.0) + 0.10 * (self.track.loud - 0.5), 0.75, 1.12
        )
        drift = [np.convolve(np.pad(self.track.loud, 6, "edge"), np.hanning(13) / 6, "valid")[:n]][0]
        self.yaw = wander(n, fps, motion.yaw, rng)
        self.pitch = wander(n, fps, motion.pitch, rng) + 1.3 * (drift - 0.5)
        self.roll = wander(n, fps, motion.roll, rng)
        self.x, self.y = (
            wander(n, fps, motion.shift, rng),
            wander(n, fps, motion.shift * 0.6, rng) - 0.8 * (drift - 0.5),
        )
        self.zoom = wander(n, fps, 0.008, rng, 5.0)
        self.blink = blinks(n, fps, rng)
        hold = np.repeat(rng.normal(0, 0.75, (n // 9 + 2, 2)), 9, 0)[:n]
        self.gaze = hold * (rng.random(n // 9 + 2) < 0.6).repeat(9)[:n, None]
        self.articulation = [
            1 + (PROSODIES[line.emotion].articulation - 1) * line.strength for _, line in speech.moods
        ]

    def state(self, i: int) -> tuple[Pose, Turn, Expression, Expression, float]:
        """Pose, turn, the two expressions between which the skin fades, and the share
        of the second.
        """
        m, share = self.mood[i], float(self.share[i])
        here = self.expressions[m]
        before = self.expressions[m - 1] if m > 0 else here
        now = before.mixed(here, share * share * (3 - 2 * share)) if share < 1 else here
        swell = float(self.swell[i])
        k = self.track
        pose = Pose(**{name: getattr(now, name) * swell for name in SHARED}, rest_open=now.open * swell)
        pose.blink = float(self.blink[i])
        pose.gaze_x, pose.gaze_y = (float(v) for v in self.gaze[i])
        pose.open = min(float(k.open[i]) * self.articulation[m], 1.15)
        pose.wide, pose.round = float(k.wide[i]), float(k.round[i])
        pose.close, pose.bite, pose.tongue = float(k.close[i]), float(k.bite[i]), float(k.tongue[i])
        degrees = np.pi / 180
        turn = Turn(
            yaw=(float(self.yaw[i]) + 6 * now.yaw) * degrees,
            pitch=(float(self.pitch[i]) + 6 * now.pitch) * degrees,
            roll=(float(self.roll[i]) + 6 * now.roll) * degrees, x=float(self.x[i]), y=float(self.y[i]),
            zoom=float(self.zoom[i]),
        )  # fmt: skip
        return pose, turn, before, here, share

    def frames(self, shot: Shot, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Rendered frames ``(H, W, 3)`` RGB uint8 of part of the take; each is valid
        until the next.
        """
        for i in range(start, self.count if stop is None else stop):
            pose, turn, before, here, share = self.state(i)
            layer = shot.layer(here)
            if share < 1:
                layer = cv2.addWeighted(shot.layer(before), 1 - share, layer, share, 0)
            yield shot.frame(layer, pose, turn)
