"""From per-clip values and features to one row per metric, with an interval and what to know before quoting it."""

import json
import logging
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
from eadbench.core.seeds import rng_for
from eadbench.core.tables import KEPT, read_table, write_table
from eadbench.scores.bootstrap import FrechetBootstrap, interval, interval_about, mean_interval, replicate_all, resamplings
from eadbench.scores.config import ScoresConfig
from eadbench.scores.frechet import frechet_distance
from eadbench.scores.kid import ClipKernels
from eadbench.scores.metrics import METRICS
from eadbench.scores.store import FEATURES, META, Features, View

log = logging.getLogger(__name__)
KID_ROWS = 2000  # frames a side that KID looks at, spread evenly: its kernel matrix is of that size
FIXED_DRAWS = 50
FEW_SPEAKERS = 3


@dataclass
class Cell:
    """A measured cell, read back."""

    folder: Path
    rows: pd.DataFrame
    meta: dict[str, Any]
    features: Features

    @classmethod
    def read(cls, folder: Path) -> "Cell":
        """Read a cell.

        Raises:
            EadbenchError: If a file is missing or damaged.
        """
        rows = read_table(folder / "per_clip.parquet", schemas.PER_CLIP)
        seals.check(folder / META)
        try:
            meta = json.loads((folder / META).read_text())
        except (OSError, ValueError) as error:
            raise EadbenchError(f"cannot be read: {error}", folder / META, "measure the cell again") from error
        return cls(folder, rows, meta, Features(folder / FEATURES))

    @property
    def name(self) -> dict[str, str]:
        """Method, corpus and protocol."""
        return {k: self.meta["cell"][k] for k in ("method", "corpus", "protocol")}

    def speakers(self, clips: Iterable[str]) -> list[str]:
        """Speakers of clips; a clip without one is a cluster of its own."""
        known = self.rows.drop_duplicates("clip_id").set_index("clip_id").speaker
        return [known[c] if isinstance(known[c], str) else f"clip {c}" for c in clips]


def summarise_cell(cell: Cell, real: Cell, config: ScoresConfig, seed: int) -> pd.DataFrame:
    """Summary rows of a cell.

    Args:
        cell: What a method made.
        real: The ground truth's cell of the same corpus, protocol ``self``.
        config: As the cell was measured, and how intervals are had.
        seed: Seed of the bootstrap.
    """
    summary = _Summary(cell, real, config, seed)
    for name in track(config.metrics, "sum up", unit="metric"):
        summary.add(name)
    return pd.DataFrame(summary.rows, columns=schemas.SUMMARY.names).astype({"resolution": "Int64", "frames": "Int64"})


def write_summary(cell: Cell, real: Cell, config: ScoresConfig, seed: int, out: Path) -> pd.DataFrame:
    """Write ``summary.parquet`` and, beside it, ``confusion.parquet``."""
    rows = summarise_cell(cell, real, config, seed)
    write_table(out.parent / "confusion.parquet", confusion(cell), schemas.CONFUSION)
    write_table(out, rows, schemas.SUMMARY, ["metric", "variant"])
    return rows


def confusion(cell: Cell) -> pd.DataFrame:
    """How often each emotion asked for was judged to be which (`schemas.CONFUSION`), zeros included; no rows if none was asked for or none judged."""
    classes = cell.meta["rulers"].get("emotion", {}).get("classes", [])
    rows = cell.rows[(cell.rows.metric == "acc_emo") & cell.rows.emotion.notna()]
    logits = {clip: cell.features.get("emotion", clip) for clip in rows.clip_id} if classes else {}
    counts = Counter(
        (asked, classes[int(logits[clip].argmax())]) for clip, asked in zip(rows.clip_id, rows.emotion, strict=True) if logits.get(clip) is not None
    )
    pairs = product(sorted(set(rows.emotion)), classes)
    return pd.DataFrame([cell.name | {"asked": asked, "judged": judged, "n": counts[asked, judged]} for asked, judged in pairs])


