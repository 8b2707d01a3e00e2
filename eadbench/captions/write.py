"""Write the captions of a shard: resumable clip by clip, one row per kept clip whatever happens."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from eadbench.captions.answers import Answer, Outcome
from eadbench.captions.config import CaptionsConfig
from eadbench.core import provenance, schemas
from eadbench.core.files import write_text
from eadbench.core.progress import track
from eadbench.core.shards import parse_shard, shard_of
from eadbench.core.tables import FAILED, KEPT, check_not_all_failed, read_table, write_table

log = logging.getLogger(__name__)


class Captioner(Protocol):
    """Whatever describes clips. ``describe`` yields one outcome per row, in any order, and raises for nothing that concerns a single clip."""

    id: str
    prompt_version: str | None

    def describe(self, clips: pd.DataFrame) -> Iterator[Outcome]: ...


def make_captioner(clips_path: Path, clips: pd.DataFrame, config: CaptionsConfig, parts: dict[str, Path], seed: int, device: str) -> Captioner:
    """The captioner that the config names."""
    if config.captioner == "measured":
        from eadbench.captions.measured import MeasuredCaptioner

        return MeasuredCaptioner(clips_path, clips, config.measured, seed)
    if config.captioner == "qwen":
        from eadbench.captions.qwen import QwenCaptioner

        return QwenCaptioner.open(clips_path, config, parts, device)
    from eadbench.captions.endpoint import EndpointCaptioner

    return EndpointCaptioner(clips_path, config)


def write_captions(
    clips_path: Path, corpus: str, shard: str, config: CaptionsConfig, parts: dict[str, Path], seed: int, device: str, out: Path
) -> pd.DataFrame:
    """Describe the kept clips of a shard and write their table.

    A killed run continues: what was described stands in a side file beside ``out``, which is removed at the end. Clips that failed are tried again.

    Raises:
        EadbenchError: If the tables or the model cannot be read, or all clips failed.
    """
    started = time.time()
    number, count = parse_shard(shard)
    clips = read_table(clips_path, schemas.CLIPS)
    kept = clips[(clips.status == KEPT) & (clips.corpus == corpus)]
    mine = kept[kept.recording_id.map(lambda name: shard_of(name, count) == number).astype(bool)].sort_values("clip_id")
    captioner = make_captioner(clips_path, clips, config, parts, seed, device) if len(mine) else None
    side = SideFile(out, _recipe(captioner, config, seed))
    done = side.read()
    todo = mine[~mine.clip_id.isin(done)]
    if len(done):
        log.info("%d of %d clips were described before, going on", len(mine) - len(todo), len(mine))
    outcomes = {name: done[name] for name in mine.clip_id if name in done}
    if len(todo):
        with side:
            for outcome in track(captioner.describe(todo), f"caption {corpus} {shard}", total=len(todo), unit="clip"):
                side.add(outcome)
                outcomes[outcome.clip_id] = outcome
                if outcome.answer is None:
                    log.warning("%s: %s", outcome.clip_id, outcome.reason)
        log.info("%d clips in %.1f s, %.2f clips/s", len(todo), time.time() - started, len(todo) / (time.time() - started))
    rows = [_row(clip, outcomes[clip.clip_id], captioner) for clip in mine.itertuples()]
    check_not_all_failed([row["status"] for row in rows], "captions", f"{corpus}, shard {shard}; first reason: {rows[0]['reason'] if rows else ''}")
    write_table(out, rows, schemas.CAPTIONS, "clip_id")
    side.remove()
    provenance.write(out.parent / f"{shard}.provenance", config.model_dump(), {"clips": str(clips_path)}, started, clips=len(rows))
    return pd.DataFrame(rows)


def _recipe(captioner: Captioner | None, config: CaptionsConfig, seed: int) -> str:
    """Hash of what shapes a caption; a side file of another recipe is not continued."""
    shaping = config.model_dump(include={"captioner", "frames", "max_tokens", "max_characters", "measured", "qwen"})
    names = (captioner.id, captioner.prompt_version) if captioner else ()
    return hashlib.sha256(json.dumps([shaping, names, seed], sort_keys=True).encode()).hexdigest()[:16]


def _row(clip: Any, outcome: Outcome, captioner: Captioner) -> dict[str, Any]:
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


class SideFile:
    """What is described so far: JSON lines beside the output, the first line naming the recipe. Each line reaches the disk before the next clip."""

    def __init__(self, out: Path, recipe: str) -> None:
        self.path, self.recipe = out.with_name(f".{out.stem}.partial.jsonl"), recipe

    def read(self) -> dict[str, Outcome]:
        """Outcomes with an answer; none if the file is absent or of another recipe. A torn last line is left out."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        found: dict[str, Outcome] = {}
        for number, line in enumerate(lines):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if number == 0:
                if record.get("recipe") != self.recipe:
                    log.info("%s is of another recipe, starting afresh", self.path)
                    return {}
            elif record.get("answer"):
                found[record["clip_id"]] = Outcome(record["clip_id"], Answer.model_validate(record["answer"]))
        return found

    def __enter__(self) -> "SideFile":
        records = [{"recipe": self.recipe}, *map(_record, self.read().values())]
        write_text(self.path, "".join(json.dumps(record) + "\n" for record in records))  # also heals a torn line
        self._handle = self.path.open("a", encoding="utf-8")
        return self

    def add(self, outcome: Outcome) -> None:
        """Append one outcome."""
        self._handle.write(json.dumps(_record(outcome)) + "\n")
        self._handle.flush()

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def remove(self) -> None:
        """Delete the file, once the table is written."""
        self.path.unlink(missing_ok=True)


def _record(outcome: Outcome) -> dict[str, Any]:
    return {"clip_id": outcome.clip_id, "answer": outcome.answer.model_dump() if outcome.answer else None, "reason": outcome.reason}
