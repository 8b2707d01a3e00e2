"""Films jobs: audio, frames, files. Runs in worker processes; a job's bytes depend on
the job alone.
"""

import json
import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from scipy.signal import resample_poly

from eadbench.core.files import atomic_path
from eadbench.core.seeds import rng_for
from eadbench.media.audio import write_m4a
from eadbench.media.video import VideoWriter
from eadbench.synthetic.canvas import Light
from eadbench.synthetic.cast import Actor, cast
from eadbench.synthetic.jobs import FilmJob, hdtf_cuts
from eadbench.synthetic.scene import Camera, Shot, backdrop
from eadbench.synthetic.take import Line, Performance, Speech, TakeMotion, record
from eadbench.synthetic.voice import Voices

AUDIO_RATE = 48000
BACKDROPS = {"mead": "paper", "ravdess": "white", "hdtf": "room"}
MOTIONS = {
    "mead": TakeMotion(),
    "ravdess": TakeMotion(yaw=1.8, pitch=1.6, roll=1.2, shift=1.2),
    "hdtf": TakeMotion(yaw=4.5, pitch=2.2, roll=1.8, shift=2.4),
}
# seconds
SILENCES = {
    "mead": {"lead": 0.2, "tail": 0.25},
    "ravdess": {"lead": 0.45, "tail": 0.5},
    "hdtf": {"lead": 0.2, "pause": 0.3},
}
LABEL = {"comment": "synthetic: drawn actor, synthesised voice"}


@lru_cache(maxsize=1)
def _voices() -> Voices:
    return Voices().__enter__()


def cameras(layout: str, actor: str, size: tuple[int, int], seed: int) -> list[Camera]:
    """The cameras of a speaker; HDTF-like videos have two, between which they cut."""
    width, height = size
    rng = rng_for(seed, "studio", "camera", layout, actor)
    if layout != "hdtf":
        scale = height / 256 * (0.98 if layout == "mead" else 0.92) * rng.uniform(0.97, 1.02)
        return [
            Camera(
                width,
                height,
                scale,
                width / 2 + rng.uniform(-3, 3) * scale,
                height * 0.51 + rng.uniform(-2, 2) * scale,
            )
        ]
    pixels_per_unit = height / 720
    first = rng.uniform(1.55, 1.7) * pixels_per_unit
    second = rng.uniform(1.3, 1.45) * pixels_per_unit
    return [
        Camera(width, height, first, width * rng.uniform(0.42, 0.58), height * rng.uniform(0.43, 0.47)),
        Camera(width, height, second, width * rng.uniform(0.35, 0.65), height * rng.uniform(0.42, 0.46)),
    ]


@lru_cache(maxsize=2)
def studio_shot(layout: str, actor: str, size: tuple[int, int], seed: int, number: int) -> Shot:
    """The set of a speaker: light, backdrop and camera ``number``; cached for the next
    take.
    """
    identity = cast(seed, layout, actor)
    rng = rng_for(seed, "studio", "set", layout, actor, number)
    light = Light(
        azimuth=rng.uniform(-45, 45), elevation=rng.uniform(22, 50), strength=rng.uniform(0.50, 0.62),
        warmth=rng.uniform(-0.8, 1.0),
        ambient=rng.uniform(0.52, 0.62),
    )  # fmt: skip
    camera = cameras(layout, actor, size, seed)[number]
    background = backdrop(camera, BACKDROPS[layout], rng)
    return Shot(identity, camera, light, background, rng_for(seed, "studio", "texture", layout, actor))


def film(folder: str, job: FilmJob) -> FilmJob:
    """Film one job into ``folder``; returns the job."""
    cv2.setNumThreads(1)
    identity = cast(job.seed, job.layout, job.actor)
    rng = rng_for(job.seed, "studio", "voice", job.key.replace("/02-", "/01-"))
    speech = record(_voices(), identity, [Line(*line) for line in job.lines], rng, **SILENCES[job.layout])
    if job.seconds:
        speech = _trimmed(speech, job.seconds)
    target = Path(folder) / job.key
    if job.audio:
        write_m4a(Path(folder) / job.audio, *_at_48k(speech))
    if job.layout == "hdtf":
        _write(target, job, speech, _edited(job, identity, speech))
    else:
        shot = studio_shot(job.layout, job.actor, job.size, job.seed, 0)
        performance = _performance(job, identity, speech)
        _write(target, job, speech, performance.frames(shot))
        shot.drop_layers()
    if job.fault == "broken":
        _truncate(target)
    return job


def _performance(job: FilmJob, identity: Actor, speech: Speech) -> Performance:
    return Performance(
        identity,
        speech,
        float(Fraction(job.fps)),
        MOTIONS[job.layout],
        job.seed,
        job.layout,
        job.key.replace("/02-", "/01-"),
    )