class _Summary:
    def __init__(self, cell: Cell, real: Cell, config: ScoresConfig, seed: int) -> None:
        self.cell, self.real, self.config, self.seed = cell, real, config, seed
        self.rows: list[dict[str, Any]] = []
        self.total = cell.rows.clip_id.nunique()
        self._drawn: dict[tuple[str, ...], np.ndarray] = {}

    def add(self, name: str) -> None:
        """Append the row, or rows, of a metric."""
        special = {"fid": self._fid, "kid": self._kid, "fvd": self._fvd, "fvd_fixed": self._fvd_fixed, "acc_emo_recall": self._recall}
        if name in special:
            special[name]()
        elif name == "acc_emo_real":
            self._acc_emo_real()
        else:
            rows = self.cell.rows[self.cell.rows.metric == name]
            self._mean(name, rows, self.total, self._variant(name))

    def counts(self, clips: list[str]) -> np.ndarray:
        """Resamplings of these clips; the same for all metrics and methods that have the same clips."""
        key = tuple(clips)
        if key not in self._drawn:
            self._drawn[key] = resamplings(self.cell.speakers(clips), self.config.bootstrap, self.seed, self.cell.name["corpus"])
        return self._drawn[key]

    def _variant(self, name: str) -> str | None:
        return self.cell.meta["rulers"].get(METRICS[name].judge, {}).get("variant") or None

    def _mean(self, name: str, rows: pd.DataFrame, total: int, variant: str | None, warnings: tuple[str, ...] = ()) -> None:
        used = rows[(rows.status == KEPT) & rows.value.notna()].sort_values("clip_id")
        clips, values = used.clip_id.tolist(), used.value.to_numpy(float)
        value = float(values.mean()) if len(values) else None
        low, high = mean_interval(values, self.counts(clips)) if len(values) else (None, None)
        first = (used if len(used) else rows).iloc[:1]
        ruler = (
            {key: first[key].iloc[0] for key in ("extractor", "weights_sha256", "resolution")}
            if len(first)
            else {"extractor": "", "weights_sha256": ""}
        )
        frames = int(used.frames.fillna(0).sum()) if len(used) else None
        told = [*warnings, *self._warnings(name, clips, total)]
        if not len(values) and len(rows):
            told.insert(0, f"nothing measured: {rows.reason.value_counts().index[0]}")
        if used.resolution.nunique() > 1:
            told.append(f"resolutions differ: {', '.join(map(str, sorted(used.resolution.dropna().unique())))}")
        self._row(name, value, low, high, clips, total, ruler, frames, variant, told)

    def _row(self, name, value, low, high, clips, total, ruler, frames, variant, warnings) -> None:
        numbers = {k: v if v is not None and np.isfinite(v) else None for k, v in {"value": value, "low": low, "high": high}.items()}
        row = {**self.cell.name, "metric": name, **numbers, "n": len(clips), "n_missing": total - len(clips), **ruler}
        warning = "; ".join(w.replace(";", ",") for w in warnings if w)  # readers part them at the semicolons
        self.rows.append(row | {"frames": frames, "variant": variant, "warning": warning})

    def _warnings(self, name: str, clips: list[str], total: int) -> list[str]:
        found = []
        role = METRICS[name].judge
        how = self.cell.meta["rulers"].get(role, {}).get("how")
        if how == "trained":
            found.append("judge trained here, not the official one: compares within this benchmark only")
        if how == "random":
            found.append("random features, not the official ones: compares within this benchmark only")
        speakers = len(set(self.cell.speakers(clips)))
        if 0 < speakers < FEW_SPEAKERS:
            found.append(f"the interval rests on {speakers} speaker{'s' if speakers > 1 else ''}")
        if len(clips) < total:
            found.append(f"{total - len(clips)} of {total} clips are missing")
        noted = [self.cell.meta["notes"].get(clip) for clip in clips]
        changed = sum(note is not None for note in noted)
        if changed:
            example = next(note for note in noted if note)[0]
            found.append(f"{changed} clips were adapted, e.g. {example}")
        return found

    # --- emotions ---

    def _recall(self) -> None:
        rows = self.cell.rows[self.cell.rows.metric == "acc_emo"]
        for emotion in sorted(set(rows.emotion.dropna())):
            chosen = rows[rows.emotion == emotion]
            self._mean("acc_emo_recall", chosen, len(chosen), emotion)

    def _acc_emo_real(self) -> None:
        own = self.cell.rows[(self.cell.rows.metric == "acc_emo") & (self.cell.rows.status == KEPT)].clip_id
        rows = self.real.rows[(self.real.rows.metric == "acc_emo") & self.real.rows.clip_id.isin(own)]
        self._mean("acc_emo_real", rows, len(own), None)

    # --- sets ---

    def _sides(self, kind: str) -> tuple[View, View, list[str]]:
        """Features of the clips that both cells have."""
        clips = sorted(set(self.cell.features.clips(kind)) & set(self.real.features.clips(kind)))
        return self.real.features.view(kind, clips), self.cell.features.view(kind, clips), clips

    def _set_ruler(self, role: str) -> dict[str, Any]:
        ruler = self.cell.meta["rulers"].get(role, {})
        if self.real.meta["rulers"].get(role, {}).get("weights_sha256") != ruler.get("weights_sha256"):
            what = f"the cell and the ground truth were measured with different extractors for {role!r}"
            raise EadbenchError(what, self.real.folder, "measure both again")
        return {"extractor": ruler.get("extractor", ""), "weights_sha256": ruler.get("weights_sha256", ""), "resolution": ruler.get("resolution")}

    def _nothing(self, name: str, too_few: str, variant: str | None = None) -> None:
        role = METRICS[name].judge
        why = self.cell.meta["missing"].get(role, too_few)
        self._row(name, None, None, None, [], self.total, self._set_ruler(role), None, variant, [f"nothing measured: {why}"])

    def _frechet(self, name: str, kind: str, variant: str | None, unit: str) -> None:
        real, fake, clips = self._sides(kind)
        if sum(map(len, fake)) < 2:
            self._nothing(name, f"fewer than two {unit} in common", variant)
            return
        bootstrap = FrechetBootstrap(real, fake)
        counts = self.counts(clips)
        low, high = interval_about(bootstrap.value, replicate_all(bootstrap.replicate, counts, counts), 0.0) if len(counts) else (None, None)
        rows, dims = bootstrap.rows, bootstrap.sides[1].sums.shape[1]
        told = self._warnings(name, clips, self.total)
        if rows <= dims:
            told.insert(0, f"{rows} {unit} for {dims} features: biased upwards, compare only at the same n")
        self._row(name, bootstrap.value, low, high, clips, self.total, self._set_ruler(METRICS[name].judge), rows, variant, told)

    def _fid(self) -> None:
        self._frechet("fid", "inception", None, "frames")

    def _fvd(self) -> None:
        for protocol in self.config.fvd_protocols:
            self._frechet("fvd", f"i3d-{protocol}", protocol, "windows")

    def _kid(self) -> None:
        *sides, clips = self._sides("inception")
        if len(clips) < 2:
            self._nothing("kid", "fewer than two clips in common")
            return
        (real, real_clip), (fake, fake_clip) = map(_thinned, sides)
        kernels = ClipKernels(real, real_clip, fake, fake_clip, len(clips))
        ones, counts = np.ones(len(clips)), self.counts(clips)
        value = kernels.value(ones, ones)
        low, high = interval_about(value, replicate_all(kernels.value, counts, counts)) if len(counts) else (None, None)
        told = self._warnings("kid", clips, self.total)
        self._row("kid", value, low, high, clips, self.total, self._set_ruler("fid"), len(fake), None, told)

    def _fvd_fixed(self) -> None:
        size = self.config.fvd_fixed_n
        for protocol in self.config.fvd_protocols:
            *sides, clips = self._sides(f"i3d-{protocol}")
            variant = f"{protocol},n={size}"
            windows = min(sum(map(len, side)) for side in sides)
            if windows < size:
                self._nothing("fvd_fixed", f"{windows} windows in common, {size} needed", variant)
                continue
            real, fake = (np.concatenate(list(side)) for side in sides)
            rng = rng_for(self.seed, "fvd_fixed", protocol)
            values = np.array([_fixed(real, fake, size, rng) for _ in range(FIXED_DRAWS)])
            told = ["the interval is that of the draws of windows, not of clips", *self._warnings("fvd_fixed", clips, self.total)]
            low, high = interval(values)
            self._row("fvd_fixed", float(values.mean()), low, high, clips, self.total, self._set_ruler("fvd"), size, variant, told)


def _fixed(real: np.ndarray, fake: np.ndarray, size: int, rng: np.random.Generator) -> float:
    """FVD of ``size`` windows a side, the same ones where both have as many."""
    chosen = rng.choice(len(real), size, replace=False)
    other = chosen if len(real) == len(fake) else rng.choice(len(fake), size, replace=False)
    return frechet_distance(real[chosen], fake[other])


def _thinned(view: View) -> tuple[np.ndarray, np.ndarray]:
    """At most about ``KID_ROWS`` rows, spread evenly, with the number of the clip of each."""
    step = -(-sum(map(len, view)) // KID_ROWS)
    kept = [features[::step] for features in view]
    return np.concatenate(kept), np.repeat(np.arange(len(kept)), [len(k) for k in kept])
