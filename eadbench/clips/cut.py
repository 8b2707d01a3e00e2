"""First pass: from recordings to aligned clips. One decode, one encode, bounded memory."""

import logging
import time
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eadbench.clips import align
from eadbench.clips.config import ClipsConfig
from eadbench.clips.recording import Recording
from eadbench.clips.stretches import Cutter, Stretch
from eadbench.clips.thresholds import too_short
from eadbench.clips.windows import FPS, PER_FRAME
from eadbench.core import schemas, seals
from eadbench.core.errors import FatalError, reason_of
from eadbench.core.files import atomic_path, hash_once
from eadbench.core.job import Job
from eadbench.core.progress import track
from eadbench.core.settings import shaping_for
from eadbench.core.shards import parse_shard, shard_of
from eadbench.core.tables import DROPPED, FAILED, KEPT, check_not_all_failed, read_rows, relative_to
from eadbench.media.audio import write_wav
from eadbench.media.faces import Detector, FaceMesh, box_of, choose_detector, make_detector, yaw_of
from eadbench.media.video import VideoWriter

log = logging.getLogger(__name__)
VERSION = 4  # raise when the same recording and settings would give other clips
LABELS = tuple(column.name for column in schemas.LABELS)
SAMPLED = 10  # frames per clip on which sharpness and brightness are measured
LATE = 2  # frames of silence that may be added where the audio ends before the video
AROUND = 10  # frames of audio kept on each side, so that an offset can be corrected with real audio


def cut_shard(corpus: str, shard: str, index: Path, out: Path, config: ClipsConfig) -> None:
    """Cut the recordings of one shard and write ``out`` (``schemas.CLIPS``) with the
    media beside it.

    What an earlier run has finished of the same recordings is not done again, whether
    it was killed or not.

    Raises:
        EadbenchError: If the index is missing, a model is, or every recording (of more
            than two) failed.
        FatalError: If a source is not what it was when it was indexed, or the disk or
            the memory is full.
    """
    started = time.monotonic()
    # what was done is known by it
    config = config.model_copy(update={"detector": choose_detector(config.detector, config.pack)})
    number, count = parse_shard(shard)
    mine = [row for row in read_rows(index, schemas.INDEX) if shard_of(row.recording_id, count) == number]
    recordings = [Recording(row, index.parent) for row in sorted(mine, key=attrgetter("recording_id"))]
    eyes = _Eyes(config)
    folder = out.parent
    shaped_by = shaping_for("clips cut", config)
    job = Job(out, shaped_by, [VERSION, shaped_by], {"index": index}, lasting=True)
    rows: list[dict[str, Any]] = []
    tried: list[dict[str, Any]] = []
    for recording in track(recordings, f"cut {corpus} {shard}", unit="recording"):
        _check_source(recording)
        key = job.key([recording.row.written(recording.folder), _sources(recording)])
        outcome = job.done(key)
        if outcome is None:
            outcome = {"rows": cut_recording(recording, eyes, config, folder)}
            if all(row["status"] != FAILED for row in outcome["rows"]):
                job.keep(key, outcome, _media(folder, outcome["rows"]))
        rows += outcome["rows"]
        if recording.row.status != FAILED:
            tried.append(
                next((row for row in outcome["rows"] if row["status"] != FAILED), outcome["rows"][0])
            )
    if len(tried) > 2:
        check_not_all_failed(tried, "recordings", out)
    frames = sum(row["frames"] or 0 for row in rows)
    seconds = time.monotonic() - started
    job.write(rows, schemas.CLIPS, "clip_id", None, _media(folder, rows), frames=frames)
    _remove_stale(folder, rows)
    log.info(
        "%s: %d recordings, %d candidates, %d frames, %.1f frames/s",
        shard,
        len(recordings),
        len(rows),
        frames,
        frames / seconds,
    )


class _Eyes:
    """The networks that look, loaded at the first use: a shard without recordings needs
    none.
    """

    def __init__(self, config: ClipsConfig) -> None:
        self._config = config
        self._loaded: tuple[FaceMesh, Detector] | None = None

    def __call__(self) -> tuple[FaceMesh, Detector]:
        if self._loaded is None:
            self._loaded = FaceMesh(), make_detector(self._config.detector, self._config.pack)
        return self._loaded


