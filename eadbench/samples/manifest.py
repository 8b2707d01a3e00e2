"""Jobs: which test clips a method renders, with whose audio, reference and emotion. The
same for every method.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.seeds import seed_for
from eadbench.core.tables import KEPT, read_table, resolve
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
        audio: 16 kHz mono wav that drives.
        driving_clip: Clip that the audio is of.
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
    audio: Path
    driving_clip: str
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
        protocol: ``self``, ``cross`` or ``cross_emotion``.
        config: Which split, how many clips, how long.
        seed: Seed of the config; ties are broken by it and the clip ids, so that a
            clip's pairing does not hang on the order of rows.

    Raises:
        EadbenchError: If the split has no kept clip.
    """
    table = read_table(clips_table, schemas.CLIPS)
    kept = table[table["status"] == KEPT].sort_values("clip_id").reset_index(drop=True)
    pool = kept[kept["split"] == config.split].reset_index(drop=True)
    if pool.empty:
        raise EadbenchError(
            f"no kept clip in split {config.split!r}",
            clips_table,
            "see `status` and `reason` there, or `clips: splits` in the config",
        )
    chosen = choose(pool, config.max_clips, seed)
    return [
        _job(row, pool, kept, Path(clips_table), corpus, protocol, config, seed)
        for _, row in chosen.iterrows()
    ]


def choose(pool: pd.DataFrame, limit: int | None, seed: int) -> pd.DataFrame:
    """At most ``limit`` clips, spread over emotions and speakers: each next one is of
    the emotion, then the speaker, least chosen so far.
    """
    if limit is None or len(pool) <= limit:
        return pool
    left = sorted(range(len(pool)), key=lambda i: seed_for(seed, "samples", "choose", pool.at[i, "clip_id"]))
    emotions, speakers = pool["emotion"].fillna("").tolist(), pool["speaker"].fillna("").tolist()
    count: dict[tuple[str, str], int] = {}
    taken: list[int] = []
    while len(taken) < limit:
        best = min(left, key=lambda i: (count.get(("e", emotions[i]), 0), count.get(("s", speakers[i]), 0)))
        left.remove(best)
        taken.append(best)
        for key in (("e", emotions[best]), ("s", speakers[best])):
            count[key] = count.get(key, 0) + 1
    return pool.iloc[sorted(taken)]


def _job(
    row: pd.Series,
    pool: pd.DataFrame,
    kept: pd.DataFrame,
    table: Path,
    corpus: str,
    protocol: str,
    config: SamplesConfig,
    seed: int,
) -> RenderJob:
    clip_id = row["clip_id"]
    others = pool[pool["clip_id"] != clip_id]
    other_words = others[(others["sentence"] != row["sentence"]) | others["sentence"].isna()]
    # a corpus of one sentence: then another rendition of it
    other_words = other_words if len(other_words) else others
    pick = partial(_pick, row=row, seed=seed, protocol=protocol)
    shuffled = pick(other_words, wishes=("speaker", "emotion"))
    driving, emotion_row = row, row
    if protocol == "cross":
        driving = pick(other_words, wishes=("emotion", "sex"))
    elif protocol == "cross_emotion":
        labelled = others[
            others["emotion"].notna()
            & (others["emotion"] != row["emotion"])
            & (others["emotion"] != "neutral")
        ]
        driving = emotion_row = pick(labelled, wishes=("speaker", "sex"))
    impossible = ""
    if driving is None:
        what = "other words" if protocol == "cross" else "another emotion"
        impossible = f"no other clip with {what} to drive it with"
        driving = emotion_row = row
    reference = pick(others[others["speaker"] == row["speaker"]], wishes=("~emotion", "~sentence"))
    reference = row if reference is None else reference
    same_label = kept[(kept["split"] == "train") & (kept["emotion"] == emotion_row["emotion"])]
    caption = _pick(same_label, emotion_row, seed, protocol, ("intensity", "sex"))
    if _or_none(emotion_row["emotion"]) is None and reference is not row:
        caption = reference  # no label to go by: how the speaker looks elsewhere
    path = partial(_path, table)
    audio = path(driving["audio"])
    speaks = (kept["speaker"] == row["speaker"]) & (kept["emotion"] == emotion_row["emotion"])
    own = _pick(
        kept[speaks & ~kept["clip_id"].isin([clip_id, emotion_row["clip_id"]])],
        emotion_row,
        seed,
        protocol,
        ("intensity", "~sentence"),
    )
    return RenderJob(
        clip_id=clip_id,
        corpus=corpus,
        speaker=_or_none(row["speaker"]),
        protocol=protocol,
        video=path(row["video"]),
        track=path(row["track"]),
        source=path(row["source"]),
        source_start=float(row["source_start"]),
        source_end=float(row["source_end"]),
        audio=audio,
        driving_clip=driving["clip_id"],
        reference_clip=reference["clip_id"],
        reference_video=path(reference["video"]),
        other_clip=None if shuffled is None else shuffled["clip_id"],
        other_audio=None if shuffled is None else path(shuffled["audio"]),
        emotion=_or_none(emotion_row["emotion"]),
        intensity=_or_none(emotion_row["intensity"]),
        emotion_clip=emotion_row["clip_id"],
        caption_clip=None if caption is None else caption["clip_id"],
        speaker_clip=None if own is None else own["clip_id"],
        frames=wanted_frames(int(row["frames"]), audio, config.max_seconds),
        size=int(row["size"]),
        fps=float(row["fps"]),
        impossible=impossible,
    )


def wanted_frames(video_frames: int, audio: Path, max_seconds: float | None) -> int:
    """The rule for lengths: the shorter of video and audio (whole frames), and not more
    than ``max_seconds``.
    """
    try:
        info = soundfile.info(str(audio))
    except (
        RuntimeError,
        OSError,
    ):  # a damaged wav costs its clip when the clip is rendered, not the manifest
        return video_frames
    frames = min(video_frames, info.frames * FPS // info.samplerate)
    return frames if max_seconds is None else min(frames, int(max_seconds * FPS))


def _path(table: Path, value: object) -> Path | None:
    return resolve(table, value) if isinstance(value, str) and value else None


def _pick(
    frame: pd.DataFrame, row: pd.Series, seed: int, protocol: str, wishes: tuple[str, ...]
) -> pd.Series | None:
    """The row that fulfils the wishes best, the first wish weighing most: ``"sex"``
    equal, ``"~sex"`` different. Ties by a hash of both ids.
    """
    if frame.empty:
        return None
    score = np.zeros(len(frame), int)
    for wish in wishes:
        column = wish.lstrip("~")
        equal = (frame[column] == row[column]).fillna(False).to_numpy(bool)
        score = 2 * score + (~equal if wish.startswith("~") else equal)
    best = frame[score == score.max()]
    return min(
        (r for _, r in best.iterrows()),
        key=lambda r: seed_for(seed, "samples", protocol, row["clip_id"], r["clip_id"]),
    )


def _or_none(value: object) -> object:
    return None if pd.isna(value) else value
