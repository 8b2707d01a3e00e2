"""``corpora index``: one row per recording, probed, split, and freed of duplicates
across splits.
"""

import json
import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from eadbench.core import provenance, schemas, seals
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.files import sha256_of
from eadbench.core.progress import track
from eadbench.core.settings import entry_of
from eadbench.core.tables import FAILED, KEPT, relative_to, write_table
from eadbench.corpora import splits
from eadbench.corpora.archives import open_media
from eadbench.corpora.config import CorporaConfig
from eadbench.media.files import NOT_UTF8, escaped
from eadbench.media.video import probe, probe_with_frame

log = logging.getLogger(__name__)
NOT_COLUMNS = ("problem", "video_key", "max_gap")


def index(corpus: str, fetched: Path, out: Path, config: CorporaConfig) -> None:
    """List, probe and split the recordings of a corpus and write ``out``
    (``schemas.INDEX``).

    Raises:
        EadbenchError: If the corpus is unknown, ``fetched`` is damaged, or no recording
            is usable.
    """
    started = time.time()
    settings = entry_of(config.sets, corpus, "corpora.sets")
    record = _read_fetched(fetched)
    root = (fetched.parent / record["root"]).resolve()
    seals.check_all(root)  # MEAD stays in the studio's folder, which fetching does not check
    rows = import_module(f"eadbench.corpora.{settings.kind}").recordings(root, settings)
    if not rows:
        raise EadbenchError(
            f"corpus {corpus!r} has no recording",
            root,
            "docs/corpora.md says what each kind of corpus looks like",
        )
    with ThreadPoolExecutor(config.probe_threads) as pool:
        rows = list(
            track(
                pool.map(lambda row: _probe(row, settings.hash_files), rows),
                f"probe {corpus}",
                len(rows),
                "recording",
            )
        )
    splits.assign(rows, settings.split)
    leaks = splits.drop_leaks(rows)
    for row in rows:
        _complete_row(row, corpus, out.parent)
    columns = [{key: value for key, value in row.items() if key not in NOT_COLUMNS} for row in rows]
    write_table(out, columns, schemas.INDEX, "recording_id")
    counts = Counter(f"{row['split']} {row['status']}" for row in rows)
    log.info("%s: %s", corpus, ", ".join(f"{cell} {n}" for cell, n in sorted(counts.items())))
    reasons = Counter(row["reason"].split(":")[0] for row in rows if row["reason"])
    for reason, n in reasons.most_common():
        log.info("%s: %d lost: %s", corpus, n, reason)
    if not any(row["status"] == KEPT for row in rows):
        raise EadbenchError(
            f"no recording of corpus {corpus!r} is usable", out, f"the first reason: {rows[0]['reason']}"
        )
    provenance.write(
        out.parent, settings.model_dump(), {"fetch": str(fetched)}, started, recordings=len(rows), leaks=leaks
    )


def _read_fetched(fetched: Path) -> dict[str, Any]:
    # check all files first: a damaged recording would be listed as an unreadable one
    seals.check_all(fetched.parent)
    try:
        return json.loads(fetched.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EadbenchError(
            f"fetch.json cannot be read: {error}", fetched, "run `corpora fetch` first"
        ) from error


def _probe(row: dict[str, Any], hash_files: bool) -> dict[str, Any]:
    """Add the properties of the media, or why they cannot be used."""
    row["status"], row["reason"] = (FAILED, row["problem"]) if row.get("problem") else (KEPT, "")
    if row["reason"] and row.get("source") is None:
        return row
    names = [str(row.get(key)) for key in ("source", "member", "audio_source", "audio_member")]
    if any(escaped(name) != name for name in names):
        return row | {"status": FAILED, "reason": row["reason"] or f"unreadable: {NOT_UTF8}"}
    try:
        info, frame = probe_with_frame(open_media(row["source"], row.get("member")))
        if info.width is None:
            raise EadbenchError("no video in it" if info.codec is None else "not one frame can be decoded")
        row |= {
            "duration": info.duration,
            "fps": info.fps,
            "width": info.width,
            "height": info.height,
            "codec": info.codec,
        }
        row["sample_rate"], audio_seconds = info.sample_rate, info.audio_duration
        if row.get("audio_source") is not None:
            audio = probe(open_media(row["audio_source"], row.get("audio_member")))
            row["sample_rate"], audio_seconds = audio.sample_rate, audio.audio_duration
            if audio.sample_rate is None:
                raise EadbenchError("the separate audio file has no audio in it")
        max_gap = row.get("max_gap")
        has_lengths = audio_seconds and info.duration
        if max_gap and has_lengths and abs(audio_seconds - info.duration) > max_gap:
            raise EadbenchError(f"the audio lasts {audio_seconds:.2f} s, the video {info.duration:.2f} s")
        row["look"] = splits.look_of(frame.thumbnail(160))
        if hash_files and not row.get("member"):
            row["sha256"] = seals.check(row["source"]) or sha256_of(row["source"])
    except Exception as error:
        reason = reason_of(error, row["recording_id"])
        if not row["reason"]:
            row["status"], row["reason"] = FAILED, f"unreadable: {reason}"
    return row


def _complete_row(row: dict[str, Any], corpus: str, folder: Path) -> None:
    row["corpus"] = corpus
    row.setdefault("view", "front")
    for column in ("source", "audio_source"):
        if row.get(column) is not None:
            row[column] = relative_to(row[column], folder)
    # a table holds UTF-8 only
    row |= {column: escaped(value) for column, value in row.items() if isinstance(value, str)}
    start, duration = row.get("start"), row.get("duration")
    if row["status"] == KEPT and duration and start is not None and start >= duration:
        row["status"] = FAILED
        row["reason"] = f"outside: starts at {start:.1f} s, the video ends at {duration:.1f} s"
