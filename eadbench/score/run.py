"""Measure folders, summarise them and build the tables."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, hash_once
from eadbench.core.progress import track
from eadbench.core.tables import KEPT, read_table, relative_to, write_table
from eadbench.media.audio import read_audio
from eadbench.media.video import iter_frames, probe, write_video
from eadbench.score.folders import REAL, Pairs
from eadbench.score.labels import Labels
from eadbench.score.output import PRINT_SUFFIXES, clips_file, groups_file
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import Evaluators
from eadbench.scores.measure import measure_cell
from eadbench.scores.workers import Workers
from eadbench.tables.config import CELLS, TablesConfig

if TYPE_CHECKING:
    from eadbench.tables.load import Built

PROTOCOL = "self"
MAIN = (
    "fid",
    "kid",
    "fvd",
    "ssim",
    "psnr",
    "lpips",
    "sync",
    "lse_d",
    "sync_offset",
    "acc_emo",
    "csim",
    "m_lmd",
    "f_lmd",
    "jitter_ratio",
    "motion_energy_ratio",
)
# shown too where a method animates one image: they compare sequences, not places
SEQUENCE_METRICS = ("lips_seq", "expression_seq")
CONTAINERS, CODECS = (".mp4", ".m4v", ".mov"), ("h264", "vp9", "av1", "libdav1d")  # what all browsers play


def columns(image_driven: bool) -> tuple[str, ...]:
    """Metrics of the table where none are named; ``image_driven``: a method animates
    one image.
    """
    return (*MAIN, *(SEQUENCE_METRICS if image_driven else ()))


def score_folders(
    pairs: Pairs,
    out: Path,
    config: ScoresConfig,
    evaluators: Evaluators,
    seed: int,
    shown: tuple[str, ...] = MAIN,
    page: Path | None = None,
    cards: Mapping[str, Path] | None = None,
    remarks: tuple[str, ...] = (),
    workers: Workers | None = None,
    by: Sequence[str] = (),
    labels: Labels | None = None,
) -> "Built":
    """Score pairs of folders.

    Writes ``out`` (``schemas.SCORES``), the main table beside it as Markdown, LaTeX and
    CSV, every value and reason of every clip as ``{out without suffix}.clips.csv``, the
    measured cells in ``{out}.cells/``, and in ``{out}.tables/`` what ``tables show``,
    ``merge``, ``export`` and ``cite`` read. Means by group go to ``.by.csv``, where
    groups are asked for.

    Args:
        pairs: What to score.
        out: The Parquet table.
        config: Settings of the metrics.
        evaluators: The networks.
        seed: Seed of the bootstrap.
        shown: Metrics of the printed table, as far as they are measured.
        page: Folder for the page with the players.
        cards: Folders of the networks, for the page.
        remarks: Further remarks below the table.
        workers: Processes that measure; ``None`` for this one.
        by: Columns of the labels that divide the clips into groups.
        labels: The labels that hold these columns.

    Returns:
        The tables as read back.
    """
    cells = out.with_name(out.name + CELLS)
    for name, tasks in pairs.tasks.items():
        cell = {"method": name, "corpus": pairs.corpus, "protocol": PROTOCOL}
        real = cells / REAL if name != REAL else None
        measure_cell(
            cell,
            tasks,
            config,
            evaluators,
            cells / name / "per_clip.parquet",
            real,
            reuse=True,
            workers=workers,
        )
    return _build_tables(
        pairs, cells, out, config, seed, shown, page, cards or {}, remarks, by, labels or Labels()
    )


def _build_tables(
    pairs: Pairs,
    cells: Path,
    out: Path,
    config: ScoresConfig,
    seed: int,
    shown: tuple[str, ...],
    page: Path | None,
    cards: Mapping[str, Path],
    remarks: tuple[str, ...],
    by: Sequence[str],
    labels: Labels,
) -> "Built":
    """Summarise measured cells and build the tables; what that needs is imported only
    now, when the videos are measured.
    """
    from eadbench.scores.summarise import SummaryCell, write_summary
    from eadbench.tables.breakdown import labelled
    from eadbench.tables.build import TableInputs, build, write_csv
    from eadbench.tables.load import folder_of, load_built
    from eadbench.tables.report import report

    ground_truth = SummaryCell.read(cells / REAL)
    summaries = [cells / name / "summary.parquet" for name in pairs.tasks]
    for path in summaries:
        write_summary(SummaryCell.read(path.parent), ground_truth, config, seed, path)
    per_clip = [path.with_name("per_clip.parquet") for path in summaries]
    clear_mixed_resolutions(summaries)
    group_labels = {name: dict(label.more) for name, label in labels.by_name.items()}
    inputs = TableInputs(
        summaries,
        per_clip,
        remarks=[*pairs.remarks, *remarks],
        clips={f"{pairs.corpus}/{PROTOCOL}": hash_of_real_videos(pairs)},
        measured=settings_beside_signatures(pairs, config),
        groups=labelled(group_labels, pairs.corpus, by),
    )
    tables = folder_of(out)
    build(inputs, tables_config(pairs, summaries, shown), seed, tables / "scores.parquet", config.few_clips)
    built = load_built(tables)
    if page is not None:
        with tempfile.TemporaryDirectory(prefix="eadbench-score-") as scratch:
            _write_page_inputs(Path(scratch), pairs, cells, cards, config.fps)
            report(tables, Path(scratch), page / "index.html")
    write_clips(per_clip, clips_file(out))
    for suffix in PRINT_SUFFIXES:
        _copy(tables / f"main.{suffix}", out.with_suffix(f".{suffix}"))
    if by:
        write_csv(groups_file(out), built.breakdown[built.breakdown.by.isin(by)])
    _copy(tables / "scores.parquet", out)
    return built


def hash_of_real_videos(pairs: Pairs) -> str:
    """sha256 over names and contents of the real videos: whether two people scored the
    same test clips.
    """
    lines = [
        f"{task.clip_id} {hash_once(task.real)}"
        for task in pairs.tasks[REAL]
        if task.real is not None and task.real.is_file()
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def settings_beside_signatures(pairs: Pairs, config: ScoresConfig) -> dict[str, Any]:
    """Settings that change values and are in no metric signature."""
    crop = any(task.crop for tasks in pairs.tasks.values() for task in tasks)
    names = ("fps", "fvd_window", "fvd_stride", "fvd_fixed_n", "silence_db")
    return {"crop": crop, **{name: getattr(config, name) for name in names}}


def tables_config(pairs: Pairs, summaries: list[Path], shown: tuple[str, ...]) -> TablesConfig:
    """A configuration of the tables that shows the folders in the order of the command
    line, the first as reference.

    Metrics of several variants get a column for each; the motion energy stands beside
    the jitter, as the tables demand.
    """
    rows = pd.concat([read_table(path, schemas.SUMMARY, ["metric", "variant"]) for path in summaries])
    by_metric = rows.drop_duplicates().groupby("metric")
    variants = {name: sorted(group.variant.dropna()) for name, group in by_metric}
    names = [name for name in shown if name in variants]
    jitters = [name for name in names if "jitter" in name]
    others = [name for name in names if name not in jitters]
    jitter_place = others.index("motion_energy_ratio") if jitters else 0
    names = [*others[:jitter_place], *jitters, *others[jitter_place:]]
    metrics: list[str] = []
    for name in names:
        several = len(variants[name]) > 1
        metrics += [f"{name}@{variant}" for variant in variants[name]] if several else [name]
    main = {
        "title": f"Scores against {pairs.corpus}",
        "corpora": [pairs.corpus],
        "metrics": metrics,
        "protocol": PROTOCOL,
    }
    methods = [name for name in pairs.tasks if name != REAL]
    return TablesConfig.model_validate({"methods": [*methods, REAL], "ground_truth": REAL, "main": main})


def clear_mixed_resolutions(summaries: list[Path]) -> None:
    """Where the videos of one metric have several sizes, no single one is its
    resolution: clear it, and say so in the warning.
    """
    frames = {path: read_table(path, schemas.SUMMARY) for path in summaries}
    sizes = (
        pd.concat(frames.values())
        .dropna(subset=["value", "resolution"])
        .groupby("metric")
        .resolution.unique()
    )
    notes = {
        metric: f"measured at several sizes ({', '.join(str(int(s)) for s in sorted(resolutions))} px)"
        for metric, resolutions in sizes.items()
        if len(resolutions) > 1
    }
    for path, frame in frames.items():
        mixed = frame.metric.isin(notes)
        if mixed.any():
            frame.loc[mixed, "resolution"] = pd.NA
            frame["warning"] = [
                "; ".join(filter(None, [warning, notes[metric]])) if metric in notes else warning
                for metric, warning in zip(frame.metric, frame.warning, strict=True)
            ]
            write_table(path, frame, schemas.SUMMARY, ["metric", "variant"])


def write_clips(per_clip: list[Path], target: Path) -> None:
    """All clips of all methods: one row per clip and metric with its value, or the
    reason why there is none.
    """
    columns = [
        "method",
        "clip_id",
        "speaker",
        "emotion",
        "metric",
        "value",
        "frames",
        "status",
        "reason",
        "note",
    ]
    with atomic_path(target) as part:
        for i, path in enumerate(per_clip):
            frame = read_table(path, schemas.PER_CLIP)[columns].astype({"frames": "Int64"})
            frame = frame.sort_values(["clip_id", "metric"], kind="stable")
            frame.to_csv(part, mode="a", header=i == 0, index=False, lineterminator="\n")


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as part:
        shutil.copyfile(source, part)


def _write_page_inputs(
    results: Path, pairs: Pairs, cells: Path, cards: Mapping[str, Path], fps: float
) -> None:
    """Write the cells in the layout of the workflow's results, which the page reads.

    Videos stay where they are; those that no browser plays, or of another frame rate
    than ``fps``, are encoded again for the page.
    """
    for method, tasks in pairs.tasks.items():
        cell = {"method": method, "corpus": pairs.corpus, "protocol": PROTOCOL}
        scores = results / "scores" / method / pairs.corpus / PROTOCOL
        samples = results / "samples" / method / pairs.corpus / PROTOCOL
        scores.mkdir(parents=True)
        for name in ("per_clip.parquet", "confusion.parquet", "provenance.json"):
            if (cells / method / name).exists():
                shutil.copyfile(cells / method / name, scores / name)
        rows = []
        for k, task in enumerate(track(tasks, f"videos of {method} for the page", unit="clip")):
            row = {
                **cell,
                "clip_id": task.clip_id,
                "speaker": task.speaker,
                "target_emotion": task.emotion,
                "status": task.status,
            }
            row["reason"] = task.problem
            if not task.problem and task.fake is not None:
                try:
                    video = playable(task.fake, samples / "videos" / f"{k}.mp4", fps)
                    row |= {"video": relative_to(video, samples), "status": KEPT}
                except EadbenchError as error:
                    row["reason"] = error.what
            rows.append(row)
        write_table(samples / "samples.parquet", rows, schemas.SAMPLES, "clip_id")
    for name, folder in cards.items():
        if (folder / "card.json").exists():
            (results / "zoo" / name).mkdir(parents=True)
            shutil.copyfile(folder / "card.json", results / "zoo" / name / "card.json")


def playable(video: Path, target: Path, fps: float) -> Path:
    """The video itself if browsers play it and it has the frame rate ``fps``, else a
    copy at ``target`` that they play.

    Raises:
        EadbenchError: If it cannot be read.
    """
    info = probe(video)
    if (
        video.suffix.lower() in CONTAINERS
        and info.codec in CODECS
        and info.fps is not None
        and abs(info.fps - fps) < 0.01
    ):
        return video
    audio = read_audio(video) if info.sample_rate is not None else None
    # H.264 in 4:2:0 needs even sides
    even_frames = (
        frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2] for _, frame in iter_frames(video, fps=fps)
    )
    write_video(target, even_frames, fps, audio=audio)
    return target
