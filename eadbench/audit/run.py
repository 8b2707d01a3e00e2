"""Distort clips, score every level, and write the tables and the page."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from eadbench.audit.config import AuditConfig
from eadbench.audit.distortions import REGISTRY, Footage, level_names, level_of
from eadbench.core import provenance, schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.core.seeds import rng_for
from eadbench.core.tables import KEPT, read_rows
from eadbench.media.audio import RATE, read_audio
from eadbench.media.faces import FaceMesh
from eadbench.media.files import VIDEO
from eadbench.media.video import read_frames, write_video
from eadbench.samples.manifest import choose
from eadbench.score.folders import files_by_name
from eadbench.score.labels import Labels
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import Evaluators
from eadbench.scores.landmarks import mesh_of
from eadbench.scores.measure import measure_cell
from eadbench.scores.summarise import SummaryCell, write_summary
from eadbench.scores.task import ScoreTask
from eadbench.scores.workers import Workers

log = logging.getLogger(__name__)
ZERO = "zero"
CRF = 12  # of all videos that are scored, the undistorted ones included


@dataclass(frozen=True)
class SourceClip:
    """A clip to distort."""

    clip_id: str
    video: Path
    audio: Path | None = None
    speaker: str | None = None
    emotion: str | None = None


def clips_of_table(path: Path, config: AuditConfig) -> list[SourceClip]:
    """Clips of a corpus's ``clips.parquet`` that may be taken.

    Raises:
        EadbenchError: If the split has none.
    """
    rows = read_rows(path, schemas.CLIPS)
    pool = [row for row in rows if row.status == KEPT and row.split == config.split]
    if not pool:
        raise EadbenchError(
            f"no clip of the split {config.split!r} was kept", path, "choose another one with `audit: split`"
        )
    return [
        SourceClip(row.clip_id, seals.checked(row.video), seals.checked(row.audio), row.speaker, row.emotion)
        for row in pool
    ]


def clips_of_folder(folder: Path, labels: Labels) -> list[SourceClip]:
    """Videos of a folder.

    Raises:
        EadbenchError: If the folder holds none, or no label is of one.
    """
    files = files_by_name(folder, VIDEO).files
    labels.check(files)
    return [
        SourceClip(name, files[name], None, labels.of(name).speaker, labels.of(name).emotion)
        for name in sorted(files)
    ]


def audit(
    pool: list[SourceClip],
    config: AuditConfig,
    scores: ScoresConfig,
    evaluators: Evaluators,
    seed: int,
    out: Path,
    workers: Workers | None = None,
    ids: Mapping[str, str] | None = None,
    drawn: bool = False,
) -> None:
    """Distort, score and sum up. What an interrupted run has scored is not scored again.

    Writes ``levels.parquet`` (``schemas.AUDIT_LEVELS``), ``audit.parquet``
    (``schemas.AUDIT``), ``matrix.png``, one figure of curves per metric and
    ``index.html`` into ``out``; the cells' scores lie in ``out/cells``.

    Args:
        pool: Clips to choose from; those that are not chosen may be blended into the
            others.
        config: How.
        scores: What is measured.
        evaluators: The networks.
        seed: Of the random distortions, the choice of clips and the summaries'
            bootstrap.
        out: Folder.
        workers: Processes that measure; ``None`` for this one.
        ids: Name of each network -> its id, for the page.
        drawn: Whether the people of the clips are drawn, which page and figures then
            say.

    Raises:
        EadbenchError: If a clip cannot be read.
    """
    from eadbench.audit.analyse import analyse
    from eadbench.audit.page import write_page

    clips = choose(pool, config.max_clips, seed)
    videos, cells = out / "videos", out / "cells"
    skipped = write_videos(clips, pool, config, seed, scores.fps, videos)
    distorted = [name for name in config.distortions if name not in skipped]
    zero = None
    for name in track([ZERO, *level_names(distorted)], "score the levels", unit="level"):
        tasks = [
            ScoreTask(
                clip.clip_id,
                clip.speaker,
                clip.emotion,
                fake=video_of(videos, name, n),
                real=video_of(videos, ZERO, n),
            )
            for n, clip in enumerate(clips)
        ]
        cell = {"method": name, "corpus": config.corpus, "protocol": "self"}
        table = cells / name / "per_clip.parquet"
        real = zero.folder if zero else None
        measure_cell(cell, tasks, scores, evaluators, table, real, reuse=True, workers=workers)
        measured = SummaryCell.read(cells / name)
        zero = zero or measured
        write_summary(measured, zero, scores, seed, cells / name / "summary.parquet")
    levels, findings = analyse(cells, distorted, scores, out)
    write_page(out, levels, findings, clips, skipped, ids or {}, drawn)
    provenance.write(out, config.model_dump(mode="json"))


def video_of(videos: Path, name: str, number: int) -> Path:
    """Where a distorted clip lies."""
    return videos / name / f"{number:03d}.mp4"


def write_videos(
    clips: list[SourceClip], pool: list[SourceClip], config: AuditConfig, seed: int, fps: float, videos: Path
) -> dict[str, str]:
    """Write every clip at every level.

    Returns:
        Distortions that these clips do not allow, with the reason.
    """
    skipped: dict[str, str] = {}
    mesh = FaceMesh()
    for number, clip in enumerate(track(clips, "distort the clips", unit="clip")):
        footage = load(clip, pool, config, fps, mesh)
        _write(video_of(videos, ZERO, number), footage)
        for name in config.distortions:
            if name in skipped:
                continue
            distortion = REGISTRY[name]
            for k, level in enumerate(distortion.levels, 1):
                try:
                    distorted = distortion.apply(footage, level, rng_for(seed, "audit", name, clip.clip_id))
                except EadbenchError as error:
                    skipped[name] = f"{clip.clip_id}: {error.what}"
                    log.warning("%s left out: %s", distortion.label, skipped[name])
                    break
                _write(video_of(videos, level_of(name, k), number), distorted)
    mesh.close()
    return skipped


def _write(path: Path, footage: Footage) -> None:
    audio = footage.audio if len(footage.audio) else None
    write_video(path, footage.frames, footage.fps, crf=CRF, audio=audio)


def load(
    clip: SourceClip, pool: list[SourceClip], config: AuditConfig, fps: float, mesh: FaceMesh
) -> Footage:
    """Read a clip, and those that are blended into it."""
    frames = _frames(clip, config, fps)
    seconds = len(frames) / fps
    audio = _audio(clip, seconds)
    size = frames.shape[2], frames.shape[1]

    def first_frames(candidates: list[SourceClip]) -> np.ndarray | None:
        return _fitted(_frames(candidates[0], config, fps), size) if candidates else None

    other_speakers, other_emotions = [], []
    if clip.speaker:
        other_speakers = [other for other in pool if other.speaker and other.speaker != clip.speaker]
    if clip.speaker and clip.emotion:
        same_speaker = [other for other in pool if other.speaker == clip.speaker]
        other_emotions = [other for other in same_speaker if other.emotion not in (None, clip.emotion)]
    return Footage(
        frames,
        audio,
        fps,
        marks=mesh_of(frames, mesh),
        other_speaker=first_frames(other_speakers),
        other_emotion=first_frames(other_emotions),
    )


def _frames(clip: SourceClip, config: AuditConfig, fps: float) -> np.ndarray:
    frames = read_frames(clip.video, fps=fps, limit=max(2, round(config.max_seconds * fps)))
    if len(frames) < 2:
        raise EadbenchError(
            "a clip of one frame cannot be audited", clip.video, "give videos of half a second or more"
        )
    return frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]


def _audio(clip: SourceClip, seconds: float) -> np.ndarray:
    try:
        return read_audio(clip.audio or clip.video, RATE, end=seconds)
    except EadbenchError as error:
        log.warning("%s: %s", clip.clip_id, error.what)
        return np.zeros(0, np.float32)


def _fitted(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if frames.shape[2:0:-1] == size:
        return frames
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
