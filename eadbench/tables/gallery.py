"""Videos for the side-by-side players, and the figures."""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.core.tables import KEPT, read_rows
from eadbench.corpora.config import DRAWN
from eadbench.tables.build import mark_of_runs
from eadbench.tables.config import ComparisonTable
from eadbench.tables.figures import adjacency_figure, block_name, save, strip_figure
from eadbench.tables.load import Built


@dataclass(frozen=True)
class GalleryVideos:
    """The videos of the players.

    Attributes:
        data: For the page: cells with their clips, and per clip the methods that have
            it.
        files: (method, corpus, protocol, clip) -> file in the results.
    """

    data: dict
    files: dict[tuple[str, str, str, str], Path]


@dataclass(frozen=True)
class FigureCard:
    """A figure of the page: files relative to the page, caption and alternative text."""

    png: str
    pdf: str
    caption: str
    alt: str
    group: str
    width: int
    height: int


def slug(name: str) -> str:
    """A name safe in a path and an address, distinct for distinct names."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")
    return plain if plain == name else f"{plain[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def collect_videos(built: Built, results: Path, folder: Path) -> GalleryVideos:
    """Link the rendered clips of all cells in the scores into ``folder/videos``.

    A cell whose samples are not there is left out and named in ``data["missing"]``.
    """
    cells = (
        built.scores[["method", "corpus", "protocol"]]
        .drop_duplicates()
        .sort_values(["corpus", "protocol", "method"])
    )
    order = {m: k for k, m in enumerate(built.config.methods)}
    files: dict[tuple[str, str, str, str], Path] = {}
    missing: list[str] = []
    clips_of_cell: dict[tuple[str, str], dict[str, dict]] = {}
    for cell in track(list(cells.itertuples(index=False)), "linking videos", unit="cell"):
        path = results / "samples" / cell.method / cell.corpus / cell.protocol / "samples.parquet"
        if not path.exists():
            missing.append("/".join(cell))
            continue
        clips = clips_of_cell.setdefault((cell.corpus, cell.protocol), {})
        for row in read_rows(path, schemas.SAMPLES):
            if row.status != KEPT or not row.video:
                continue
            source = seals.checked(row.video)
            if not source.exists():
                continue
            files[cell.method, cell.corpus, cell.protocol, row.clip_id] = source
            address = (
                f"videos/{slug(cell.method)}/{slug(cell.corpus)}/{cell.protocol}/{slug(row.clip_id)}.mp4"
            )
            link_or_copy(source, folder / address)
            facts = {"id": row.clip_id, "methods": {}, "speaker": row.speaker, "emotion": row.target_emotion}
            clip = clips.setdefault(row.clip_id, facts)
            clip["methods"][cell.method] = address
    page_cells = []
    for corpus, protocol in sorted(clips_of_cell, key=lambda cell: _cell_order(built, *cell)):
        page_clips = []
        for _, clip in sorted(clips_of_cell[corpus, protocol].items()):
            methods = sorted(clip["methods"], key=lambda method: (order.get(method, len(order)), method))
            page_clips.append(clip | {"methods": {method: clip["methods"][method] for method in methods}})
        page_cells.append({"corpus": corpus, "protocol": protocol, "clips": page_clips})
    return GalleryVideos({"missing": missing, "cells": page_cells}, files)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard-link where the file system allows it, else copy."""
    source, target = Path(source), Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _cell_order(built: Built, corpus: str, protocol: str) -> tuple:
    """Main corpora first, ``self`` before the other protocols."""
    corpora = [c for spec in built.config.comparisons().values() for c in spec.corpora]
    return (
        protocol != "self",
        protocol,
        corpora.index(corpus) if corpus in corpora else len(corpora),
        corpus,
    )


