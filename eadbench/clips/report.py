"""``clips report``: what was kept, what was lost to which reason, with example frames. One
file, nothing loaded from elsewhere.
"""

import base64
import io
import logging
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader

from eadbench.core import schemas, seals
from eadbench.core.errors import reason_of
from eadbench.core.files import write_text
from eadbench.core.tables import DROPPED, FAILED, KEPT, read_table
from eadbench.corpora.config import DRAWN
from eadbench.media.image import encode_jpeg
from eadbench.media.video import iter_frames

log = logging.getLogger(__name__)
THUMBNAILS = 24
SIDE = 112
LISTED = 40
HISTOGRAMS = {
    "seconds": "length, s",
    "face_size": "face height in the source, px",
    "detection_rate": "face found, share of frames",
    "yaw": "|yaw|, degrees",
    "jitter": "jitter, px/frame²",
    "sharpness": "sharpness",
    "brightness": "brightness",
    "sync_confidence": "SyncNet confidence",
    "av_offset": "audio-video offset, frames",
}


def write_report(corpus: str, clips: Path, out: Path, coverage: str = "", drawn: bool = False) -> None:
    """Write the page for a table of clips.

    Args:
        corpus: Its name.
        clips: The table.
        out: The page.
        coverage: What became of a test list.
        drawn: Whether its people are drawn, which page and figures then say.

    Raises:
        EadbenchError: If the table is missing.
    """
    table = read_table(clips, schemas.CLIPS)
    table["seconds"] = table["frames"] / table["fps"]
    table["head"] = [reason.split(":")[0].split(";")[0] or "kept" for reason in table["reason"]]
    lost = table[table["status"] != KEPT]
    page = Environment(loader=PackageLoader("eadbench.clips", "templates"), autoescape=True).get_template(
        "report.html.j2"
    )
    write_text(
        out,
        page.render(
            corpus=corpus,
            coverage=coverage,
            drawn=DRAWN if drawn else "",
            counts={status: int((table["status"] == status).sum()) for status in (KEPT, DROPPED, FAILED)},
            recordings=int(table["recording_id"].nunique()),
            hours=float(table.loc[table["status"] == KEPT, "seconds"].sum() / 3600),
            reasons=_reasons(table),
            groups=[
                _group(table, column)
                for column in ("split", "emotion", "speaker")
                if table[column].notna().any()
            ],
            histograms=_histograms(table, f"{corpus}: {DRAWN}" if drawn else corpus),
            kept=_thumbnails(clips, table[table["status"] == KEPT]),
            dropped=_thumbnails(clips, lost[lost["video"].notna()]),
            listed=lost[["clip_id", "status", "reason"]].head(LISTED).to_dict("records"),
            unlisted=max(0, len(lost) - LISTED),
        ),
    )


def _reasons(table: pd.DataFrame) -> list[dict[str, Any]]:
    counts = table["head"].value_counts()
    return [{"name": name, "n": int(n), "share": n / len(table)} for name, n in counts.items()]


def _group(table: pd.DataFrame, column: str) -> dict[str, Any]:
    rows = []
    for name, part in table.groupby(column, sort=True):
        kept = part[part["status"] == KEPT]
        rows.append(
            {
                "name": name,
                "candidates": len(part),
                "kept": len(kept),
                "minutes": float(kept["seconds"].sum() / 60),
            }
        )
    return {"by": column, "rows": rows}


def _histograms(table: pd.DataFrame, title: str) -> str:
    """One SVG with a panel per measure, kept against lost; no time stamp or random id
    in it, so that the page's bytes are reproducible.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    shown = {name: label for name, label in HISTOGRAMS.items() if table[name].notna().any()}
    if not shown:
        return ""
    columns = 3
    rows = -(-len(shown) // columns)
    with matplotlib.rc_context(
        {"svg.hashsalt": "eadbench", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, axes = pyplot.subplots(
            rows, columns, figsize=(11, 2.3 * rows), squeeze=False, layout="constrained"
        )
        for axis, (name, label) in zip(axes.flat, shown.items(), strict=False):
            values = table[name].dropna()
            bins = np.histogram_bin_edges(values, 30)
            kept = table["status"] == KEPT
            axis.hist(
                [values[kept], values[~kept]],
                bins,
                stacked=True,
                color=["#0b6fc0", "#d55e00"],
                label=["kept", "lost"],
            )
            axis.set_xlabel(label)
        for axis in list(axes.flat)[len(shown) :]:
            axis.set_axis_off()
        axes.flat[0].legend(frameon=False)
        figure.suptitle(title.replace("$", r"\$"), fontsize=9)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def _thumbnails(clips: Path, rows: pd.DataFrame) -> list[dict[str, str]]:
    """Middle frames of clips spread evenly over the rows."""
    chosen = (
        rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(THUMBNAILS, len(rows))).round().astype(int))]
        if len(rows)
        else rows
    )
    thumbnails = []
    for row in chosen.to_dict("records"):
        try:
            frames: Iterable = iter_frames(seals.checked(clips.parent / row["video"]))
            frame = next(islice(frames, int(row["frames"]) // 2, None), None)
        except Exception as error:
            log.warning("no frame of %s: %s", row["clip_id"], reason_of(error, row["clip_id"]))
            frame = None
        if frame is not None:
            thumbnails.append({"clip_id": row["clip_id"], "reason": row["reason"], "image": _jpeg(frame[1])})
    return thumbnails


def _jpeg(frame: np.ndarray) -> str:
    small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return base64.b64encode(encode_jpeg(small, 80)).decode()
