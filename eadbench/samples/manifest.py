"""Jobs: which test clips a method renders, with which audio, reference and emotion. The
same for every method.
"""

from collections import Counter
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
        emotion, intensity: Target emotion, in the common vocabulary; null when
            unlabelled.
        emotion_clip: Clip that shows that emotion (``target`` captions are of it).
        caption_clip: Clip that ``other_clip`` captions are of: a training clip with the
            same label; for unlabelled clips the reference; null when there is none.
        speaker_clip: Clip that ``same_speaker`` captions are of: another one of this
            speaker with the same label; null when there is none.
        frames: Frames to render: the shorter of video and audio.
        impossible: Why the protocol is impossible for this clip; empty if it is not.
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
        fields = {name: value for name, value in asdict(self).items() if name != "impossible"}
        return {name: "" if value is None else str(value) for name, value in fields.items()}

    def driving_audio(self) -> np.ndarray:
        """The driving audio, ``(frames * 640,)`` float32 at 16 kHz, or shorter where the
        file is.

        Raises:
            EadbenchError: If it cannot be read.
        """
        length = self.frames * SAMPLES_PER_FRAME
        return np.zeros(length, np.float32) if self.audio is None else read_audio(self.audio)[:length]

    def facts(self) -> dict[str, Any]:
        """All fields but the paths, which change when results are moved; files count by
        their content.
        """
        return {name: value for name, value in asdict(self).items() if not isinstance(value, Path)}


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
            clip's pairing does not depend on the order of rows.

    Raises:
        EadbenchError: If the split has no kept clip.
    """
    kept_clips, pool, chosen = chosen_clips(clips_table, config, seed)
    if not pool:
        raise EadbenchError(
            f"no kept clip in split {config.split!r}",
            clips_table,
            "see `status` and `reason` there, or `split:` of the corpus in the config",
        )
    return [_job(clip, pool, kept_clips, corpus, protocol, config, seed) for clip in chosen]


def chosen_clips(
    clips_table: Path, config: SamplesConfig, seed: int
) -> tuple[list[ClipsRow], list[ClipsRow], Sequence[ClipsRow]]:
    """All kept clips of a table, those of the split, and of these the ones that are
    rendered; each ordered by clip id.
    """
    kept_clips = [clip for clip in read_rows(clips_table, schemas.CLIPS) if clip.status == KEPT]
    kept_clips.sort(key=attrgetter("clip_id"))
    pool = [clip for clip in kept_clips if clip.split == config.split]
    return kept_clips, pool, choose(pool, config.max_clips, seed)


def choose(pool: Sequence[Any], limit: int | None, seed: int) -> Sequence[Any]:
    """At most ``limit`` clips (anything with ``clip_id``, ``emotion`` and ``speaker``),
    spread over emotions and speakers: the next one is always of the emotion, then the
    speaker, least chosen so far.
    """
    if limit is None or len(pool) <= limit:
        return pool
    remaining = sorted(range(len(pool)), key=lambda i: seed_for(seed, "samples", "choose", pool[i].clip_id))
    emotion_counts: Counter[str] = Counter()
    speaker_counts: Counter[str] = Counter()
    chosen: list[int] = []

    def times_chosen(i: int) -> tuple[int, int]:
        return emotion_counts[pool[i].emotion or ""], speaker_counts[pool[i].speaker or ""]

    while len(chosen) < limit:
        best = min(remaining, key=times_chosen)
        remaining.remove(best)
        chosen.append(best)
        emotion_counts[pool[best].emotion or ""] += 1
        speaker_counts[pool[best].speaker or ""] += 1
    return [pool[i] for i in sorted(chosen)]


def _job(
    clip: ClipsRow,
    pool: Sequence[ClipsRow],
    kept_clips: Sequence[ClipsRow],
    corpus: str,
    protocol: str,
    config: SamplesConfig,
    seed: int,
) -> RenderJob:
    others = [other for other in pool if other.clip_id != clip.clip_id]
    other_words = [other for other in others if other.sentence is None or other.sentence != clip.sentence]
    # a corpus of one sentence: another take of it
    other_words = other_words or others
    base_protocol = protocol_of(protocol)  # a dial has the same pairs at all its intensities
    pick = partial(_pick, clip=clip, seed=seed, protocol=base_protocol)
    shuffled = pick(other_words, preferences=("speaker", "emotion"))
    driving, emotion_clip = clip, clip
    if protocol == "cross":
        driving = pick(other_words, preferences=("emotion", "sex"))
    elif base_protocol in ("cross_emotion", "dial"):
        labelled = [other for other in others if other.emotion not in (None, clip.emotion, "neutral")]
        emotion_clip = pick(labelled, preferences=("speaker", "sex"))
        driving = clip if base_protocol == "dial" and emotion_clip is not None else emotion_clip
    impossible = ""
    if driving is None:
        what = "other words" if protocol == "cross" else "another emotion"
        impossible = f"no other clip with {what} to drive it with"
        driving = emotion_clip = clip
    of_speaker = [other for other in others if _same(other.speaker, clip.speaker)]
    reference = pick(of_speaker, preferences=("~emotion", "~sentence")) or clip
    same_emotion = [other for other in kept_clips if _same(other.emotion, emotion_clip.emotion)]
    pick_same_emotion = partial(_pick, clip=emotion_clip, seed=seed, protocol=base_protocol)
    training = [other for other in same_emotion if other.split == "train"]
    caption = pick_same_emotion(training, preferences=("intensity", "sex"))
    if emotion_clip.emotion is None and reference is not clip:
        caption = reference  # unlabelled: the speaker in another clip
    used_ids = (clip.clip_id, emotion_clip.clip_id)
    candidates = [
        other
        for other in same_emotion
        if _same(other.speaker, clip.speaker) and other.clip_id not in used_ids
    ]
    same_speaker = pick_same_emotion(candidates, preferences=("intensity", "~sentence"))
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
        emotion=emotion_clip.emotion,
        intensity=DIAL.get(protocol, emotion_clip.intensity),
        emotion_clip=emotion_clip.clip_id,
        caption_clip=caption and caption.clip_id,
        speaker_clip=same_speaker and same_speaker.clip_id,
        frames=frames_to_render(clip.frames, audio, config.max_seconds),
        size=clip.size,
        fps=clip.fps,
        impossible=impossible,
    )


def frames_to_render(video_frames: int, audio: Path | None, max_seconds: float | None) -> int:
    """The rule for lengths: the shorter of video and audio (whole frames), and not more
    than ``max_seconds``. Silence is as long as the video.
    """
    if audio is None:
        return video_frames if max_seconds is None else min(video_frames, int(max_seconds * FPS))
    try:
        info = soundfile.info(str(audio))
    except (RuntimeError, OSError):
        # a damaged wav fails its own clip when that is rendered, not the manifest
        return video_frames
    frames = min(video_frames, info.frames * FPS // info.samplerate)
    return frames if max_seconds is None else min(frames, int(max_seconds * FPS))


def _same(first: str | None, second: str | None) -> bool:
    """Whether both are known, and equal."""
    return first is not None and first == second


def _pick(
    clips: Sequence[ClipsRow], clip: ClipsRow, seed: int, protocol: str, preferences: tuple[str, ...]
) -> ClipsRow | None:
    """The clip that meets the preferences best, the first one weighing most: ``"sex"``
    equal to that of ``clip``, ``"~sex"`` different. Ties by a hash of both ids.
    """

    def met(other: ClipsRow) -> list[bool]:
        results = []
        for preference in preferences:
            column = preference.removeprefix("~")
            same = _same(getattr(other, column), getattr(clip, column))
            results.append(same != preference.startswith("~"))
        return results

    def tie_break(other: ClipsRow) -> int:
        return seed_for(seed, "samples", protocol, clip.clip_id, other.clip_id)

    best = max(map(met, clips), default=None)
    return min((other for other in clips if met(other) == best), key=tie_break, default=None)
