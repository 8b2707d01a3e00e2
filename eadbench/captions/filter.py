"""Keep or drop captions by cosine similarity with the clip's label, frames or audio."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eadbench.captions.config import FilterConfig
from eadbench.captions.frames import clip_frames
from eadbench.captions.wording import label_texts
from eadbench.core import provenance, schemas, seals
from eadbench.core.device import pick_device
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.progress import track
from eadbench.core.schemas import ClipsRow
from eadbench.core.seeds import rng_for, seed_for
from eadbench.core.tables import DROPPED, FAILED, KEPT, read_rows, read_table, write_table
from eadbench.media.audio import read_audio
from eadbench.zoo import load
from eadbench.zoo.card import read_card

log = logging.getLogger(__name__)
KINDS = {"text-label": ("sentence", "text_encoder"), "text-image": ("clip",), "text-audio": ("clap",)}


def filter_captions(
    written_path: Path,
    clips_path: Path,
    corpus: str,
    config: FilterConfig,
    parts: dict[str, Path],
    seed: int,
    device: str,
    out: Path,
) -> pd.DataFrame:
    """Score every caption and decide; write
    `results/captions/{corpus}/captions.parquet`.

    Raises:
        EadbenchError: If the embedder is missing or of a kind that cannot compare what
            the config wants, a table cannot be read, or a caption is of an unknown clip.
    """
    started = time.time()
    table = read_table(written_path, schemas.CAPTIONS)
    table = table[table.corpus == corpus].sort_values("clip_id").reset_index(drop=True)
    known = {clip.clip_id: clip for clip in read_rows(clips_path, schemas.CLIPS)}
    if unknown := sorted(set(table.clip_id) - known.keys()):
        raise EadbenchError(
            f"{len(unknown)} captions are of clips that the table lacks, e.g. {unknown[0]}",
            clips_path,
            "give the corpus's own table",
        )
    embedder, name = _open_embedder(config, parts, device)
    targets = Targets([known[clip_id] for clip_id in table.clip_id], config, embedder)
    texts = list(dict.fromkeys(table.caption.dropna()))
    where = {text: k for k, text in enumerate(texts)}
    embedded = (
        np.asarray(embedder.embed_texts(texts) if hasattr(embedder, "embed_texts") else embedder.embed(texts))
        if texts
        else np.zeros((0, 1))
    )

    swaps = swapped_clips(table, seed)
    rows_of = {clip_id: k for k, clip_id in enumerate(table.clip_id)}
    own = np.array([where.get(c, -1) for c in table.caption])
    wrong = np.array([own[rows_of[s]] if s else -1 for s in swaps])
    table["similarity"] = targets.similarity(embedded, own)
    table["swap_clip"] = swaps
    table["swap_similarity"] = targets.similarity(embedded, wrong)
    table["swap_held_out"] = held_out(table, config.swap_share, seed)
    table["similarity_kind"], table["embedder"] = config.compare, name
    decide(table, targets.reasons, config)
    _log_losses(table, corpus)
    write_table(out, table, schemas.CAPTIONS, "clip_id")
    provenance.write(
        out.parent, config.model_dump(), {"written": str(written_path), "embedder": name}, started
    )
    return table


def _open_embedder(config: FilterConfig, parts: dict[str, Path], device: str) -> tuple[Any, str]:
    if config.embedder not in parts:
        raise EadbenchError(
            "the filter's embedder was not handed over",
            config.embedder,
            f"add --part {config.embedder}=results/zoo/{config.embedder}",
        )
    card = read_card(parts[config.embedder])
    if card.kind not in KINDS[config.compare]:
        hint = f"captions.filter.embedder must be of kind {' or '.join(KINDS[config.compare])}"
        raise EadbenchError(
            f"{config.compare} cannot use an artefact of kind {card.kind!r}", config.embedder, hint
        )
    return load(parts[config.embedder], pick_device(device)), f"{card.id}@{card.sha256[:12]}"


class Targets:
    """The other side of the comparison: one unit vector per clip, or a reason why it
    has none.
    """

    def __init__(self, clips: Sequence[ClipsRow], config: FilterConfig, embedder: Any) -> None:
        self.reasons = [""] * len(clips)
        self.vectors: list[np.ndarray | None] = [None] * len(clips)
        fill = {"text-label": self._labels, "text-image": self._images, "text-audio": self._audio}[
            config.compare
        ]
        fill(clips, config, embedder)

    def similarity(self, embedded: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Cosine of each clip's vector with the embedding that ``which`` names (-1:
        none); NaN where either is missing.
        """
        return np.array(
            [
                np.nan if v is None or k < 0 else float(v @ embedded[k])
                for v, k in zip(self.vectors, which, strict=True)
            ],
            float,
        )

    def _labels(self, clips: Sequence[ClipsRow], config: FilterConfig, embedder: Any) -> None:
        known: dict[tuple, np.ndarray] = {}
        for k, clip in enumerate(clips):
            if clip.emotion is None:
                self.reasons[k] = "no label to compare with"
                continue
            key = (clip.emotion, clip.intensity)
            if key not in known:
                known[key] = _unit(np.asarray(embedder.embed(list(label_texts(*key)))).mean(0))
            self.vectors[k] = known[key]

    def _images(self, clips: Sequence[ClipsRow], config: FilterConfig, embedder: Any) -> None:
        for k, clip in enumerate(track(clips, "embed frames", unit="clip")):
            try:
                frames = clip_frames(clip.video, config.frames)
            except Exception as error:
                self.reasons[k] = reason_of(error, clip.clip_id)
                continue
            self.vectors[k] = _unit(np.asarray(embedder.embed_images(frames)).mean(0))

    def _audio(self, clips: Sequence[ClipsRow], config: FilterConfig, embedder: Any) -> None:
        for k, clip in enumerate(track(clips, "embed audio", unit="clip")):
            try:
                samples = read_audio(seals.checked(clip.audio), embedder.rate)
            except Exception as error:
                self.reasons[k] = reason_of(error, clip.clip_id)
                continue
            self.vectors[k] = np.asarray(embedder.embed_audio([samples]))[0]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def swapped_clips(table: pd.DataFrame, seed: int) -> list[str | None]:
    """For each clip with a caption another one of the table whose caption is surely
    wrong for it: of another emotion, or, where a clip has no label, of another speaker;
    ``None`` if there is none. Drawn by the clip's name.
    """
    described = table[table.caption.notna()].sort_values("clip_id")
    ids, emotions, speakers = (described[c].to_numpy() for c in ("clip_id", "emotion", "speaker"))
    chosen: list[str | None] = []
    for clip in table.itertuples():
        if not isinstance(clip.caption, str):
            chosen.append(None)
            continue
        values, own = (emotions, clip.emotion) if isinstance(clip.emotion, str) else (speakers, clip.speaker)
        fits = ids[(values != own) & pd.notna(values)] if isinstance(own, str) else ()
        chosen.append(
            str(rng_for(seed, "captions", "swap", clip.clip_id).choice(fits)) if len(fits) else None
        )
    return chosen


