"""From per-clip values and features to one row per metric, with an interval and the
warnings to read before quoting it.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.core.tables import KEPT, read_table, write_table
from eadbench.scores.bootstrap import mean_interval, resamplings
from eadbench.scores.config import ScoresConfig
from eadbench.scores.metrics import METRICS
from eadbench.scores.store import FEATURES, META, Features, View

log = logging.getLogger(__name__)
FEW_SPEAKERS = 3
NAMED = 3  # clips that a warning names
NUMBER = re.compile(r"\d+(\.\d+)?")  # notes that differ in numbers alone are of one kind


@dataclass
class SummaryCell:
    """A measured cell, read back."""

    folder: Path
    rows: pd.DataFrame
    meta: dict[str, Any]
    features: Features

    @classmethod
    def read(cls, folder: Path) -> "SummaryCell":
        """Read a cell.

        Raises:
            EadbenchError: If a file is missing or damaged.
        """
        rows = read_table(folder / "per_clip.parquet", schemas.PER_CLIP)
        seals.check(folder / META)
        try:
            meta = json.loads((folder / META).read_text())
        except (OSError, ValueError) as error:
            raise EadbenchError(
                f"cannot be read: {error}", folder / META, "measure the cell again"
            ) from error
        meta.setdefault("signatures", meta.get("rulers", {}))  # their name in cells of earlier builds
        return cls(folder, rows, meta, Features(folder / FEATURES))

    @property
    def name(self) -> dict[str, str]:
        """Method, corpus and protocol."""
        return {k: self.meta["cell"][k] for k in ("method", "corpus", "protocol")}

    def speakers(self, clips: Iterable[str]) -> list[str]:
        """Speakers of clips; a clip without one is a cluster of its own."""
        speakers = self.rows.drop_duplicates("clip_id").set_index("clip_id").speaker
        return [speakers[c] if isinstance(speakers[c], str) else f"clip {c}" for c in clips]


def summarise_cell(cell: SummaryCell, real: SummaryCell, config: ScoresConfig, seed: int) -> pd.DataFrame:
    """Summary rows of a cell.

    Args:
        cell: What a method made.
        real: The ground truth's cell of the same corpus, protocol ``self``.
        config: As the cell was measured, and how intervals are computed.
        seed: Seed of the bootstrap.
    """
    summary = Summary(cell, real, config, seed)
    for name in track(config.metrics, "sum up", unit="metric"):
        summary.add(name)
    return pd.DataFrame(summary.rows, columns=schemas.SUMMARY.names).astype(
        {"resolution": "Int64", "frames": "Int64"}
    )


def write_summary(
    cell: SummaryCell, real: SummaryCell, config: ScoresConfig, seed: int, out: Path
) -> pd.DataFrame:
    """Write ``summary.parquet`` and, beside it, ``confusion.parquet``."""
    rows = summarise_cell(cell, real, config, seed)
    write_table(out.parent / "confusion.parquet", confusion(cell), schemas.CONFUSION)
    write_table(out, rows, schemas.SUMMARY, ["metric", "variant"])
    return rows


def confusion(cell: SummaryCell) -> pd.DataFrame:
    """How often each target emotion was classified as which (`schemas.CONFUSION`), zeros
    included; no rows without target emotions or without the evaluator's logits.
    """
    classes = cell.meta["signatures"].get("emotion", {}).get("classes", [])
    rows = cell.rows[(cell.rows.metric == "acc_emo") & cell.rows.emotion.notna()]
    logits = {clip: cell.features.get("emotion", clip) for clip in rows.clip_id} if classes else {}
    counts = Counter(
        (target, classes[int(logits[clip].argmax())])
        for clip, target in zip(rows.clip_id, rows.emotion, strict=True)
        if logits.get(clip) is not None
    )
    pairs = product(sorted(set(rows.emotion)), classes)
    return pd.DataFrame(
        [
            cell.name | {"asked": target, "judged": predicted, "n": counts[target, predicted]}
            for target, predicted in pairs
        ]
    )


def signature_of(rows: pd.DataFrame) -> dict[str, Any]:
    """Extractor, hash of its weights and resolution of the first of some rows of
    ``per_clip.parquet``; empty without one.
    """
    if not len(rows):
        return {"extractor": "", "weights_sha256": "", "resolution": None}
    return {key: rows[key].iloc[0] for key in ("extractor", "weights_sha256", "resolution")}


class Summary:
    """The summary of one cell while it is made; metrics add their rows to it.

    Attributes:
        cell: What a method made.
        real: The ground truth's cell.
        config: As the cell was measured.
        seed: Seed of the bootstrap.
        rows: Rows so far.
        total: Clips of the cell.
    """

    def __init__(self, cell: SummaryCell, real: SummaryCell, config: ScoresConfig, seed: int) -> None:
        self.cell, self.real, self.config, self.seed = cell, real, config, seed
        self.rows: list[dict[str, Any]] = []
        self.total = cell.rows.clip_id.nunique()
        self._resamplings: dict[tuple[str, ...], np.ndarray] = {}

    def add(self, name: str) -> None:
        """Append the row, or rows, of a metric."""
        METRICS[name].sum_up(self)

    def counts(self, clips: list[str]) -> np.ndarray:
        """Resamplings of these clips; the same for all metrics and methods that have
        the same clips.
        """
        key = tuple(clips)
        if key not in self._resamplings:
            speakers, corpus = self.cell.speakers(clips), self.cell.name["corpus"]
            self._resamplings[key] = resamplings(speakers, self.config.bootstrap, self.seed, corpus)
        return self._resamplings[key]

    def variant(self, name: str) -> str | None:
        """Variant of the network that measured a metric."""
        return self.cell.meta["signatures"].get(METRICS[name].evaluator, {}).get("variant") or None

    def mean(
        self, name: str, rows: pd.DataFrame, total: int, variant: str | None, warnings: tuple[str, ...] = ()
    ) -> None:
        """Append the mean of rows of ``per_clip.parquet``."""
        measured = rows[(rows.status == KEPT) & rows.value.notna()].sort_values("clip_id")
        clips, values = measured.clip_id.tolist(), measured.value.to_numpy(float)
        all_warnings = [*warnings, *self.warnings(name, clips, total)]
        if len(values):
            value, frames = float(values.mean()), int(measured.frames.fillna(0).sum())
            low, high = mean_interval(values, self.counts(clips))
            signature = signature_of(measured)
        else:
            value = frames = low = high = None
            signature = signature_of(rows)
            if len(rows):
                reasons = ", ".join(rows.reason.value_counts().index[:3])
                all_warnings.insert(0, f"nothing measured: {reasons}")
        if measured.resolution.nunique() > 1:
            resolutions = sorted(measured.resolution.dropna().unique())
            all_warnings.append(f"resolutions differ: {', '.join(map(str, resolutions))}")
        self.row(name, value, low, high, clips, total, signature, frames, variant, all_warnings)

    def mean_of(
        self,
        name: str,
        clips: list[str],
        values: np.ndarray,
        total: int,
        signature: dict[str, Any],
        variant: str,
    ) -> None:
        """Append the mean of values that are in no row of their own, one per clip."""
        if len(clips):
            low, high = mean_interval(values, self.counts(clips))
            value, warnings = float(values.mean()), self.warnings(name, clips, total)
            self.row(name, value, low, high, clips, total, signature, None, variant, warnings)

    def row(self, name, value, low, high, clips, total, signature, frames, variant, warnings) -> None:
        """Append a row; numbers that are not finite become null."""
        if len(clips) < 2:
            low = high = None  # resampling one clip gives that clip
        numbers = {
            k: v if v is not None and np.isfinite(v) else None
            for k, v in {"value": value, "low": low, "high": high}.items()
        }
        row = {
            **self.cell.name,
            "metric": name,
            **numbers,
            "n": len(clips),
            "n_missing": total - len(clips),
            **signature,
        }
        # readers split them at the semicolons
        warning = "; ".join(text.replace(";", ",") for text in warnings if text)
        self.rows.append(row | {"frames": frames, "variant": variant, "warning": warning})

    def warnings(self, name: str, clips: list[str], total: int) -> list[str]:
        """What to know before quoting a value of a metric over these of all clips."""
        warnings = []
        role = METRICS[name].evaluator
        how = self.cell.meta["signatures"].get(role, {}).get("how")
        if how == "trained":
            warnings.append(
                "evaluator trained here, not the official one: compares within this benchmark only"
            )
        if how == "random":
            warnings.append("random features, not the official ones: compares within this benchmark only")
        speaker_of_clip = self.cell.rows.drop_duplicates("clip_id").set_index("clip_id").speaker
        speakers = speaker_of_clip.reindex(clips)
        count = speakers.nunique()
        # without labels nobody knows how many there are
        if 0 < count < FEW_SPEAKERS and speakers.notna().all() and len(clips) > 1:
            warnings.append(f"the interval rests on {count} speaker{'s' if count > 1 else ''}")
        if len(clips) < total:
            warnings.append(f"{total - len(clips)} of {total} clips are missing")
        return warnings + self.note_warnings(clips)

    def note_warnings(self, clips: list[str]) -> list[str]:
        """What was done to clips before they were measured: a sentence per kind of
        note, the most frequent one first.
        """
        kinds: dict[str, dict[str, str]] = {}
        for clip in clips:
            for note in self.cell.meta["notes"].get(clip, []):
                kinds.setdefault(NUMBER.sub("#", note), {})[clip] = note
        warnings = []
        for note_of_clip in sorted(kinds.values(), key=len, reverse=True):
            count, example = len(note_of_clip), next(iter(note_of_clip.values()))
            prefix = "" if len(set(note_of_clip.values())) == 1 else "e.g. "
            named = list(note_of_clip)[:NAMED]
            if count > NAMED:
                named.append("...")
            warnings.append(f"{count} clip{'s' if count > 1 else ''} ({', '.join(named)}): {prefix}{example}")
        return warnings

    # --- sets ---

    def feature_views(self, kind: str) -> tuple[View, View, list[str]]:
        """Features of the real and the generated videos of the clips that both cells
        have, and these clips.
        """
        clips = sorted(set(self.cell.features.clips(kind)) & set(self.real.features.clips(kind)))
        return self.real.features.view(kind, clips), self.cell.features.view(kind, clips), clips

    def set_signature(self, role: str) -> dict[str, Any]:
        """Signature of the network that measured both cells.

        Raises:
            EadbenchError: If the cells were measured with different networks.
        """
        signature = self.cell.meta["signatures"].get(role, {})
        real_signature = self.real.meta["signatures"].get(role, {})
        if real_signature.get("weights_sha256") != signature.get("weights_sha256"):
            what = f"the cell and the ground truth were measured with different extractors for {role!r}"
            raise EadbenchError(what, self.real.folder, "measure both again")
        return {
            "extractor": signature.get("extractor", ""),
            "weights_sha256": signature.get("weights_sha256", ""),
            "resolution": signature.get("resolution"),
        }

    def empty_row(self, name: str, reason: str, variant: str | None = None) -> None:
        """Append a row without a value; a missing evaluator comes before the reason."""
        role = METRICS[name].evaluator
        warning = f"nothing measured: {self.cell.meta['missing'].get(role, reason)}"
        signature = self.set_signature(role)
        self.row(name, None, None, None, [], self.total, signature, None, variant, [warning])
