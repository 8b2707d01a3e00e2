"""Write the captions of a shard: resumable clip by clip, one row per kept clip whatever
happens.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from eadbench.captions.answers import Answer, Outcome
from eadbench.captions.config import CaptionsConfig
from eadbench.core import schemas
from eadbench.core.files import sha256_of
from eadbench.core.job import Job
from eadbench.core.progress import track
from eadbench.core.schemas import ClipsRow
from eadbench.core.settings import shaping_for
from eadbench.core.shards import parse_shard, shard_of
from eadbench.core.tables import FAILED, KEPT, read_rows

log = logging.getLogger(__name__)


class Captioner(Protocol):
    """Whatever describes clips. ``describe`` yields one outcome per row, in any order,
    and raises for nothing that concerns a single clip.
    """

    id: str
    prompt_version: str | None

    def describe(self, clips: Sequence[ClipsRow]) -> Iterator[Outcome]: ...


def make_captioner(
    clips: Sequence[ClipsRow],
    config: CaptionsConfig,
    parts: dict[str, Path],
    seed: int,
    device: str,
) -> Captioner:
    """The captioner that the config names."""
    if config.captioner == "measured":
        from eadbench.captions.measured import MeasuredCaptioner

        return MeasuredCaptioner(clips, config.measured, seed)
    if config.captioner == "qwen":
        from eadbench.captions.qwen import QwenCaptioner

        return QwenCaptioner.open(config, parts, device)
    from eadbench.captions.endpoint import EndpointCaptioner

    return EndpointCaptioner(config)


def write_captions(
    clips_path: Path,
    corpus: str,
    shard: str,
    config: CaptionsConfig,
    parts: dict[str, Path],
    seed: int,
    device: str,
    out: Path,
) -> pd.DataFrame:
    """Describe the kept clips of a shard and write their table.

    A killed run continues: what was described stands in a side file beside ``out``,
    which is removed at the end. Clips that failed are tried again.

    Raises:
        EadbenchError: If the tables or the model cannot be read, or all clips failed.
    """
    number, count = parse_shard(shard)
    clips = sorted(read_rows(clips_path, schemas.CLIPS), key=attrgetter("clip_id"))
    kept = [clip for clip in clips if clip.status == KEPT and clip.corpus == corpus]
    mine = [clip for clip in kept if shard_of(clip.recording_id, count) == number]
    captioner = make_captioner(clips, config, parts, seed, device) if mine else None
    inputs = {"clips": clips_path}
    job = Job(
        out,
        shaping_for("captions write", config),
        _shaping(captioner, config, seed, clips_path),
        inputs,
        record=out.parent / f"{shard}.provenance",
    )
    keys = {
        clip.clip_id: job.key(clip.clip_id, *filter(None, (clip.video, clip.audio, clip.track)))
        for clip in mine
    }
    outcomes = {
        name: Outcome(name, Answer.model_validate(answer))
        for name, key in keys.items()
        if (answer := job.done(key))
    }
    todo = [clip for clip in mine if clip.clip_id not in outcomes]
    if outcomes:
        log.info("%d of %d clips were described before, going on", len(outcomes), len(mine))
    if todo:
        started = time.monotonic()
        for outcome in track(
            captioner.describe(todo), f"caption {corpus} {shard}", total=len(todo), unit="clip"
        ):
            outcomes[outcome.clip_id] = outcome
            if outcome.answer is None:
                log.warning("%s: %s", outcome.clip_id, outcome.reason)
            else:
                job.keep(keys[outcome.clip_id], outcome.answer.model_dump())
        seconds = time.monotonic() - started
        log.info("%d clips in %.1f s, %.2f clips/s", len(todo), seconds, len(todo) / seconds)
    rows = [_row(clip, outcomes[clip.clip_id], captioner) for clip in mine]
    where = f"{corpus}, shard {shard}"
    job.write(rows, schemas.CAPTIONS, "clip_id", "captions", where=where, clips=len(rows))
    return pd.DataFrame(rows)


def _shaping(captioner: Captioner | None, config: CaptionsConfig, seed: int, clips_path: Path) -> list[Any]:
    """What shapes a caption; the measured one is about a speaker's other clips, too."""
    settings = shaping_for("captions write", config)
    names = (captioner.id, captioner.prompt_version) if captioner else ()
    return [settings, names, seed, sha256_of(clips_path) if config.captioner == "measured" else ""]


def _row(clip: ClipsRow, outcome: Outcome, captioner: Captioner) -> dict[str, Any]:
    answer = outcome.answer
    return {
        "clip_id": clip.clip_id,
        "corpus": clip.corpus,
        "speaker": clip.speaker,
        "emotion": clip.emotion,
        "split": clip.split,
        "captioner": captioner.id,
        "prompt_version": captioner.prompt_version,
        "caption": answer.description if answer else None,
        "caption_emotion": answer.emotion if answer else None,
        "caption_intensity": answer.intensity if answer else None,
        "confidence": answer.confidence if answer else None,
        "status": KEPT if answer else FAILED,
        "reason": "" if answer else outcome.reason,
    }
