"""Measure folders, sum up, and hand over to the tables."""

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
from eadbench.score.place import BESIDE, clips_of, groups_file
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
ELASTIC = ("lips_seq", "expression_seq")  # in the place of those that ask for the same place
CONTAINERS, CODECS = (".mp4", ".m4v", ".mov"), ("h264", "vp9", "av1", "libdav1d")  # what all browsers play


def columns(image_driven: bool) -> tuple[str, ...]:
    """Metrics of the table where none are named; ``image_driven``: a method animates
    one image.
    """
    return (*MAIN, *(ELASTIC if image_driven else ()))


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
        config: How.
        evaluators: The networks.
        seed: Seed of the bootstrap.
        shown: Metrics of the printed table, as far as they are measured.
        page: Folder for the page with the players.
        cards: Folders of the networks, for the page.
        remarks: What else to say below the table.
        workers: Processes that measure; ``None`` for this one.
        by: Columns of the labels that part the clips into groups.
        labels: Where they stand.

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
    return _printed(
        pairs, cells, out, config, seed, shown, page, cards or {}, remarks, by, labels or Labels()
    )


def _printed(
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
    """Sum up measured cells and build the tables; what that needs is imported only now,
    when the videos are done.
    """
    from eadbench.scores.summarise import SummaryCell, write_summary
    from eadbench.tables.breakdown import labelled
    from eadbench.tables.build import TableInputs, build, write_csv
    from eadbench.tables.load import folder_of, load_built
    from eadbench.tables.report import report

    truth = SummaryCell.read(cells / REAL)
    for name in pairs.tasks:
        write_summary(SummaryCell.read(cells / name), truth, config, seed, cells / name / "summary.parquet")
    per_clip = [cells / name / "per_clip.parquet" for name in pairs.tasks]
    summaries = [cells / name / "summary.parquet" for name in pairs.tasks]
    one_resolution(summaries)
    inputs = TableInputs(
        summaries,
        per_clip,
        remarks=[*pairs.remarks, *remarks],
        clips={f"{pairs.corpus}/{PROTOCOL}": real_videos(pairs)},
        measured=untold(pairs, config),
        groups=labelled({name: dict(one.more) for name, one in labels.by_name.items()}, pairs.corpus, by),
    )
    tables = folder_of(out)
    build(inputs, tables_config(pairs, summaries, shown), seed, tables / "scores.parquet", config.few_clips)
    built = load_built(tables)
    if page is not None:
        with tempfile.TemporaryDirectory(prefix="eadbench-score-") as scratch:
            _lay_out(Path(scratch), pairs, cells, cards, config.fps)
            report(tables, Path(scratch), page / "index.html")
    write_clips(per_clip, clips_of(out))
    for suffix in BESIDE:
        _copy(tables / f"main.{suffix}", out.with_suffix(f".{suffix}"))
    if by:
        write_csv(groups_file(out), built.breakdown[built.breakdown.by.isin(by)])
    _copy(tables / "scores.parquet", out)
    return built


def real_videos(pairs: Pairs) -> str:
    """sha256 over names and contents of the real videos: whether two people scored the
    same test clips.
    """
    lines = [
        f"{task.clip_id} {hash_once(task.real)}"
        for task in pairs.tasks[REAL]
        if task.real is not None and task.real.is_file()
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def untold(pairs: Pairs, config: ScoresConfig) -> dict[str, Any]:
    """Settings that shape values and that no metric signature tells."""
    crop = any(task.crop for tasks in pairs.tasks.values() for task in tasks)
    names = ("fps", "fvd_window", "fvd_stride", "fvd_fixed_n", "silence_db")
    return {"crop": crop, **{name: getattr(config, name) for name in names}}


def tables_config(pairs: Pairs, summaries: list[Path], shown: tuple[str, ...]) -> TablesConfig:
    """A configuration of the tables that shows the folders in the order given, the
    first as reference.

    Metrics of several variants get a column for each; the motion energy stands beside
    the jitter, as the tables demand.
    """
    rows = pd.concat(
        [read_table(path, schemas.SUMMARY, ["metric", "variant"]) for path in summaries]
    ).drop_duplicates()
    variants = {name: sorted(group.variant.dropna()) for name, group in rows.groupby("metric")}
    names = [name for name in shown if name in variants]
    jitters = [name for name in names if "jitter" in name]
    still = [name for name in names if name not in jitters]
    at = still.index("motion_energy_ratio") if jitters else 0
    names = [*still[:at], *jitters, *still[at:]]
    metrics = [
        key
        for name in names
        for key in ([f"{name}@{v}" for v in variants[name]] if len(variants[name]) > 1 else [name])
    ]
    main = {
        "title": f"Scores against {pairs.corpus}",
        "corpora": [pairs.corpus],
        "metrics": metrics,
        "protocol": PROTOCOL,
    }
    methods = [name for name in pairs.tasks if name != REAL]
    return TablesConfig.model_validate({"methods": [*methods, REAL], "ground_truth": REAL, "main": main})


def one_resolution(summaries: list[Path]) -> None:
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
    mixed = {
        metric: ", ".join(str(int(s)) for s in sorted(found))
        for metric, found in sizes.items()
        if len(found) > 1
    }
    for path, frame in frames.items():
        chosen = frame.metric.isin(mixed)
        if chosen.any():
            frame.loc[chosen, "resolution"] = pd.NA
            frame["warning"] = [
                "; ".join(filter(None, [w, f"measured at several sizes ({mixed[m]} px)"]))
                if m in mixed
                else w
                for m, w in zip(frame.metric, frame.warning, strict=True)
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
        for at, path in enumerate(per_clip):
            frame = read_table(path, schemas.PER_CLIP)[columns].sort_values(
                ["clip_id", "metric"], kind="stable"
            )
            frame.to_csv(part, mode="a", header=at == 0, index=False, lineterminator="\n")


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as part:
        shutil.copyfile(source, part)


def _lay_out(results: Path, pairs: Pairs, cells: Path, cards: Mapping[str, Path], fps: float) -> None:
    """Lay the cells out as the workflow's results are, which is where the page looks
    for them.

    Videos stay where they are; those that no browser plays, or of another rate than the
    rest, are encoded anew for the page.
    """
    for method, tasks in pairs.tasks.items():
        cell = {"method": method, "corpus": pairs.corpus, "protocol": PROTOCOL}
        scores, samples = (
            results / stage / method / pairs.corpus / PROTOCOL for stage in ("scores", "samples")
        )
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
            try:
                video = (
                    None
                    if task.problem or task.fake is None
                    else playable(task.fake, samples / "videos" / f"{k}.mp4", fps)
                )
                rows.append(
                    row
                    | {"reason": task.problem}
                    | ({"video": relative_to(video, samples), "status": KEPT} if video else {})
                )
            except EadbenchError as error:
                rows.append(row | {"reason": error.what})
        write_table(samples / "samples.parquet", rows, schemas.SAMPLES, "clip_id")
    for name, folder in cards.items():
        if (folder / "card.json").exists():
            (results / "zoo" / name).mkdir(parents=True)
            shutil.copyfile(folder / "card.json", results / "zoo" / name / "card.json")


def playable(video: Path, target: Path, fps: float) -> Path:
    """The video itself if browsers play it and it has that rate, else a copy at
    ``target`` that they play.

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
    sound = read_audio(video) if info.sample_rate is not None else None
    even = (
        frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2] for _, frame in iter_frames(video, fps=fps)
    )
    write_video(target, even, fps, audio=sound)
    return target
