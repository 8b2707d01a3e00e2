"""A cell from its table of samples to its summary."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from eadbench import zoo as zoo_module
from eadbench.core import job as job_module
from eadbench.core import schemas, settings
from eadbench.core.errors import EadbenchError
from eadbench.core.seals import seal_files
from eadbench.core.tables import read_table, write_table
from eadbench.media.video import read_frames, write_video
from eadbench.score.evaluators import OFFICIAL
from eadbench.scores import measure as measure_module
from eadbench.scores import reference
from eadbench.scores.cli import app
from eadbench.scores.clip import framing, framing_notes
from eadbench.scores.config import KINDS, ROLES, ScoresConfig
from eadbench.scores.evaluators import load_evaluators
from eadbench.scores.measure import cell_tasks, measure_cell
from eadbench.scores.metrics import CLIP_METRICS, METRICS
from eadbench.scores.names import ON_REQUEST
from eadbench.scores.reference import References
from eadbench.scores.store import Features
from eadbench.scores.summarise import Summary, SummaryCell, summarise_cell, write_summary
from eadbench.zoo.card import read_card, write_card
from eadbench.zoo.registry import entry

from .conftest import settings_text


@pytest.fixture(scope="module")
def evaluators(zoo, scores_config):
    return load_evaluators(scores_config, zoo, "cpu")


def samples_of(corpus: Path, folder: Path, change=None, **columns) -> Path:
    """A table of samples: the clips themselves, or changed frame by frame; ``columns``
    may replace values per clip id.
    """
    clips = read_table(corpus, schemas.CLIPS)
    rows = []
    for clip in clips.itertuples():
        target = folder / f"{clip.clip_id}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        if change is None:
            shutil.copy(corpus.parent / clip.video, target)
        else:
            write_video(target, change(read_frames(corpus.parent / clip.video)))
        row = {
            "clip_id": clip.clip_id,
            "method": "m",
            "corpus": "faces",
            "protocol": "self",
            "driving_clip": clip.clip_id,
            "speaker": clip.speaker,
            "target_emotion": clip.emotion,
            "video": target.name,
            "frames": clip.frames,
            "status": "kept",
            "reason": "",
        }
        rows.append(row | columns.get(clip.clip_id.replace("-", "_"), {}))
    write_table(folder / "samples.parquet", rows, schemas.SAMPLES)
    return folder / "samples.parquet"


def measured(corpus, samples, config, evaluators, out, protocol="self", **options) -> pd.DataFrame:
    cell = {"method": "m", "corpus": "faces", "protocol": protocol}
    return measure_cell(
        cell, cell_tasks(samples, corpus, protocol), config, evaluators, out / "per_clip.parquet", **options
    )


@pytest.fixture(scope="module")
def truth(corpus, scores_config, evaluators, tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    measured(corpus, samples_of(corpus, folder / "samples"), scores_config, evaluators, folder)
    return folder


@pytest.fixture(scope="module")
def blurred(corpus, scores_config, evaluators, tmp_path_factory, truth):
    import cv2

    folder = tmp_path_factory.mktemp("blurred")
    broken = {"A1_000": {"status": "failed", "reason": "out of memory", "video": None}}
    samples = samples_of(
        corpus,
        folder / "samples",
        lambda x: np.stack([cv2.GaussianBlur(f, (0, 0), 1.5) for f in x]),
        **broken,
    )
    measured(corpus, samples, scores_config, evaluators, folder, real=truth)
    return folder


def test_every_clip_has_every_metric(truth, blurred):
    for folder in (truth, blurred):
        rows = read_table(folder / "per_clip.parquet", schemas.PER_CLIP)
        assert set(map(tuple, rows[["clip_id", "metric"]].to_numpy())) == {
            (c, m) for c in set(rows.clip_id) for m in CLIP_METRICS if m not in ON_REQUEST
        }
        assert (rows.value.notna() == (rows.status == "kept")).all()
        assert (rows[rows.status != "kept"].reason != "").all()


def test_truth_against_itself_is_perfect(truth):
    rows = read_table(truth / "per_clip.parquet", schemas.PER_CLIP).pivot(
        index="clip_id", columns="metric", values="value"
    )
    assert (rows.face_rate == 1).all()
    for name, ideal in {
        "ssim": 1,
        "psnr": 100,
        "lpips": 0,
        "m_lmd": 0,
        "f_lmd": 0,
        "jitter_ratio": 1,
        "sharpness_ratio": 1,
        "lip_correlation": 1,
    }.items():
        assert rows[name].to_numpy() == pytest.approx(ideal, abs=1e-5), name
    summary = summarise_cell(SummaryCell.read(truth), SummaryCell.read(truth), _config(truth), 1).set_index(
        "metric"
    )
    for name in ("fid", "fvd", "fvd_fixed"):
        assert summary.loc[[name]].value.dropna().to_numpy() == pytest.approx(0, abs=1e-4), name


def _config(folder: Path) -> ScoresConfig:
    return ScoresConfig.model_validate(json.loads((folder / "provenance.json").read_text())["settings"])


def test_blur_shows_and_a_failed_sample_counts_as_missing(truth, blurred):
    rows = write_summary(
        SummaryCell.read(blurred), SummaryCell.read(truth), _config(blurred), 1, blurred / "summary.parquet"
    )
    rows = read_table(blurred / "summary.parquet", schemas.SUMMARY).set_index("metric")
    single = rows[~rows.index.isin(["fvd", "fvd_fixed", "acc_emo_recall"])]
    assert (
        single.loc["ssim", "value"] < 0.98
        and single.loc["sharpness_ratio", "value"] < 0.5
        and single.loc["fid", "value"] > 0
    )
    assert (
        single.loc["ssim", ["n", "n_missing"]].tolist()
        == [3, 1]
        == single.loc["fid", ["n", "n_missing"]].tolist()
    )
    assert single.loc["ssim", "low"] <= single.loc["ssim", "value"] <= single.loc["ssim", "high"]
    assert single.loc["fid", "low"] <= single.loc["fid", "value"] <= single.loc["fid", "high"]
    assert (
        "1 of 4 clips are missing" in single.loc["ssim", "warning"]
        and "random features" in single.loc["fid", "warning"]
    )
    assert "2 speakers" in single.loc["ssim", "warning"]
    assert single.loc["sync", "variant"] == "aligned-64" and "trained here" in single.loc["sync", "warning"]
    assert set(rows.loc["fvd", "variant"]) == {"stylegan-v", "latentsync"}
    sampled = {name: single.loc[name, "variant"] for name in ("fid", "kid", "lpips")}
    assert sampled == {"fid": "10 frames per clip", "kid": "10 frames per clip", "lpips": "2 frames per clip"}
    assert set(rows.index) == set(METRICS) - ON_REQUEST


def test_acc_emo_tells_classes_dropped_and_missing(blurred, truth):
    rows = (
        read_table(blurred / "per_clip.parquet", schemas.PER_CLIP)
        .query("metric == 'acc_emo'")
        .set_index("clip_id")
    )
    assert rows.loc["B3-000", "status"] == "dropped" and "'calm'" in rows.loc["B3-000", "reason"]
    assert rows.loc["A1-000", "status"] == "failed" and rows.loc["A1-000", "reason"] == "out of memory"
    cell = SummaryCell.read(blurred)
    cell.meta["notes"]["A0-000"] = ["9 frames beside 10 of the real video: 9 compared"]
    summary = summarise_cell(cell, SummaryCell.read(truth), _config(blurred), 1)
    warning = summary.set_index("metric").loc["ssim", "warning"]
    assert "1 clip (A0-000): 9 frames beside 10 of the real video: 9 compared" in warning
    recall = summary[summary.metric == "acc_emo_recall"].set_index("variant")
    assert set(recall.index) == {"happy", "sad", "calm"}
    assert (
        recall.loc["happy", "n"] == 2 and recall.loc["sad", "n"] == 0 and recall.loc["calm", "n_missing"] == 1
    )
    real = summary[summary.metric == "acc_emo_real"].iloc[0]
    assert real.n == 2


def test_the_confusion_matrix_holds_what_accuracy_and_recall_say(blurred, truth):
    write_summary(
        SummaryCell.read(blurred), SummaryCell.read(truth), _config(blurred), 1, blurred / "summary.parquet"
    )
    matrix = read_table(blurred / "confusion.parquet", schemas.CONFUSION).pivot(
        index="asked", columns="judged", values="n"
    )
    accuracy = SummaryCell.read(blurred).rows.query("metric == 'acc_emo' and status == 'kept'")
    known = matrix.index.intersection(matrix.columns)
    assert set(matrix.index) - set(known) == {"calm"}, "asked for, but no class of the evaluator"
    assert matrix.loc[known].to_numpy().sum() == len(accuracy) > 0
    assert sum(matrix.loc[emotion, emotion] for emotion in known) == accuracy.value.sum()
    recall = (
        read_table(blurred / "summary.parquet", schemas.SUMMARY)
        .query("metric == 'acc_emo_recall'")
        .set_index("variant")
        .value
    )
    for emotion in known[matrix.loc[known].sum(axis=1) > 0]:
        assert recall[emotion] == pytest.approx(matrix.loc[emotion, emotion] / matrix.loc[emotion].sum())


def test_other_protocols_have_no_paired_metrics(corpus, scores_config, evaluators, tmp_path, truth):
    samples = samples_of(corpus, tmp_path / "samples")
    few = scores_config.model_copy(update={"metrics": ("ssim", "m_lmd", "sync", "csim")})
    rows = measured(corpus, samples, few, evaluators, tmp_path, "cross", real=truth)
    paired = rows[rows.metric.isin(["ssim", "m_lmd"])]
    assert (paired.status == "dropped").all() and paired.reason.str.contains("cross").all()
    assert rows[rows.metric.isin(["sync", "csim"])].value.notna().all()


def test_what_animates_one_image_is_not_compared_place_by_place(
    corpus, scores_config, evaluators, tmp_path, truth
):
    samples = samples_of(corpus, tmp_path / "samples")
    few = scores_config.model_copy(
        update={"metrics": ("ssim", "psnr", "lpips", "m_lmd", "f_lmd", "jitter_ratio", "csim", "fid")}
    )
    tasks = cell_tasks(samples, corpus, "self", "image")
    cell = {"method": "m", "corpus": "faces", "protocol": "self"}
    rows = measure_cell(cell, tasks, few, evaluators, tmp_path / "cell/per_clip.parquet", real=truth)
    empty = rows[rows.value.isna()]
    assert set(empty.metric) == {"ssim", "psnr", "lpips", "m_lmd", "f_lmd"}
    assert (empty.status == "dropped").all() and empty.reason.str.contains("animates one image").all()
    summary = summarise_cell(SummaryCell.read(tmp_path / "cell"), SummaryCell.read(truth), few, 1).set_index(
        "metric"
    )
    assert (
        "animates one image" in summary.warning["ssim"]
        and summary.value[["jitter_ratio", "csim", "fid"]].notna().all()
    )


def test_the_workflow_tells_the_scores_what_a_method_drives():
    paper = settings.load(None, [Path(__file__).parents[2] / "config/paper.yaml"], whole=True)
    for method, drives in {"eat": "image", "edtalk": "image", "latentsync": "video", "full": "video"}.items():
        given = settings.Settings(paper.read_by("scores measure", method=method, corpus="mead"))
        assert given.samples.methods[method].drives == drives and given.device == "cuda"
        assert "drives" not in paper.read_by("samples make", method=method)["samples"]["methods"][method]


def test_under_silence_the_mouth_is_measured_and_nothing_that_hears(
    corpus, scores_config, evaluators, tmp_path, truth
):
    """A mouth that moves without audio leaks; one that stands still does not."""
    moving = samples_of(corpus, tmp_path / "moving", lambda frames: frames)
    frozen = samples_of(corpus, tmp_path / "frozen", lambda frames: frames[:1].repeat(len(frames), 0))
    for path in tmp_path.glob("*/*.mp4"):
        write_video(path, frames := read_frames(path), audio=np.zeros(len(frames) * 640, np.float32))
    names = ("open_mouth", "silence_mouth_motion", "sync", "ssim", "csim")
    few = scores_config.model_copy(update={"metrics": names})
    values = {}
    for name, samples in (("moving", moving), ("frozen", frozen)):
        rows = measured(corpus, samples, few, evaluators, tmp_path / name, "silent", real=truth)
        values[name] = rows.pivot(index="clip_id", columns="metric", values="value")
        empty = rows[rows.metric.isin(["sync", "ssim"])]
        assert empty.value.isna().all() and set(empty.status) == {"dropped"}
        assert set(empty.reason[empty.metric == "ssim"]) == {"frames do not correspond under protocol silent"}
        assert empty.reason[empty.metric == "sync"].str.contains("silent").all()
    assert (values["moving"].silence_mouth_motion > 0).all() and values["moving"].csim.notna().all()
    assert (values["frozen"].silence_mouth_motion == 0).all()
    assert values["frozen"].open_mouth.isin([0, 1]).all() and values["moving"].open_mouth.between(0, 1).all()


def test_the_driving_clip_gives_the_audio(corpus, scores_config, evaluators, tmp_path):
    other = samples_of(corpus, tmp_path / "a", A0_000={"driving_clip": "B2-000"})
    few = scores_config.model_copy(update={"metrics": ("sync", "lse_d")})
    first = (
        measured(corpus, samples_of(corpus, tmp_path / "b"), few, evaluators, tmp_path / "b")
        .set_index(["clip_id", "metric"])
        .value
    )
    second = measured(corpus, other, few, evaluators, tmp_path / "a").set_index(["clip_id", "metric"]).value
    changed = first != second
    assert changed[["A0-000"]].all() and not changed.drop("A0-000", level=0).any()


def test_interrupted_work_goes_on_and_gives_the_same_bytes(
    corpus, scores_config, evaluators, tmp_path, monkeypatch
):
    few = scores_config.model_copy(update={"metrics": ("ssim", "fid", "sync")})
    samples = samples_of(corpus, tmp_path / "samples")
    measured(corpus, samples, few, evaluators, tmp_path / "whole")
    real = measure_module.Measurer.measure
    seen = []

    def broken(self, task):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(task.clip_id)
        return real(self, task)

    monkeypatch.setattr(measure_module.Measurer, "measure", broken)
    with pytest.raises(KeyboardInterrupt):
        measured(corpus, samples, few, evaluators, tmp_path / "parts")
    assert not (tmp_path / "parts" / "per_clip.parquet").exists()
    again = []
    monkeypatch.setattr(
        measure_module.Measurer, "measure", lambda self, task: again.append(task.clip_id) or real(self, task)
    )
    measured(corpus, samples, few, evaluators, tmp_path / "parts")
    assert set(again).isdisjoint(seen) and len(again) == 2
    for name in ("per_clip.parquet", "features.safetensors", "measure.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name


def test_a_kill_before_the_table_leaves_no_older_one(
    corpus, scores_config, evaluators, tmp_path, monkeypatch
):
    samples = samples_of(corpus, tmp_path / "samples")
    first, second = (scores_config.model_copy(update={"metrics": (name,)}) for name in ("ssim", "psnr"))
    measured(corpus, samples, first, evaluators, tmp_path, reuse=True)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(job_module, "write_table", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        measured(corpus, samples, second, evaluators, tmp_path, reuse=True)
    assert set(measured(corpus, samples, second, evaluators, tmp_path, reuse=True).metric) == {"psnr"}


def test_landmarks_of_the_truth_are_used_again(corpus, scores_config, evaluators, tmp_path, truth):
    few = scores_config.model_copy(update={"metrics": ("m_lmd", "jitter_ratio")})
    samples = samples_of(corpus, tmp_path / "samples", lambda x: x[:, :, ::-1])
    alone = measured(corpus, samples, few, evaluators, tmp_path / "alone")
    known = measured(corpus, samples, few, evaluators, tmp_path / "known", real=truth)
    assert known.value.to_numpy() == pytest.approx(alone.value.to_numpy())


def test_landmarks_of_another_tracking_are_not_used_again(
    corpus, scores_config, evaluators, tmp_path, truth, monkeypatch
):
    few = scores_config.model_copy(update={"metrics": ("face_rate", "m_lmd")})
    task = cell_tasks(samples_of(corpus, tmp_path / "samples"), corpus, "self")[0]

    def known() -> bool:
        measurer = measure_module.Measurer(few, evaluators)
        return References([truth]).of(measurer.content(task.real), task, few, evaluators).marks is not None

    assert known()
    monkeypatch.setattr(reference, "TRACKING", reference.TRACKING + 1)
    assert not known()


def test_features_are_kept_for_all_set_metrics(truth):
    features = Features(truth / "features.safetensors")
    assert features.get("inception", "A0-000").shape == (10, 10)
    assert features.get("i3d-stylegan-v", "A0-000").shape == (2, 10) and features.get(
        "i3d-latentsync", "A0-000"
    ).shape == (1, 10)
    assert features.clips("emotion") == ["A0-000", "A1-000", "B2-000", "B3-000"]
    assert features.get("inception", "nobody") is None


def test_different_evaluators_are_not_compared(truth, blurred, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(truth, other)
    meta = json.loads((other / "measure.json").read_text())
    meta["signatures"]["fid"]["weights_sha256"] = "0" * 64
    (other / "measure.json").write_text(json.dumps(meta))
    seal_files(other, [other / "measure.json"], other / "per_clip.parquet")
    with pytest.raises(EadbenchError, match="different extractors"):
        summarise_cell(SummaryCell.read(blurred), SummaryCell.read(other), _config(blurred), 1)


def test_an_evaluator_that_is_not_there_says_how_to_get_it(scores_config, zoo, tmp_path):
    with pytest.raises(EadbenchError, match="is not there"):
        load_evaluators(scores_config, zoo | {"inception": tmp_path / "nothing"}, "cpu")
    with pytest.raises(EadbenchError, match="was not given"):
        load_evaluators(scores_config, {}, "cpu")


def test_a_network_of_another_kind_is_refused_and_measures_nothing(scores_config, zoo):
    config = scores_config.model_copy(update={"metrics": ("ssim", "csim")})
    parts = {"face_id": zoo["emotion"]}
    with pytest.raises(EadbenchError, match="kind emotion, which cannot measure face_id"):
        load_evaluators(config, parts, "cpu")
    evaluators = load_evaluators(config, parts, "cpu", allow_missing=True)
    assert not evaluators.nets and "kind emotion" in evaluators.missing["face_id"]


def test_every_role_names_its_kinds_and_the_official_network_is_of_one():
    assert KINDS.keys() == set(ROLES)
    for role, network in OFFICIAL.items():
        assert entry(network).kind in KINDS[role]


def test_a_network_of_an_unknown_kind_is_named_with_its_card(scores_config, zoo, tmp_path):
    folder = tmp_path / "face_id"
    shutil.copytree(zoo["face_id"], folder)
    write_card(folder, read_card(folder).model_copy(update={"kind": "face_idd"}))
    with pytest.raises(EadbenchError, match=r"kind that is unknown here: 'face_idd'.*'face_id'"):
        zoo_module.load(folder)


def test_samples_of_another_corpus_are_refused(corpus, tmp_path, tiny_clips):
    with pytest.raises(EadbenchError, match="does not hold"):
        cell_tasks(samples_of(corpus, tmp_path), tiny_clips, "self")


def test_commands(corpus, scores_config, zoo, tmp_path):
    few = scores_config.model_copy(update={"metrics": ("ssim", "fid", "kid")})
    samples = samples_of(corpus, tmp_path / "samples")
    parts = [item for name, path in zoo.items() for item in ("--part", f"{name}={path}")]
    out = tmp_path / "cell" / "per_clip.parquet"
    common = ["--settings", settings_text(few)]
    cell = [
        "--method",
        "m",
        "--corpus",
        "faces",
        "--protocol",
        "self",
        "--samples",
        str(samples),
        "--clips",
        str(corpus),
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(app, ["measure", *cell, *parts, *common], catch_exceptions=False)
    assert done.exit_code == 0 and out.exists()
    args = [
        "summarise",
        "--cell",
        str(out.parent),
        "--real",
        str(out.parent),
        "--out",
        str(out.parent / "summary.parquet"),
        *common,
    ]
    assert CliRunner().invoke(app, args, catch_exceptions=False).exit_code == 0
    rows = read_table(out.parent / "summary.parquet", schemas.SUMMARY).set_index("metric")
    assert rows.loc["ssim", "value"] == pytest.approx(1) and rows.loc["fid", "value"] == pytest.approx(
        0, abs=1e-6
    )


def test_cells_that_are_measured_together_are_joined_without_a_network(
    corpus, scores_config, zoo, evaluators, tmp_path, monkeypatch
):
    """The same bytes as alone; a cell that changes is measured again, clip by clip, and
    the others are not; without the record or stored results a cell measures itself.
    """
    few = scores_config.model_copy(update={"metrics": ("ssim", "fid", "sync")})
    tables = {name: samples_of(corpus, tmp_path / "samples" / name) for name in ("a", "b")}
    parts = [item for name, path in zoo.items() for item in ("--part", f"{name}={path}")]
    common = ["--corpus", "faces", "--clips", str(corpus), *parts, "--settings", settings_text(few)]
    note = tmp_path / "together" / "signatures.json"
    seen, loaded = [], []
    measure, load = measure_module.Measurer.measure, zoo_module.load
    monkeypatch.setattr(
        measure_module.Measurer, "measure", lambda self, task: seen.append(task.fake) or measure(self, task)
    )
    monkeypatch.setattr(zoo_module, "load", lambda *args: loaded.append(args) or load(*args))

    def run(command, *options):
        seen.clear(), loaded.clear()
        assert CliRunner().invoke(app, [command, *options, *common], catch_exceptions=False).exit_code == 0

    def together():
        cells = [f"{tmp_path / name / 'faces' / 'self'}={table}" for name, table in tables.items()]
        run("corpus", *(word for cell in cells for word in ("--cell", cell)), "--out", str(note))

    def join(name):
        folder = tmp_path / name / "faces" / "self"
        own = ["--method", name, "--protocol", "self", "--samples", str(tables[name])]
        run("measure", *own, "--signatures", str(note), "--out", str(folder / "per_clip.parquet"))
        return folder

    together()
    assert len(seen) == 8
    folders = []
    for name in tables:
        folders.append(join(name))
        assert not seen and not loaded, "the record and the stored results suffice"
    measured(corpus, tables["a"], few, evaluators, tmp_path / "alone")
    both = folders[0], tmp_path / "alone"
    joined, alone = (read_table(folder / "per_clip.parquet", schemas.PER_CLIP).value for folder in both)
    assert joined.equals(alone)
    joined, alone = ((folder / "features.safetensors").read_bytes() for folder in both)
    assert joined == alone

    video = tables["b"].parent / "A0-000.mp4"
    write_video(video, read_frames(video)[:, :, ::-1])
    together()
    assert seen == [video], "one clip of one cell changed"
    (folders[1] / "per_clip.parquet").unlink()  # as Snakemake does before a job
    join("b")
    assert not seen and not loaded
    (folders[0] / "per_clip.parquet").unlink()
    join("a")
    assert len(seen) == 4 and loaded, "nothing was stored"


def test_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="unknown metrics beauty"):
        ScoresConfig.model_validate({"evaluators": {}, "metrics": ["beauty"]})


def test_notes_of_a_kind_are_one_warning_with_their_count_and_first_clips(blurred, truth):
    cell = SummaryCell.read(blurred)
    clips = sorted(set(cell.rows.clip_id))
    cell.meta["notes"] = {clip: [f"resized from {k}x{k} to 64x64"] for k, clip in enumerate(clips)}
    cell.meta["notes"][clips[-1]].append("cut to the face")
    warnings = Summary(cell, SummaryCell.read(truth), _config(blurred), 1).note_warnings(clips)
    named = ", ".join(clips[:3])
    assert warnings == [
        f"4 clips ({named}, ...): e.g. resized from 0x0 to 64x64",
        f"1 clip ({clips[-1]}): cut to the face",
    ]


@pytest.mark.parametrize(
    ("larger", "moved", "notes"),
    [
        (1.0, 0.0, []),
        (1.1, 2.0, []),
        (1.3, 0.0, ["other framing: the face is 1.30 times as large in the frame as the real one"]),
        (0.5, 0.0, ["other framing: the face is 0.50 times as large in the frame as the real one"]),
        (1.0, 16.0, ["other framing: the face lies 10 % of the frame beside the real one"]),
    ],
)
def test_a_face_of_another_size_or_place_in_the_frame_is_noted(larger, moved, notes):
    real = np.random.default_rng(0).normal(80, 20, (9, 478, 2)).astype(np.float32)
    fake = 80 + (real - 80) * larger + [moved, 0]
    fake[3] = np.nan
    gaps = framing(2 * fake, (9, 320, 320, 3)) - framing(real, (9, 160, 160, 3))
    assert framing_notes(gaps) == notes
    assert framing_notes(gaps[3:4]) == [], "no face in either"