def make_figures(built: Built, results: Path, videos: GalleryVideos, folder: Path) -> list[FigureCard]:
    """Frame strips (like the paper's figures 4, 5 and 6), training curves and adjacency
    maps, as PNG and PDF in ``folder/figures``.
    """
    config, cards = built.config, []
    strips = [
        (
            "main",
            config.main,
            config.rows_of(config.main),
            config.figures.comparison_emotion,
            "as the paper's figure 4",
        )
    ]
    if config.ablation is not None:
        ablated = [m for m in config.methods if m in config.ablation.factors]
        strips.append(
            (
                "ablation",
                config.ablation,
                [config.ablation.reference, *ablated],
                None,
                "as the paper's figure 5",
            )
        )
    if config.generalisation is not None:
        spec = config.generalisation
        strips.append(
            (
                "generalisation",
                spec,
                config.rows_of(spec),
                config.figures.generalisation_emotion,
                "as the paper's figure 6",
            )
        )
    for name, spec, methods, emotion, paper_figure in strips:
        for corpus in spec.corpora:
            cards += _strip(
                built, videos, folder, name, spec, corpus, list(dict.fromkeys(methods)), emotion, paper_figure
            )
    curves = built.folder / "training_curves.png"
    if curves.exists():
        for suffix in (".png", ".pdf"):
            target = folder / "figures" / f"training_curves{suffix}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(curves.with_suffix(suffix).read_bytes())
        cards.append(
            _card(
                folder,
                "training_curves",
                "Validation quality of all runs.",
                "Line plots: a panel per quantity, a line per run.",
                "training",
            )
        )
    for run in sorted((results / "training").glob("*")):
        maps = read_adjacency(run)
        if maps:
            title = f"{config.label(run.name)}: learned graph over the frames"
            save(
                adjacency_figure(maps, title),
                folder / "figures" / f"adjacency_{slug(run.name)}",
                mark_of_runs(built.facts),
            )
            caption = (
                f"TFRM of {config.label(run.name)}: how much each frame (row) takes from each other "
                "frame (column), mean over validation windows."
            )
            alt = f"Heat maps of {', '.join(map(block_name, maps))}; bright where much is taken."
            cards.append(_card(folder, f"adjacency_{slug(run.name)}", caption, alt, "adjacency"))
    return cards


def _card(folder: Path, name: str, caption: str, alt: str, group: str) -> FigureCard:
    with Image.open(folder / "figures" / f"{name}.png") as image:
        width, height = image.size
    return FigureCard(f"figures/{name}.png", f"figures/{name}.pdf", caption, alt, group, width, height)


def _strip(
    built: Built,
    videos: GalleryVideos,
    folder: Path,
    table: str,
    spec: ComparisonTable,
    corpus: str,
    methods: list[str],
    emotion: str | None,
    paper_figure: str,
) -> list[FigureCard]:
    """A frame strip of the clip that most methods have, of the emotion where there is
    one.
    """
    name = f"strip_{table}_{slug(corpus)}"
    clip = pick_clip(videos, corpus, spec.protocol, methods, emotion)
    if clip is None:
        return []
    truth, title = built.config.ground_truth, next(t.title for t in built.tables if t.name == table)
    rows = [
        (m, videos.files.get((m, corpus, spec.protocol, clip["id"])))
        for m in dict.fromkeys([truth, *methods])
    ]
    rows = [(built.config.label(m), path) for m, path in rows if path is not None]
    caption = f"{built.config.label(corpus)}, clip {clip['id']}" + (
        f" ({clip['emotion']})" if clip["emotion"] else ""
    )
    try:
        mark = DRAWN if corpus in built.facts.drawn else ""
        save(
            strip_figure(rows, built.config.figures.frames, f"{title}: {caption}"),
            folder / "figures" / name,
            mark,
        )
    except EadbenchError as error:
        raise EadbenchError(
            f"a figure's video cannot be read: {error.what}", error.where, error.hint
        ) from error
    alt = (
        f"Frames of {len(rows)} methods at {built.config.figures.frames} moments of the same clip, driven "
        "by the same audio: " + ", ".join(n for n, _ in rows)
    )
    mark_sentence = f" {DRAWN.capitalize()}." if mark else ""
    return [
        _card(
            folder,
            name,
            f"{title}: {caption}. Methods in rows, time in columns, {paper_figure}.{mark_sentence}",
            alt,
            "strips",
        )
    ]


def pick_clip(
    videos: GalleryVideos, corpus: str, protocol: str, methods: list[str], emotion: str | None
) -> dict | None:
    """The clip that most of the methods have; of the wanted emotion if any is; the
    first by name among equals.
    """
    clips = [
        c
        for cell in videos.data["cells"]
        if (cell["corpus"], cell["protocol"]) == (corpus, protocol)
        for c in cell["clips"]
    ]
    clips = [c for c in clips if any(m in c["methods"] for m in methods)]
    of_emotion = [c for c in clips if c["emotion"] == emotion]
    return max(of_emotion or clips, key=lambda c: sum(m in c["methods"] for m in methods), default=None)


def read_adjacency(run: Path) -> dict[str, np.ndarray]:
    """Frame graphs that a run wrote to ``adjacency.safetensors``: block ->
    ``(frames, frames)``, the mean over the rounds.

    Raises:
        EadbenchError: If the file is damaged.
    """
    path = run / "adjacency.safetensors"
    if not path.exists():
        return {}
    try:
        maps = load_file(path)
    except (SafetensorError, OSError) as error:
        raise EadbenchError(
            f"the frame graphs cannot be read: {error}", path, "delete the run's card.json and train it again"
        ) from error
    means = {
        block: graph.astype(np.float32).reshape(-1, *graph.shape[-2:]).mean(0)
        for block, graph in maps.items()
        if graph.ndim >= 2
    }
    return dict(sorted(means.items()))