def cut_recording(
    recording: Recording, eyes: _Eyes, config: ClipsConfig, folder: Path
) -> list[dict[str, Any]]:
    """Rows of all candidates of a recording; at least one, whatever happens."""
    if recording.row.status == FAILED:
        return [_row(recording, 0, folder, status=FAILED, reason=recording.row.reason)]
    if recording.row.status == DROPPED:
        return [_row(recording, 0, folder, status=DROPPED, reason=recording.row.reason)]
    if not recording.has_audio:
        return [
            _row(recording, 0, folder, status=DROPPED, reason="no audio: the recording has no audio track")
        ]
    mesh, detector = eyes()
    rows: list[dict[str, Any]] = []
    blind = 0
    try:
        for stretch in Cutter(recording, mesh, detector, config).run():
            if not stretch.sights:
                blind += stretch.blind
                if stretch.blind / FPS < config.min_seconds:
                    continue
            rows.append(_candidate(recording, len(rows), stretch, config, folder))
    except Exception as error:
        reason = reason_of(error, recording.id)
        log.warning("%s: %s", recording.id, error)
        rows.append(_row(recording, len(rows), folder, status=FAILED, reason=f"broken: {reason}"))
    if not rows:
        reason = f"no face: in any of {blind} frames" if blind else "empty: no frame in the annotated stretch"
        rows.append(_row(recording, 0, folder, status=DROPPED, reason=reason))
    for row in rows:  # now that the video is read to its end
        row["note"] = "; ".join([*recording.notes, *row.pop("audio_notes", [])]) or None
    return rows


def _row(recording: Recording, k: int, folder: Path, **values: Any) -> dict[str, Any]:
    source = None
    if recording.row.source:
        source = relative_to(recording.row.source, folder) + (
            f"!{recording.row.member}" if recording.row.member else ""
        )
    labels = {name: getattr(recording.row, name) for name in LABELS}
    return {
        "clip_id": f"{recording.id}-{k:03d}",
        "recording_id": recording.id,
        **labels,
        "source": source,
        "frames": None,
        **values,
    }


