"""From per-clip values and features to one row per metric, with an interval and what to
know before quoting it.
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
        known = self.rows.drop_duplicates("clip_id").set_index("clip_id").speaker
        return [known[c] if isinstance(known[c], str) else f"clip {c}" for c in clips]


def summarise_cell(cell: SummaryCell, real: SummaryCell, config: ScoresConfig, seed: int) -> pd.DataFrame:
    """Summary rows of a cell.

    Args:
        cell: What a method made.
        real: The ground truth's cell of the same corpus, protocol ``self``.
        config: As the cell was measured, and how intervals are had.
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
    """How often each emotion asked for was judged to be which (`schemas.CONFUSION`),
    zeros included; no rows if none was asked for or none judged.
    """
    classes = cell.meta["signatures"].get("emotion", {}).get("classes", [])
    rows = cell.rows[(cell.rows.metric == "acc_emo") & cell.rows.emotion.notna()]
    logits = {clip: cell.features.get("emotion", clip) for clip in rows.clip_id} if classes else {}
    counts = Counter(
        (asked, classes[int(logits[clip].argmax())])
        for clip, asked in zip(rows.clip_id, rows.emotion, strict=True)
        if logits.get(clip) is not None
    )
    pairs = product(sorted(set(rows.emotion)), classes)
    return pd.DataFrame(
        [
            cell.name | {"asked": asked, "judged": judged, "n": counts[asked, judged]}
            for asked, judged in pairs
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
        self._drawn: dict[tuple[str, ...], np.ndarray] = {}

    def add(self, name: str) -> None:
        """Append the row, or rows, of a metric."""
        METRICS[name].sum_up(self)

    def counts(self, clips: list[str]) -> np.ndarray:
        """Resamplings of these clips; the same for all metrics and methods that have
        the same clips.
        """
        key = tuple(clips)
        if key not in self._drawn:
            self._drawn[key] = resamplings(
                self.cell.speakers(clips), self.config.bootstrap, self.seed, self.cell.name["corpus"]
            )
        return self._drawn[key]

    def variant(self, name: str) -> str | None:
        return self.cell.meta["signatures"].get(METRICS[name].evaluator, {}).get("variant") or None

    def mean(
        self, name: str, rows: pd.DataFrame, total: int, variant: str | None, warnings: tuple[str, ...] = ()
    ) -> None:
        used = rows[(rows.status == KEPT) & rows.value.notna()].sort_values("clip_id")
        clips, values = used.clip_id.tolist(), used.value.to_numpy(float)
        value = float(values.mean()) if len(values) else None
        low, high = mean_interval(values, self.counts(clips)) if len(values) else (None, None)
        signature = signature_of(used if len(used) else rows)
        frames = int(used.frames.fillna(0).sum()) if len(used) else None
        told = [*warnings, *self.warnings(name, clips, total)]
        if not len(values) and len(rows):
            told.insert(0, f"nothing measured: {', '.join(rows.reason.value_counts().index[:3])}")
        if used.resolution.nunique() > 1:
            told.append(
                f"resolutions differ: {', '.join(map(str, sorted(used.resolution.dropna().unique())))}"
            )
        self.row(name, value, low, high, clips, total, signature, frames, variant, told)

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
            told = self.warnings(name, clips, total)
            self.row(name, float(values.mean()), low, high, clips, total, signature, None, variant, told)

    def row(self, name, value, low, high, clips, total, signature, frames, variant, warnings) -> None:
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
        warning = "; ".join(w.replace(";", ",") for w in warnings if w)  # readers part them at the semicolons
        self.rows.append(row | {"frames": frames, "variant": variant, "warning": warning})

    def warnings(self, name: str, clips: list[str], total: int) -> list[str]:
        found = []
        role = METRICS[name].evaluator
        how = self.cell.meta["signatures"].get(role, {}).get("how")
        if how == "trained":
            found.append("evaluator trained here, not the official one: compares within this benchmark only")
        if how == "random":
            found.append("random features, not the official ones: compares within this benchmark only")
        named = self.cell.rows.drop_duplicates("clip_id").set_index("clip_id").speaker.reindex(clips)
        speakers = named.nunique()
        # without labels nobody knows how many there are
        if 0 < speakers < FEW_SPEAKERS and named.notna().all() and len(clips) > 1:
            found.append(f"the interval rests on {speakers} speaker{'s' if speakers > 1 else ''}")
        if len(clips) < total:
            found.append(f"{total - len(clips)} of {total} clips are missing")
        found += self.adapted(clips)
        return found

    def adapted(self, clips: list[str]) -> list[str]:
        """What was done to clips before they were measured: a sentence per kind of
        note, the most frequent one first.
        """
        kinds: dict[str, dict[str, str]] = {}
        for clip in clips:
            for note in self.cell.meta["notes"].get(clip, []):
                kinds.setdefault(NUMBER.sub("#", note), {})[clip] = note
        told = []
        for noted in sorted(kinds.values(), key=len, reverse=True):
            example = next(iter(noted.values()))
            such = "" if len(set(noted.values())) == 1 else "e.g. "
            named = ", ".join([*list(noted)[:NAMED], *(["..."] if len(noted) > NAMED else [])])
            told.append(f"{len(noted)} clip{'s' if len(noted) > 1 else ''} ({named}): {such}{example}")
        return told

    # --- sets ---

    def sides(self, kind: str) -> tuple[View, View, list[str]]:
        """Features of the clips that both cells have."""
        clips = sorted(set(self.cell.features.clips(kind)) & set(self.real.features.clips(kind)))
        return self.real.features.view(kind, clips), self.cell.features.view(kind, clips), clips

    def set_signature(self, role: str) -> dict[str, Any]:
        signature = self.cell.meta["signatures"].get(role, {})
        if self.real.meta["signatures"].get(role, {}).get("weights_sha256") != signature.get(
            "weights_sha256"
        ):
            what = f"the cell and the ground truth were measured with different extractors for {role!r}"
            raise EadbenchError(what, self.real.folder, "measure both again")
        return {
            "extractor": signature.get("extractor", ""),
            "weights_sha256": signature.get("weights_sha256", ""),
            "resolution": signature.get("resolution"),
        }

    def nothing(self, name: str, too_few: str, variant: str | None = None) -> None:
        role = METRICS[name].evaluator
        why = self.cell.meta["missing"].get(role, too_few)
        self.row(
            name,
            None,
            None,
            None,
            [],
            self.total,
            self.set_signature(role),
            None,
            variant,
            [f"nothing measured: {why}"],
        )
