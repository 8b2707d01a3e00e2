"""Figures on paper: frame strips, training curves, adjacency maps. Each is saved as PNG and PDF with the same bytes every time."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from eadbench.core.files import atomic_path
from eadbench.media.audio import RATE, read_audio
from eadbench.media.video import iter_frames

FPS = 25
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")  # Okabe & Ito, told apart by the colour-blind
# fonttype 42 embeds the letters as letters; the fixed salt keeps ids equal from run to run.
STYLE = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "pdf.fonttype": 42, "svg.hashsalt": "eadbench"}


def save(figure: Figure, stem: Path) -> None:
    """Write ``stem.png`` and ``stem.pdf`` and close the figure."""
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None, "Producer": None, "Creator": None})):
        with atomic_path(stem.with_name(stem.name + suffix)) as part:
            figure.savefig(part, dpi=150, bbox_inches="tight", metadata=metadata, facecolor="white")
    plt.close(figure)


def history_figure(history: pd.DataFrame) -> Figure:
    """Training curves (``schemas.HISTORY``): a panel per quantity, a colour per run, validation dashed."""
    quantities = sorted(history.quantity.unique())
    runs = sorted(history.run.unique())
    columns = min(3, len(quantities))
    rows = -(-len(quantities) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.2 * rows), squeeze=False, layout="constrained")
        for axis, quantity in zip(axes.flat, quantities, strict=False):
            for (run, split), part in history[history.quantity == quantity].groupby(["run", "split"], sort=True):
                colour = COLOURS[runs.index(run) % len(COLOURS)]
                axis.plot(part.step, part.value, color=colour, lw=1, ls="--" if split == "val" else "-", label=_plain(f"{run} ({split})"))
            axis.set_title(_plain(quantity), fontsize=8)
            axis.set_xlabel("step")
        for axis in list(axes.flat)[len(quantities) :]:
            axis.remove()
        handles: dict[str, object] = {}
        for axis in figure.axes:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    return figure


def strip_figure(rows: Sequence[tuple[str, Path]], frames: int, title: str) -> Figure:
    """Methods in rows, time in columns, the driving sound above: the form of the paper's figures 4, 5 and 6.

    Args:
        rows: (name, video) of the same clip, driven by the same sound.
        frames: Columns, spread evenly over the shortest video.
        title: Heading.
    """
    length = min(count_frames(video) for _, video in rows)
    chosen = np.unique(np.linspace(0, length - 1, frames + 2).round().astype(int)[1:-1]) if length > frames else np.arange(length)
    sound = read_audio(rows[0][1])
    with plt.rc_context(STYLE):
        count = len(chosen)
        figure = plt.figure(figsize=(1.25 * count + 1.3, 1.25 * len(rows) + 0.9), layout="constrained")
        grid = figure.add_gridspec(len(rows) + 1, count, height_ratios=[0.45, *[1] * len(rows)], wspace=0.02, hspace=0.02)
        wave = figure.add_subplot(grid[0, :])
        wave.plot(np.arange(len(sound)) / RATE, sound, color="0.35", lw=0.3, rasterized=True)
        for frame in chosen:
            wave.axvline(frame / FPS, color=COLOURS[1], lw=0.8)
        wave.set(xlim=(0, length / FPS), yticks=[], xlabel="driving sound [s]")
        wave.spines[["left"]].set_visible(False)
        for r, (name, video) in enumerate(rows, 1):
            for c, (frame, image) in enumerate(zip(chosen, pick_frames(video, chosen), strict=True)):
                axis = figure.add_subplot(grid[r, c])
                axis.imshow(image)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if c == 0:
                    axis.set_ylabel(_plain(name), rotation=0, ha="right", va="center")
                if r == len(rows):
                    axis.set_xlabel(f"{frame / FPS:.2f} s")
        figure.suptitle(_plain(title), fontsize=9)
    return figure


def count_frames(video: Path) -> int:
    """Frames of a video, by decoding it."""
    return sum(1 for _ in iter_frames(video))


def pick_frames(video: Path, chosen: np.ndarray) -> list[np.ndarray]:
    """The frames at these places, decoded one after the other."""
    wanted = set(chosen.tolist())
    return [image for k, (_, image) in enumerate(iter_frames(video)) if k in wanted]


def adjacency_figure(maps: dict[str, np.ndarray], title: str) -> Figure:
    """Heat maps of learned adjacencies, each ``(frames, frames)``: row attends to column."""
    columns = min(4, len(maps))
    rows = -(-len(maps) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(2.4 * columns, 2.4 * rows), squeeze=False, layout="constrained")
        for axis, (name, matrix) in zip(axes.flat, maps.items(), strict=False):
            image = axis.imshow(matrix, cmap="viridis", interpolation="nearest")
            axis.set_title(_plain(name), fontsize=7)
            axis.set(xlabel="from frame", ylabel="to frame")
            figure.colorbar(image, ax=axis, shrink=0.7)
        for axis in list(axes.flat)[len(maps) :]:
            axis.remove()
        figure.suptitle(_plain(title), fontsize=9)
    return figure


def _plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