def _candidate(
    recording: Recording, k: int, stretch: Stretch, config: ClipsConfig, folder: Path
) -> dict[str, Any]:
    """Write the media of a stretch that is long enough; `clips check` looks at its
    measures.
    """
    seconds = stretch.frames / FPS
    place = {"source_start": stretch.start, "source_end": stretch.start + seconds, "fps": float(FPS)}
    if not stretch.sights:
        return _row(recording, k, folder, **place, status=DROPPED, reason=f"no face: for {seconds:.2f} s")
    notes: list[str] = []
    samples = recording.audio(stretch.start, stretch.frames, notes)
    place["audio_notes"] = [f"the audio: {note}" for note in notes]
    frames = min(stretch.frames, len(samples) // PER_FRAME + LATE)
    short = too_short(seconds, config) or (
        f"audio ends: {too_short(frames / FPS, config)}" if too_short(frames / FPS, config) else ""
    )
    if short:
        return _row(recording, k, folder, **place, status=DROPPED, reason=short)
    place["source_end"] = stretch.start + frames / FPS
    samples = np.pad(samples, (0, max(0, frames * PER_FRAME - len(samples))))[: frames * PER_FRAME]
    name = f"{recording.id}-{k:03d}"
    around = _around(recording, stretch.start, place["source_end"])
    measures = _write(Stretch(stretch.start, stretch.sights[:frames]), samples, around, name, config, folder)
    files = {
        "video": f"videos/{name}.mp4",
        "audio": f"audio/{name}.wav",
        "track": f"tracks/{name}.npz",
        "frames": frames,
        "size": config.size,
    }
    return _row(recording, k, folder, **(place | measures | files), status=KEPT, reason="")


def _around(recording: Recording, start: float, end: float) -> dict[str, np.ndarray]:
    """The audio just before and after a clip, ``(AROUND * 640,)`` int16 each, silent
    beyond the ends: what moves in when an offset is corrected.
    """
    length = AROUND * PER_FRAME
    first = max(0.0, start - AROUND / FPS)
    before = recording.audio(first, round((start - first) * FPS))
    after = recording.audio(end, AROUND)
    pieces = {
        "sound_before": np.pad(before, (length - len(before), 0)),
        "sound_after": np.pad(after, (0, length - len(after))),
    }
    return {name: np.round(np.clip(piece, -1, 1) * 32767).astype(np.int16) for name, piece in pieces.items()}


def _write(
    stretch: Stretch,
    samples: np.ndarray,
    around: dict[str, np.ndarray],
    name: str,
    config: ClipsConfig,
    folder: Path,
) -> dict[str, Any]:
    """Align a stretch, write video, audio and track, and return the measures."""
    sights = stretch.sights
    landmarks = align.denoise(align.fill_gaps(sights))
    turn, centre = align.similarities(landmarks, config.size, config.margin)
    turn, centre = align.smooth_transforms(turn, centre, config.align, config.smooth_seconds * FPS)
    matrix = align.matrices(turn, centre, config.size)
    aligned = align.apply(matrix, landmarks[..., :2])
    boxes = box_of(landmarks)
    looked_at = set(np.linspace(0, len(sights) - 1, min(SAMPLED, len(sights))).round().astype(int).tolist())
    looks = []
    with VideoWriter(folder / "videos" / f"{name}.mp4", FPS, config.crf, audio=samples) as writer:
        for k, frame in enumerate(align.warp(sights, matrix, config.size)):
            writer.add(frame)
            if k in looked_at:
                looks.append(_look(frame, box_of(aligned[k])))
    write_wav(folder / "audio" / f"{name}.wav", samples)
    with atomic_path(folder / "tracks" / f"{name}.npz") as part:
        np.savez(
            part,
            matrix=matrix.astype(np.float32),
            source_frame=np.array([s.number for s in sights], np.int64),
            source_time=np.array([s.time for s in sights], np.float64),
            landmarks=aligned.astype(np.float32),
            box=boxes.astype(np.float32),
            **around,
        )
    sharpness, brightness = np.median(looks, 0)
    counts = [s.faces for s in sights if s.faces is not None]
    return {
        "detection_rate": float(np.mean([s.landmarks is not None for s in sights])),
        "faces": float(np.mean(counts)) if counts else None,
        "face_size": float(np.median(boxes[:, 3] - boxes[:, 1])),
        "yaw": float(np.median(np.abs(yaw_of(landmarks)))),
        "jitter": align.jitter(aligned),
        "sharpness": float(sharpness),
        "brightness": float(brightness),
    }


def _look(frame: np.ndarray, box: np.ndarray) -> tuple[float, float]:
    """Sharpness and brightness of the face in an aligned frame."""
    x0, y0, x1, y1 = np.clip(np.round(box), 0, frame.shape[0]).astype(int)
    grey = cv2.cvtColor(frame[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()), float(grey.mean())


def _sources(recording: Recording) -> list[Any]:
    """The files that a recording is in: by their sha256 where it is known, else (a
    user's archive of 10 GB) by size and time of change.
    """
    if not recording.row.source or recording.row.status in (FAILED, DROPPED):
        return []
    return [seals.check(path) or [path.stat().st_size, path.stat().st_mtime_ns] for path in recording.files]


def _check_source(recording: Recording) -> None:
    """The files of a usable recording must be those that were indexed; else its loss
    would be blamed on the recording.
    """
    if recording.row.status in (FAILED, DROPPED):
        return
    hint = f"delete {recording.folder / 'fetch.json'} and run the workflow again"
    for path in recording.files:
        sealed, indexed = seals.check(path), recording.row.sha256
        if not path.exists():
            raise FatalError("a source is gone since it was indexed", path, hint)
        if (
            sealed is None
            and indexed
            and path == recording.row.source
            and not recording.row.member
            and hash_once(path) != indexed  # several recordings may be stretches of one file
        ):
            raise FatalError("a source was changed since it was indexed", path, hint)


def _media(folder: Path, rows: list[dict[str, Any]]) -> Iterator[Path]:
    return (folder / row[column] for row in rows for column in ("video", "audio", "track") if row.get(column))


def _remove_stale(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Remove media of clips that are no longer there, e.g. after other settings gave
    fewer.
    """
    current = set(_media(folder, rows))
    for sub in ("videos", "audio", "tracks"):
        for path in (folder / sub).glob("*"):
            if path not in current and not path.name.startswith(".part-"):
                path.unlink(missing_ok=True)  # another run may have been faster
