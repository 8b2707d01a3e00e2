"""Whether a method follows the intensity that it is asked for: protocol ``dial``."""

import duckdb
import numpy as np
import pandas as pd

from eadbench.core import schemas
from eadbench.core.protocols import DIAL, INTENSITIES
from eadbench.tables.breakdown import clustered_mean
from eadbench.tables.config import TablesConfig
from eadbench.tables.render import estimate
from eadbench.tables.wide import decimals_for

SHARES = ("probability", "rising")  # from 0 to 1, and so are their intervals
TITLE = "Response to the intensity asked for"
MEASURES = {"probability": "p_emo", "va_error": "va_error"}  # of a clip at one intensity
LEGEND = (
    "Another emotion than the clip's is asked for at rising intensity, with the same face, audio, reference, "
    "text source and noise. P: probability that the evaluator gives that emotion, mean over clips. Slope: of "
    "a line through a clip's probabilities, per unit of intensity, mean over the clips that have all "
    f"{len(INTENSITIES)}. Rising: share of those clips whose probability never falls; "
    "chance alone gives 1 in 120. V-A error: distance to the place asked for in the valence-arousal plane, "
    "mean over all intensities. In brackets 95 % intervals, clustered by speaker, where there are any."
)


def dial(base: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The response of every method that rendered the protocol (``schemas.DIAL``); no
    rows if none did.

    Args:
        base: With the table ``per_clip``, see ``gather.open_per_clip``.
    """
    cursor = base.cursor()
    clips = cursor.execute(
        """
        SELECT method, corpus, protocol, metric, clip_id, coalesce(speaker, 'clip ' || clip_id) AS speaker,
            value
        FROM per_clip WHERE list_contains($cells, protocol) AND list_contains($metrics, metric)
        ORDER BY ALL
        """,
        {"cells": list(DIAL), "metrics": list(MEASURES.values())},
    ).df()
    cursor.close()
    clips["intensity"] = clips.protocol.map(DIAL)
    rows = []
    for (method, corpus), cell in clips.groupby(["method", "corpus"]):
        for quantity, name in MEASURES.items():
            chosen = cell[cell.metric == name]
            for intensity, group in chosen.groupby("intensity"):
                rows.append(_row(method, corpus, quantity, intensity, group.value, group.speaker))
        probabilities = cell[cell.metric == "p_emo"].pivot(
            index="clip_id", columns="intensity", values="value"
        )
        probabilities = probabilities.reindex(columns=INTENSITIES).dropna()
        clip_errors = cell[cell.metric == "va_error"].groupby("clip_id").value.mean()
        rising = (np.diff(probabilities.to_numpy(), axis=1) >= 0).all(1).astype(float)
        speakers = cell.drop_duplicates("clip_id").set_index("clip_id").speaker
        rows += [
            _row(method, corpus, "va_error", None, clip_errors, speakers[clip_errors.index]),
            _row(
                method, corpus, "slope", None, slopes(probabilities.to_numpy()), speakers[probabilities.index]
            ),
            _row(method, corpus, "rising", None, rising, speakers[probabilities.index]),
        ]
    return pd.DataFrame(filter(None, rows), columns=schemas.DIAL.names).astype({"intensity": float})


def slopes(probabilities: np.ndarray) -> np.ndarray:
    """Slope of a least-squares line through each row ``(N, intensities)``, per unit of
    intensity.
    """
    centred = np.array(INTENSITIES) - np.mean(INTENSITIES)
    return probabilities @ centred / (centred @ centred)


def _row(method, corpus, quantity, intensity, values, speakers) -> dict | None:
    """A row; nothing without a clip."""
    values = np.asarray(values, float)
    if not len(values):
        return None
    value, low, high, count = clustered_mean(values, list(speakers))
    if quantity in SHARES and low is not None:
        low, high = max(0.0, low), min(1.0, high)
    return {
        "method": method,
        "corpus": corpus,
        "quantity": quantity,
        "intensity": intensity,
        "value": value,
        "low": low,
        "high": high,
        "n": len(values),
        "speakers": count,
    }


def dial_text(frame: pd.DataFrame, config: TablesConfig) -> pd.DataFrame:
    """The table for print: methods in rows."""
    order = {method: index for index, method in enumerate(config.methods)}
    lines = []
    cells = set(zip(frame.method, frame.corpus, strict=True))
    for method, corpus in sorted(cells, key=lambda cell: (cell[1], order.get(cell[0], len(order)))):
        cell_rows = frame[(frame.method == method) & (frame.corpus == corpus)]
        line = {"Method": config.label(method), "Corpus": config.label(corpus)}
        for intensity in INTENSITIES:
            line[f"P at {intensity:g}"] = _shown(cell_rows, "probability", intensity)
        line["Slope ↑"] = _shown(cell_rows, "slope")
        line["Rising ↑"] = _shown(cell_rows, "rising")
        line["V-A error ↓"] = _shown(cell_rows, "va_error")
        slope_clips = cell_rows[cell_rows.quantity == "slope"].n
        lines.append(line | {"n": str(slope_clips.iloc[0]) if len(slope_clips) else "0"})
    return pd.DataFrame(lines)


def _shown(cell_rows: pd.DataFrame, quantity: str, intensity: float | None = None) -> str:
    """``0.41 [0.32, 0.50]``."""
    rows = cell_rows[
        (cell_rows.quantity == quantity)
        & (cell_rows.intensity.isna() if intensity is None else cell_rows.intensity.eq(intensity))
    ]
    if not len(rows):
        return "–"
    row = rows.iloc[0]
    return estimate(row.value, row.low, row.high, max(2, decimals_for([row.value])))
