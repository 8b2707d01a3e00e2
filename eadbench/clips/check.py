"""Second pass: does the audio belong to the lips? Measured by the SyncNet evaluator,
moved within limits.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eadbench import zoo
from eadbench.clips.config import ClipsConfig, SyncConfig
from eadbench.clips.thresholds import keep_or_drop
from eadbench.clips.windows import PER_FRAME
from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.job import Job
from eadbench.core.progress import track
from eadbench.core.schemas import ClipsRow
from eadbench.core.section import shaping
from eadbench.core.settings import shaping_for
from eadbench.core.tables import DROPPED, FAILED, KEPT, check_not_all_failed, read_rows
from eadbench.media.audio import read_audio, write_wav
from eadbench.media.video import read_frames, replace_audio
from eadbench.zoo.card import read_card

log = logging.getLogger(__name__)
CORRECTED = "corrected"  # folder of the copies whose audio was moved


def check_shard(
    corpus: str, shard: str, cut: Path, evaluator: Path, out: Path, config: ClipsConfig, device: Any = "cpu"
) -> None:
    """Check the clips of a shard by their measures and by their audio, and write
    ``out`` beside ``cut``; rows that were lost before pass through.

    Clips that miss a threshold of ``config.keep`` are dropped before the SyncNet
    evaluator looks at the rest (``config.sync``).

    What a killed run has measured is taken up.

    Raises:
        EadbenchError: If the table or the evaluator is missing, or every clip failed.
    """
    if cut.resolve().parent != out.resolve().parent:
        raise EadbenchError(
            "the checked table must lie beside the cut one, since they share the media",
            out,
            f"give --out in {cut.parent}",
        )
    clips = [_screened(clip, config) for clip in read_rows(cut, schemas.CLIPS)]
    sha256 = read_card(evaluator).sha256
    job = Job(
        out,
        shaping_for("clips check", config),
        [shaping(config.sync), sha256],
        {"cut": cut, "evaluator": sha256},
        media=out.parent / CORRECTED,
    )
    network = zoo.load(evaluator, device)
    candidates = [clip for clip in clips if clip.status == KEPT]
    changes: dict[str, dict[str, Any]] = {}
    for clip in track(candidates, f"check {corpus} {shard}", unit="clip"):
        key = job.key(clip.clip_id, *filter(None, (clip.video, clip.audio, clip.track)))
        changed = job.done(key)
        if changed is None:
            changed = _check(clip, out.parent, network, config.sync)
            job.keep(key, changed, _corrected(out, changed))
        changes[clip.clip_id] = changed
    check_not_all_failed(changes.values(), "clips", cut)
    rows = [clip.written(out.parent) | changes.get(clip.clip_id, {}) for clip in clips]
    moved = [path for changed in changes.values() for path in _corrected(out, changed)]
    job.write(rows, schemas.CLIPS, "clip_id", None, moved or None)
    kept = sum(row["status"] == KEPT for row in rows)
    log.info(
        "%s: %d of %d clips kept, %d corrected",
        shard,
        kept,
        len(candidates),
        sum(bool(changed.get("offset_corrected")) for changed in changes.values()),
    )


def _screened(clip: ClipsRow, config: ClipsConfig) -> ClipsRow:
    """A clip with what its measures say of it."""
    if clip.status != KEPT:
        return clip
    status, reason = keep_or_drop(clip, config.keep)
    return replace(clip, status=status, reason=reason)


def _corrected(out: Path, changed: dict[str, Any]) -> list[Path]:
    return [out.parent / changed[column] for column in ("audio", "video") if column in changed]


def _check(clip: ClipsRow, folder: Path, network: Any, config: SyncConfig) -> dict[str, Any]:
    """What changes in a clip's row: offset and confidence, its status, and where its
    audio was moved, the files in ``folder``.
    """
    changed: dict[str, Any] = {"status": KEPT}
    try:
        _score_sync(clip, changed, folder, network, config)
    except Exception as error:
        changed |= {"status": FAILED, "reason": f"not judged: {reason_of(error, clip.clip_id)}"}
        log.warning("%s: %s", clip.clip_id, error)
    return changed


def _score_sync(
    clip: ClipsRow, changed: dict[str, Any], folder: Path, network: Any, config: SyncConfig
) -> None:
    """Fill in offset and confidence; correct the audio; keep or drop."""
    frames = read_frames(seals.checked(clip.video))
    samples = read_audio(seals.checked(clip.audio))
    verdict = network.score(frames, samples)
    offset, confidence = int(verdict["offset"]), float(verdict["confidence"])
    changed |= {"av_offset": float(offset), "sync_confidence": confidence, "offset_corrected": 0.0}
    trusted = confidence >= config.trust_from
    if config.min_confidence is not None and confidence < config.min_confidence:
        reason = f"weak sync: sync_confidence {confidence:.3g} < {config.min_confidence:g}"
        changed |= {"status": DROPPED, "reason": reason}
    elif trusted and config.drop_beyond is not None and abs(offset) > config.drop_beyond:
        reason = f"out of sync: av_offset {offset:+d} frames, more than {config.drop_beyond}"
        changed |= {"status": DROPPED, "reason": reason}
    elif trusted and config.tolerance < abs(offset) <= config.correct_up_to:
        changed |= _correct(clip, folder, samples, offset)


def _correct(clip: ClipsRow, folder: Path, samples: np.ndarray, offset: int) -> dict[str, Any]:
    """Write ``corrected/`` copies with the audio moved by ``offset`` frames (later when
    it leads).
    """
    with np.load(seals.checked(clip.track)) as track_file:
        before, after = (
            track_file[name].astype(np.float32) / 32767 for name in ("sound_before", "sound_after")
        )
    moved = moved_audio(before, samples, after, offset)
    audio, video = f"{CORRECTED}/audio/{clip.clip_id}.wav", f"{CORRECTED}/videos/{clip.clip_id}.mp4"
    write_wav(folder / audio, moved)
    replace_audio(seals.checked(clip.video), folder / video, moved)
    return {"audio": audio, "video": video, "offset_corrected": float(offset)}


def moved_audio(before: np.ndarray, samples: np.ndarray, after: np.ndarray, offset: int) -> np.ndarray:
    """A clip's audio later by ``offset`` frames (earlier if negative); the audio from
    around the clip moves in.

    Args:
        before, after: Audio on either side of the clip, at least ``|offset| * 640``
            samples.
        samples: The clip's audio.
        offset: Frames of 1/25 s.
    """
    shift = offset * PER_FRAME
    if shift >= 0:
        return np.concatenate([before[len(before) - shift :], samples[: len(samples) - shift]])
    return np.concatenate([samples[-shift:], after[:-shift]])