def held_out(table: pd.DataFrame, share: float, seed: int) -> np.ndarray:
    """Boolean per row: the ``share`` of the described clips whose captions the check
    swaps, drawn by name. Clips that the embedder did not train on (val, test) come
    first.
    """
    described = table.index[table.swap_clip.notna()]
    order = sorted(
        described,
        key=lambda k: (table.split[k] == "train", seed_for(seed, "captions", "held-out", table.clip_id[k])),
    )
    mask = np.zeros(len(table), bool)
    mask[order[: max(1, round(share * len(described)))]] = True
    return mask


def decide(table: pd.DataFrame, reasons: Sequence[str], config: FilterConfig) -> None:
    """Fill ``threshold``, ``status`` and ``reason`` in place. Quantiles are fitted on
    the training clips (on all, if there are none).
    """
    table["threshold"] = thresholds(table, config)
    for k, row in enumerate(table.itertuples()):
        if row.status == FAILED:
            continue
        status, reason = KEPT, ""
        if np.isnan(row.similarity):
            unlabelled = config.compare == "text-label" and config.unlabelled == "keep"
            status, reason = (KEPT, "") if unlabelled else (DROPPED, reasons[k] or "similarity unknown")
        elif row.similarity < row.threshold:
            status, reason = DROPPED, f"similarity {row.similarity:.3f} is below {row.threshold:.3f}"
        table.loc[row.Index, ["status", "reason"]] = [status, reason]


def thresholds(table: pd.DataFrame, config: FilterConfig) -> np.ndarray:
    """The threshold of each row."""
    if config.keep == "threshold":
        return np.full(len(table), config.value)
    fitted = table[table.similarity.notna() & (table.split == "train")]
    fitted = fitted if len(fitted) else table[table.similarity.notna()]
    whole = _lowest_kept(fitted.similarity, config.value) if len(fitted) else np.nan
    if config.per == "corpus":
        return np.full(len(table), whole)
    by_emotion = fitted.groupby("emotion").similarity.agg(_lowest_kept, config.value)
    return table.emotion.map(by_emotion).fillna(whole).to_numpy()


def _lowest_kept(similarity: pd.Series, share: float) -> float:
    """The similarity from which on clips are kept, so that ``share`` of these, rounded
    to whole clips, lies below it.

    No interpolation between clips: it would drop one of two where a tenth was asked
    for.
    """
    ordered = np.sort(similarity.to_numpy())
    return float(ordered[min(round(share * len(ordered)), len(ordered) - 1)])


def _log_losses(table: pd.DataFrame, corpus: str) -> None:
    counts = table.status.value_counts().to_dict()
    log.info(
        "%s: %s of %d captions",
        corpus,
        ", ".join(f"{n} {status}" for status, n in sorted(counts.items())),
        len(table),
    )