def _at_48k(speech: Speech) -> tuple[np.ndarray, int]:
    return resample_poly(speech.samples, AUDIO_RATE, speech.rate).astype(np.float32), AUDIO_RATE


def _write(target: Path, job: FilmJob, speech: Speech, frames: Iterator[np.ndarray]) -> None:
    samples, rate = _at_48k(speech) if job.layout == "ravdess" else (speech.samples, speech.rate)
    audio = samples if job.sound else None
    with VideoWriter(
        target, Fraction(job.fps), crf=job.crf, audio=audio, rate=rate, metadata=LABEL
    ) as writer:
        for frame in frames:
            # ten times as fast as the writer's own conversion
            writer.add(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420))


def _trimmed(speech: Speech, seconds: float) -> Speech:
    """Speech of exactly so many seconds; lines that do not fit end in a fade."""
    sample_count = round(seconds * speech.rate)
    samples = np.zeros(sample_count, np.float32)
    available = speech.samples[:sample_count]
    samples[: len(available)] = available
    fade = round(0.02 * speech.rate)
    if len(available) == sample_count:
        samples[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    events = [(t, name) for t, name in speech.events if t < seconds]
    return Speech(samples, speech.rate, events, [(t, line) for t, line in speech.moods if t < seconds])


def _edited(job: FilmJob, identity: Actor, speech: Speech) -> Iterator[np.ndarray]:
    """Frames of a web video: title card, first camera, cut to the second, a slide,
    first camera again.
    """
    fps = Fraction(job.fps)
    performance = _performance(job, identity, speech)
    rng = rng_for(job.seed, "studio", "cards", job.key)
    cuts = {name: round(seconds * fps) for name, seconds in hdtf_cuts(job.seconds).items()}
    camera = cameras(job.layout, job.actor, job.size, job.seed)[0]
    if job.fault == "faceless":
        for start in range(0, performance.count, round(3 * fps)):
            yield from _slide(camera, rng, min(round(3 * fps), performance.count - start))
        return
    first, second = (studio_shot(job.layout, job.actor, job.size, job.seed, number) for number in (0, 1))
    yield from _slide(camera, rng, cuts["card"])
    yield from performance.frames(first, cuts["card"], cuts["second"])
    yield from performance.frames(second, cuts["second"], cuts["slide"])
    yield from _slide(camera, rng, cuts["after"] - cuts["slide"])
    yield from performance.frames(first, cuts["after"], cuts["end"])
    yield from _slide(camera, rng, performance.count - cuts["end"])


def _slide(camera: Camera, rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """A chart that grows: moving frames without a face."""
    if count <= 0:
        return
    background = backdrop(camera, "paper", rng)
    h, w = background.shape[:2]
    heights, colour = rng.uniform(0.2, 0.7, 6), rng.integers(40, 220, (6, 3))
    for i in range(count):
        image = background.copy()
        for k, (share, c) in enumerate(zip(heights, colour, strict=True)):
            x0 = round((0.12 + 0.13 * k) * w)
            bar_height = share * h * min(1, 0.4 + (i + 1) / count)
            cv2.rectangle(
                image,
                (x0, round(0.86 * h - bar_height)),
                (x0 + round(0.09 * w), round(0.86 * h)),
                tuple(map(int, c)),
                -1,
            )
        cv2.line(
            image, (round(0.08 * w), round(0.86 * h)), (round(0.94 * w), round(0.86 * h)), (30, 30, 30), 3
        )
        yield image


def _truncate(path: Path) -> None:
    """What an interrupted download leaves of a file whose index is at its end: part of
    the media data and no index.
    """
    data = path.read_bytes()
    boxes, offset = [], 0
    while offset + 8 <= len(data):
        box_size, box_type = struct.unpack(">I4s", data[offset : offset + 8])
        if box_type != b"moov":
            boxes.append(data[offset : offset + box_size])
        offset += max(box_size, 8)
    remaining = b"".join(boxes)
    with atomic_path(path) as part:
        part.write_bytes(remaining[: int(0.6 * len(remaining))])


def cast_facts(seed: int, layout: str, actor: str) -> dict:
    """Description of an actor, for ``studio.json``."""
    identity = cast(seed, layout, actor)
    names = ("sex", "hair", "beard", "clothes", "voice")
    return {name: getattr(identity, name) for name in names} | {
        "skin": [round(v) for v in identity.skin],
        "age": round(identity.age, 2),
    }


def as_json(job: FilmJob) -> str:
    """Canonical text of a job, for its fingerprint."""
    return json.dumps(job.facts(), sort_keys=True)
