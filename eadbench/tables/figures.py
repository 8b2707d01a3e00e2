"""Figures on paper: frame strips, training curves, adjacency maps. Each is saved as PNG
and PDF with the same bytes every time.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from eadbench.core.files import atomic_path
from eadbench.media.audio import RATE, read_audio
from eadbench.media.video import iter_frames, probe

FPS = 25
SPLITS = {"train": "training", "val": "validation"}
TITLE_WIDTH = 34  # letters of a panel's title before it is broken
MARK_COLOUR = "#a04000"
LABEL_WIDTH = 24  # letters of a row's name before it is broken
FEW_POINTS = 5  # curves with fewer show their points
# Quantities of a training history in words, the most informative first; of validation
# where there are values.
QUANTITIES = {
    "noise": "noise prediction error",
    "audio_sensitivity": "use of the audio: error with other audio, relative",
    "emotion_sensitivity": "use of the emotion: error with another one, relative",
    "noise_other_sound": "error with another clip's audio",
    "noise_other_emotion": "error with another clip's emotion",
    "within_one_frame": "offset right within one frame, share",
    "found": "lips and audio matched, share",
    "cosine_in_sync": "cosine of lips and audio in sync",
    "l1": "pixel error (L1)",
    "sync": "sync loss",
    "lpips": "LPIPS loss",
    "trepa": "TREPA loss",
    "loss": "loss",
}
# how a run went, not how good it is
RUNNING = ("data_wait", "gradient_norm", "learning_rate", "lr", "seconds_per_step")
# Okabe & Ito, which the colour-blind can distinguish
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
# fonttype 42 embeds the letters as letters; the fixed salt keeps ids equal from run to
# run.
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "eadbench",
}


def save(figure: Figure, stem: Path, mark: str = "") -> None:
    """Write ``stem.png`` and ``stem.pdf`` and close the figure; ``mark``, e.g. that its
    people are drawn, is printed below it.
    """
    if mark:
        figure.text(1, -0.01, _plain(mark), fontsize=7, ha="right", va="top", color=MARK_COLOUR)
    for suffix, metadata in (
        (".png", {"Software": None}),
        (".pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
    ):
        with atomic_path(stem.with_name(stem.name + suffix)) as part:
            figure.savefig(part, dpi=150, bbox_inches="tight", metadata=metadata, facecolor="white")
    plt.close(figure)


def quality(history: pd.DataFrame) -> list[str]:
    """Quantities that measure how good a run is, those of validation first, in the order
    of ``QUANTITIES``.
    """
    order = list(QUANTITIES)
    validated = set(history.quantity[history.split == "val"])
    names = [name for name in history.quantity.unique() if name not in RUNNING]
    places = {name: order.index(name) if name in order else len(order) for name in names}
    return sorted(names, key=lambda name: (name not in validated, places[name], name))


def history_figure(history: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Figure:
    """Training curves (``schemas.HISTORY``) for a paper: validation quality, a panel
    per quantity and a colour per run.

    Args:
        history: All runs. Where none was validated, the quantities of training are
            shown.
        labels: Names of runs in print.
    """
    validated = set(history.quantity[history.split == "val"])
    quantities = [name for name in quality(history) if name in validated or not validated]
    runs = sorted(history.run.unique())
    columns = min(3, len(quantities))
    rows = -(-len(quantities) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.0 * columns, 2.1 * rows), squeeze=False, layout="constrained"
        )
        for axis, quantity in zip(axes.flat, quantities, strict=False):
            for (run, split), part in history[history.quantity == quantity].groupby(
                ["run", "split"], sort=True
            ):
                style = (
                    {"ls": "-", "lw": 1.4, "marker": "o", "ms": 3} if split == "val" else {"ls": ":", "lw": 1}
                )
                style |= {"marker": "."} if len(part) < FEW_POINTS and split != "val" else {}
                name = (labels or {}).get(run, run)
                axis.plot(
                    part.step,
                    part.value,
                    color=COLOURS[runs.index(run) % len(COLOURS)],
                    label=_plain(f"{name}, {SPLITS[split]}"),
                    **style,
                )
            axis.set_title(_plain(textwrap.fill(QUANTITIES.get(quantity, quantity), TITLE_WIDTH)), fontsize=8)
            axis.set_xlabel("step")
        for axis in list(axes.flat)[len(quantities) :]:
            axis.remove()
        handles: dict[str, object] = {}
        for axis in figure.axes:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=min(3, 2 * columns),
            frameon=False,
            fontsize=7,
        )
    return figure


def strip_figure(rows: Sequence[tuple[str, Path]], frames: int, title: str) -> Figure:
    """Methods in rows, time in columns, the driving audio above: the form of the
    paper's figures 4, 5 and 6.

    Args:
        rows: (name, video) of the same clip, driven by the same audio.
        frames: Columns, spread evenly over the shortest video.
        title: Heading.
    """
    length = min(count_frames(video) for _, video in rows)
    chosen = (
        np.unique(np.linspace(0, length - 1, frames + 2).round().astype(int)[1:-1])
        if length > frames
        else np.arange(length)
    )
    labels = [_plain(textwrap.fill(name, LABEL_WIDTH)) for name, _ in rows]
    with plt.rc_context(STYLE):
        longest = max(len(line) for label in labels for line in label.split("\n"))
        sheet = _Sheet(len(rows), len(chosen), longest)
        wave = _wave(sheet, _waveform(rows[0][1]), length, chosen)
        for r, (label, (_, video)) in enumerate(zip(labels, rows, strict=True)):
            for c, (frame, image) in enumerate(zip(chosen, pick_frames(video, chosen), strict=True)):
                axis = sheet.cell(r, c)
                axis.imshow(image, aspect="equal", interpolation="lanczos")
                if c == 0:
                    axis.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)
                if r == 0:  # a line from the moment in the audio down to its column
                    ends = {
                        "xyA": (frame / FPS, 0),
                        "coordsA": wave.get_xaxis_transform(),
                        "xyB": (0.5, 1),
                        "coordsB": axis.transAxes,
                    }
                    sheet.figure.add_artist(ConnectionPatch(**ends, color=COLOURS[1], lw=0.7))
                if r == len(rows) - 1:
                    axis.set_xlabel(f"{frame / FPS:.2f} s")
        sheet.figure.text(sheet.left, 1 - 0.06 / sheet.height, _plain(title), fontsize=9, ha="left", va="top")
    return sheet.figure


class _Sheet:
    """A figure of square images with narrow gaps; all lengths in inches.

    Attributes:
        figure: The figure.
        left: Left edge of the images, as a share of the width.
        height: Of the figure.
    """

    SIDE, GAP, HEAD, FOOT, LETTER = 1.2, 0.035, 1.05, 0.3, 0.062

    def __init__(self, rows: int, columns: int, letters: int) -> None:
        self._label = max(0.7, self.LETTER * letters + 0.15)
        self.width = self._label + columns * (self.SIDE + self.GAP) + 0.05
        self.height = self.HEAD + rows * (self.SIDE + self.GAP) + self.FOOT
        self.left = self._label / self.width
        self.figure = plt.figure(figsize=(self.width, self.height))

    def place(self, x: float, top: float, width: float, height: float) -> Axes:
        """Axes without frame or ticks at inches from the images' left edge and the
        top.
        """
        axis = self.figure.add_axes(
            (
                (self._label + x) / self.width,
                1 - (top + height) / self.height,
                width / self.width,
                height / self.height,
            ),
            xticks=[],
            yticks=[],
        )
        axis.spines[:].set_visible(False)
        return axis

    def cell(self, row: int, column: int) -> Axes:
        """Axes of one image."""
        step = self.SIDE + self.GAP
        return self.place(column * step, self.HEAD + row * step, self.SIDE, self.SIDE)


def _wave(sheet: _Sheet, waveform: np.ndarray, length: int, chosen: np.ndarray) -> Axes:
    """The driving audio over the images, with a mark at each chosen moment."""
    wave = sheet.place(0, 0.3, sheet.width - sheet._label - 0.05, 0.5)
    wave.plot(np.arange(len(waveform)) / RATE, waveform, color="0.35", lw=0.3, rasterized=True)
    for frame in chosen:
        wave.axvline(frame / FPS, color=COLOURS[1], lw=0.7)
    peak = max(float(np.abs(waveform).max(initial=0)), 1e-3)
    wave.set(xlim=(0, length / FPS), ylim=(-peak, peak))
    wave.set_ylabel("driving audio", rotation=0, ha="right", va="center", labelpad=6, color="0.35")
    return wave


def _waveform(video: Path) -> np.ndarray:
    """A video's audio; of one without, silence."""
    return np.zeros(0, np.float32) if probe(video).sample_rate is None else read_audio(video)


