"""Second pass: does the sound belong to the lips? Measured by the judge SyncNet, moved
within limits.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from eadbench import zoo
from eadbench.clips.config import ClipsConfig, SyncConfig
from eadbench.clips.judgement import judge as judge_measures
from eadbench.clips.windows import PER_FRAME
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.job import Job
from eadbench.core.progress import track
from eadbench.core.settings import shaping, shaping_for
from eadbench.core.tables import DROPPED, FAILED, KEPT, check_not_all_failed, read_table, resolve
from eadbench.media.audio import read_audio, write_wav
from eadbench.media.video import read_frames, replace_audio
from eadbench.zoo.card import read_card

log = logging.getLogger(__name__)
CORRECTED = "corrected"  # folder of the copies whose sound was moved


def check_shard(
    corpus: str, shard: str, cut: Path, judge: Path, out: Path, config: ClipsConfig, device: Any = "cpu"
) -> None:
    """Judge the clips of a shard by their measures and by their sound, and write
    ``out`` beside ``cut``; rows that were lost before pass through.

    Clips that miss a threshold of ``config.keep`` are dropped before the judge SyncNet
    looks at the rest (``config.sync``).

    What a killed run has judged is taken up.

    Raises:
        EadbenchError: If the table or the judge is missing, or every clip failed.
    """
    if cut.resolve().parent != out.resolve().parent:
        raise EadbenchError(
            "the checked table must lie beside the cut one, since they share the media",
            out,
            f"give --out in {cut.parent}",
        )
    rows = [dict(row) for _, row in read_table(cut, schemas.CLIPS).astype(object).iterrows()]
    sha256 = read_card(judge).sha256
    job = Job(
        out,
        shaping_for("clips check", config),
        [shaping(config.sync), sha256],
        {"cut": cut, "judge": sha256},
        media=out.parent / CORRECTED,
    )
    network = zoo.load(judge, device)
    for row in rows:
        if row["status"] == KEPT:
            row["status"], row["reason"] = judge_measures(row, config.keep)
    candidates = [row for row in rows if row["status"] == KEPT]
    for row in track(candidates, f"check {corpus} {shard}", unit="clip"):
        key = job.key(
            row["clip_id"],
            *(cut.parent / row[name] for name in ("video", "audio", "track") if isinstance(row[name], str)),
        )
        found = job.done(key)
        if found is None:
            before = dict(row)
            try:
                _check(row, cut, network, config.sync)
            except Exception as error:
                row["status"], row["reason"] = FAILED, f"not judged: {reason_of(error, row['clip_id'])}"
                log.warning("%s: %s", row["clip_id"], error)
            found = {name: value for name, value in row.items() if value is not before[name]} | {
                "status": row["status"]
            }
            job.keep(key, found, _corrected(out, [row]))
        row |= found
    check_not_all_failed([row["status"] for row in candidates], "clips", cut)
    job.write(rows, schemas.CLIPS, "clip_id", None, _corrected(out, candidates) or None)
    kept = sum(row["status"] == KEPT for row in rows)
    log.info(
        "%s: %d of %d clips kept, %d corrected",
        shard,
        kept,
        len(candidates),
        sum(bool(row["offset_corrected"]) for row in candidates),
    )


def _corrected(out: Path, rows: list[dict[str, Any]]) -> list[Path]:
    return [
        out.parent / row[column]
        for row in rows
        for column in ("audio", "video")
        if row[column].startswith(CORRECTED)
    ]


def _check(row: dict[str, Any], table: Path, network: Any, config: SyncConfig) -> None:
    """Fill in offset and confidence; correct the sound; judge."""
    frames = read_frames(resolve(table, row["video"]))
    samples = read_audio(resolve(table, row["audio"]))
    verdict = network.score(frames, samples)
    offset, confidence = int(verdict["offset"]), float(verdict["confidence"])
    row["av_offset"], row["sync_confidence"], row["offset_corrected"] = float(offset), confidence, 0.0
    trusted = confidence >= config.trust_from
    if config.min_confidence is not None and confidence < config.min_confidence:
        row["status"], row["reason"] = (
            DROPPED,
            f"weak sync: sync_confidence {confidence:.3g} < {config.min_confidence:g}",
        )
    elif trusted and config.drop_beyond is not None and abs(offset) > config.drop_beyond:
        row["status"], row["reason"] = (
            DROPPED,
            f"out of sync: av_offset {offset:+d} frames, more than {config.drop_beyond}",
        )
    elif trusted and config.tolerance < abs(offset) <= config.correct_up_to:
        _correct(row, table, samples, offset)


def _correct(row: dict[str, Any], table: Path, samples: np.ndarray, offset: int) -> None:
    """Write ``corrected/`` copies with the sound moved by ``offset`` frames (later when
    it leads).
    """
    with np.load(resolve(table, row["track"])) as track_file:
        before, after = (
            track_file[name].astype(np.float32) / 32767 for name in ("sound_before", "sound_after")
        )
    moved = moved_sound(before, samples, after, offset)
    name = row["clip_id"]
    audio, video = f"{CORRECTED}/audio/{name}.wav", f"{CORRECTED}/videos/{name}.mp4"
    write_wav(table.parent / audio, moved)
    replace_audio(resolve(table, row["video"]), table.parent / video, moved)
    row["audio"], row["video"], row["offset_corrected"] = audio, video, float(offset)


def moved_sound(before: np.ndarray, samples: np.ndarray, after: np.ndarray, offset: int) -> np.ndarray:
    """A clip's sound later by ``offset`` frames (earlier if negative); the sound from
    around the clip moves in.

    Args:
        before, after: Sound on either side of the clip, at least ``|offset| * 640``
            samples.
        samples: The clip's sound.
        offset: Frames of 1/25 s.
    """
    shift = offset * PER_FRAME
    if shift >= 0:
        return np.concatenate([before[len(before) - shift :], samples[: len(samples) - shift]])
    return np.concatenate([samples[-shift:], after[:-shift]])
