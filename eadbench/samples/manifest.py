"""Jobs: which test clips a method renders, with whose audio, reference and emotion. The
same for every method.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.protocols import DIAL, protocol_of
from eadbench.core.schemas import ClipsRow
from eadbench.core.seeds import seed_for
from eadbench.core.tables import KEPT, read_rows
from eadbench.media.audio import read_audio
from eadbench.samples.config import SamplesConfig

FPS, RATE = 25, 16000
SAMPLES_PER_FRAME = RATE // FPS


@dataclass(frozen=True)
class RenderJob:
    """One clip to render. All paths are absolute.

    Attributes:
        clip_id, corpus, speaker, protocol: What it is.
        video: Aligned frames of the clip whose face is shown, ``size`` square at
            ``fps``.
        track: Its npz with the way back to the source, and landmarks.
        source: The original video; the clip is its stretch ``source_start..source_end``
            in seconds.
        audio: 16 kHz mono wav that drives; null: silence.
        driving_clip: Clip that the audio is of; null: silence.
        reference_clip, reference_video: Another clip of the speaker where there is one
            (else the clip itself), for the identity.
        other_clip, other_audio: A clip with other words, for the shuffled control.
        emotion, intensity: Emotion asked for, in the common vocabulary; null when
            unlabelled.
        emotion_clip: Clip that shows that emotion (``target`` captions are of it).
        caption_clip: Clip that ``other_clip`` captions are of: a training clip with the
            same label; for unlabelled clips the reference; null when there is none.
        speaker_clip: Clip that ``same_speaker`` captions are of: another one of this
            speaker with the same label; null when there is none.
        frames: Frames wanted: the shorter of video and audio.
        impossible: Why the protocol cannot be had for this clip; empty if it can.
    """

    clip_id: str
    corpus: str
    speaker: str | None
    protocol: str
    video: Path
    track: Path
    source: Path | None
    source_start: float
    source_end: float
    audio: Path | None
    driving_clip: str | None
    reference_clip: str
    reference_video: Path
    other_clip: str | None
    other_audio: Path | None
    emotion: str | None
    intensity: float | None
    emotion_clip: str | None
    caption_clip: str | None
    speaker_clip: str | None
    frames: int
    size: int
    fps: float = float(FPS)
    impossible: str = ""

    def as_strings(self) -> dict[str, str]:
        """All fields as text, for manifests and templates; null is empty."""
        return {k: "" if v is None else str(v) for k, v in asdict(self).items() if k != "impossible"}

    def sound(self) -> np.ndarray:
        """What drives, ``(frames * 640,)`` float32 at 16 kHz; a last stretch that the
        file lacks is left out.

        Raises:
            EadbenchError: If it cannot be read.
        """
        wanted = self.frames * SAMPLES_PER_FRAME
        return np.zeros(wanted, np.float32) if self.audio is None else read_audio(self.audio)[:wanted]

    def facts(self) -> dict[str, Any]:
        """All fields but the paths, which change when results are moved; what lies
        there counts by its content.
        """
        return {k: v for k, v in asdict(self).items() if not isinstance(v, Path)}


def build_jobs(
    clips_table: Path, corpus: str, protocol: str, config: SamplesConfig, seed: int
) -> list[RenderJob]:
    """The jobs of a corpus under a protocol, ordered by clip id.

    Args:
        clips_table: ``schemas.CLIPS``.
        corpus: Its name.
        protocol: One of ``core.protocols.CELLS``.
        config: Which split, how many clips, how long.
        seed: Seed of the config; ties are broken by it and the clip ids, so that a
            clip's pairing does not hang on the order of rows.

    Raises:
        EadbenchError: If the split has no kept clip.
    """
    kept, pool, chosen = chosen_clips(clips_table, config, seed)
    if not pool:
        raise EadbenchError(
            f"no kept clip in split {config.split!r}",
            clips_table,
            "see `status` and `reason` there, or `split:` of the corpus in the config",
        )
    return [_job(clip, pool, kept, corpus, protocol, config, seed) for clip in chosen]


def chosen_clips(
    clips_table: Path, config: SamplesConfig, seed: int
) -> tuple[list[ClipsRow], list[ClipsRow], Sequence[ClipsRow]]:
    """All kept clips of a table, those of the split, and of these the ones that are
    rendered; each ordered by clip id.
    """
    kept = [clip for clip in read_rows(clips_table, schemas.CLIPS) if clip.status == KEPT]
    kept.sort(key=attrgetter("clip_id"))
    pool = [clip for clip in kept if clip.split == config.split]
    return kept, pool, choose(pool, config.max_clips, seed)


def choose(pool: Sequence[Any], limit: int | None, seed: int) -> Sequence[Any]:
    """At most ``limit`` clips (anything with ``clip_id``, ``emotion`` and ``speaker``),
    spread over emotions and speakers: each next one is of the emotion, then the
    speaker, least chosen so far.
    """
    if limit is None or len(pool) <= limit:
        return pool
    left = sorted(range(len(pool)), key=lambda i: seed_for(seed, "samples", "choose", pool[i].clip_id))
    emotions, speakers = [clip.emotion or "" for clip in pool], [clip.speaker or "" for clip in pool]
    count: dict[tuple[str, str], int] = {}
    taken: list[int] = []
    while len(taken) < limit:
        best = min(left, key=lambda i: (count.get(("e", emotions[i]), 0), count.get(("s", speakers[i]), 0)))
        left.remove(best)
        taken.append(best)
        for key in (("e", emotions[best]), ("s", speakers[best])):
            count[key] = count.get(key, 0) + 1
    return [pool[i] for i in sorted(taken)]


def _job(
    clip: ClipsRow,
    pool: Sequence[ClipsRow],
    kept: Sequence[ClipsRow],
    corpus: str,
    protocol: str,
    config: SamplesConfig,
    seed: int,
) -> RenderJob:
    others = [other for other in pool if other.clip_id != clip.clip_id]
    other_words = [other for other in others if other.sentence is None or other.sentence != clip.sentence]
    # a corpus of one sentence: then another rendition of it
    other_words = other_words or others
    named = protocol_of(protocol)  # one dial has the same pairs at all its intensities
    pick = partial(_pick, clip=clip, seed=seed, protocol=named)
    shuffled = pick(other_words, wishes=("speaker", "emotion"))
    driving, emotional = clip, clip
    if protocol == "cross":
        driving = pick(other_words, wishes=("emotion", "sex"))
    elif named in ("cross_emotion", "dial"):
        labelled = [other for other in others if other.emotion not in (None, clip.emotion, "neutral")]
        emotional = pick(labelled, wishes=("speaker", "sex"))
        driving = clip if named == "dial" and emotional is not None else emotional
    impossible = ""
    if driving is None:
        what = "other words" if protocol == "cross" else "another emotion"
        impossible = f"no other clip with {what} to drive it with"
        driving = emotional = clip
    reference = pick(
        [other for other in others if _same(other.speaker, clip.speaker)], wishes=("~emotion", "~sentence")
    )
    reference = reference or clip
    alike = [other for other in kept if _same(other.emotion, emotional.emotion)]
    pick_alike = partial(_pick, clip=emotional, seed=seed, protocol=named)
    caption = pick_alike([other for other in alike if other.split == "train"], wishes=("intensity", "sex"))
    if emotional.emotion is None and reference is not clip:
        caption = reference  # no label to go by: how the speaker looks elsewhere
    own = pick_alike(
        [
            other
            for other in alike
            if _same(other.speaker, clip.speaker) and other.clip_id not in (clip.clip_id, emotional.clip_id)
        ],
        wishes=("intensity", "~sentence"),
    )
    audio = None if protocol == "silent" else seals.checked(driving.audio)
    return RenderJob(
        clip_id=clip.clip_id,
        corpus=corpus,
        speaker=clip.speaker,
        protocol=protocol,
        video=seals.checked(clip.video),
        track=seals.checked(clip.track),
        source=clip.source and seals.checked(clip.source),
        source_start=clip.source_start,
        source_end=clip.source_end,
        audio=audio,
        driving_clip=None if protocol == "silent" else driving.clip_id,
        reference_clip=reference.clip_id,
        reference_video=seals.checked(reference.video),
        other_clip=shuffled and shuffled.clip_id,
        other_audio=shuffled and seals.checked(shuffled.audio),
        emotion=emotional.emotion,
        intensity=DIAL.get(protocol, emotional.intensity),
        emotion_clip=emotional.clip_id,
        caption_clip=caption and caption.clip_id,
        speaker_clip=own and own.clip_id,
        frames=wanted_frames(clip.frames, audio, config.max_seconds),
        size=clip.size,
        fps=clip.fps,
        impossible=impossible,
    )


def wanted_frames(video_frames: int, audio: Path | None, max_seconds: float | None) -> int:
    """The rule for lengths: the shorter of video and audio (whole frames), and not more
    than ``max_seconds``. Silence is as long as the video.
    """
    if audio is None:
        return video_frames if max_seconds is None else min(video_frames, int(max_seconds * FPS))
    try:
        info = soundfile.info(str(audio))
    except (
        RuntimeError,
        OSError,
    ):  # a damaged wav costs its clip when the clip is rendered, not the manifest
        return video_frames
    frames = min(video_frames, info.frames * FPS // info.samplerate)
    return frames if max_seconds is None else min(frames, int(max_seconds * FPS))


def _same(one: str | None, other: str | None) -> bool:
    """Whether both are known, and equal."""
    return one is not None and one == other


def _pick(
    clips: Sequence[ClipsRow], clip: ClipsRow, seed: int, protocol: str, wishes: tuple[str, ...]
) -> ClipsRow | None:
    """The one that fulfils the wishes best, the first wish weighing most: ``"sex"``
    equal to that of ``clip``, ``"~sex"`` different. Ties by a hash of both ids.
    """

    def fulfilled(other: ClipsRow) -> list[bool]:
        return [
            _same(getattr(other, wish.lstrip("~")), getattr(clip, wish.lstrip("~"))) != wish.startswith("~")
            for wish in wishes
        ]

    most = max(map(fulfilled, clips), default=None)
    best = [other for other in clips if fulfilled(other) == most]
    return min(
        best, key=lambda other: seed_for(seed, "samples", protocol, clip.clip_id, other.clip_id), default=None
    )