def count_frames(video: Path) -> int:
    """Frames of a video, by decoding it."""
    return sum(1 for _ in iter_frames(video))


def pick_frames(video: Path, chosen: np.ndarray) -> list[np.ndarray]:
    """The frames at these places, decoded one after the other."""
    frame_numbers = set(chosen.tolist())
    return [image for k, (_, image) in enumerate(iter_frames(video)) if k in frame_numbers]


def adjacency_figure(maps: dict[str, np.ndarray], title: str) -> Figure:
    """Heat maps of learned graphs on one colour scale, each ``(frames, frames)``: what
    the row's frame takes from the column's.
    """
    columns = min(5, len(maps))
    rows = -(-len(maps) // columns)
    top = max(float(matrix.max()) for matrix in maps.values())
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(1.9 * columns + 0.8, 2.0 * rows + 0.5),
            squeeze=False,
            layout="constrained",
            sharey=True,
        )
        for index, (axis, (name, matrix)) in enumerate(zip(axes.flat, maps.items(), strict=False)):
            image = axis.imshow(matrix, cmap="viridis", interpolation="nearest", vmin=0, vmax=top)
            axis.set_title(_plain(block_name(name)), fontsize=8)
            axis.set(xlabel="from frame", ylabel="to frame" if index % columns == 0 else "")
            axis.spines[:].set_visible(False)
        for axis in list(axes.flat)[len(maps) :]:
            axis.remove()
        figure.colorbar(image, ax=figure.axes, shrink=0.8, label="share")
        figure.suptitle(_plain(title), fontsize=9)
    return figure


def block_name(name: str) -> str:
    """``down_blocks.1`` as ``down, level 2``."""
    direction, _, level = name.partition("_blocks.")
    if name == "mid_block":
        return "middle"
    return f"{direction}, level {int(level) + 1}" if level.isdigit() else name


def _plain(text: str) -> str:
    """Text in which matplotlib reads no formula."""
    return text.replace("$", r"\$")
