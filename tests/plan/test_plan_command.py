"""`eadbench plan`: Snakemake's jobs, amounts from tables or typical sizes, figures
with their origin, simulated wall time.
"""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner
from workflow.running import ROOT

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.settings import Settings, load
from eadbench.core.tables import read_table, write_table
from eadbench.plan.calibrate import Sample, calibrate
from eadbench.plan.counts import ASSUMED, MEASURED, counts
from eadbench.plan.dag import Plan, PlannedJob, planned
from eadbench.plan.estimate import Cost, by_stage, costs, wall_time
from eadbench.plan.figures import Figure
from eadbench.plan.figures import load as load_figures
from eadbench.plan.work import UNITS, figure_key

PAPER = ROOT / "config/paper.yaml"
# What docs/paper_run.md says of the paper's run, and where the plan has it.
COSTS = (
    (r"(\d+) jobs", "all", "jobs"),
    (r"(\d+) core-hours, \d+ GPU-hours", "all", "core_hours"),
    (r"core-hours, (\d+) GPU-hours", "all", "gpu_hours"),
    (r"about (\d+) core-hours", "clips", "core_hours"),
    (r"about (\d+) GPU-hours for the captions", "captions", "gpu_hours"),
    (r"(\d+) for the features", "features", "gpu_hours"),
    (r"which take (\d+) GB", "features", "disk_gb"),
    (r"about (\d+) GPU-hours in \d+ runs", "training", "gpu_hours"),
    (r"GPU-hours in (\d+) runs", "training", "jobs"),
    (r"up to (\d+) GB of GPU memory", "training", "peak_gpu_memory_gb"),
    (r"samples and scores, about (\d+)", "samples", "gpu_hours"),
    (r"about \d+ and (\d+) GPU-hours", "scores", "gpu_hours"),
)


@pytest.fixture(scope="module")
def paper() -> Plan:
    return planned([PAPER])


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(None, [PAPER])


def job(*needs: int, threads: int = 1, gpus: int = 0) -> PlannedJob:
    return PlannedJob("measure", "scores", {}, threads, gpus, 1000, needs)


def cost(seconds: float) -> Cost:
    return Cost("measure", Figure(seconds=1), seconds, seconds, 0, 0)


def test_jobs_are_those_of_the_configuration(paper, settings):
    rules = pd.Series([j.rule for j in paper.jobs]).value_counts()
    shards = sum(corpus.shards for corpus in settings.corpora.sets.values())
    cells = sum(len(m.corpora) * len(m.protocols) for m in settings.samples.methods.values())
    assert rules["cut_clips"] == rules["extract_features"] == rules["write_captions"] == shards
    assert rules["make_samples"] == rules["measure"] == rules["summarise"] == cells
    assert rules["train"] == len(settings.training.runs)
    assert "film" not in rules and "all" not in rules
    train = [j for j in paper.jobs if j.rule == "train"]
    assert all(j.gpus >= 1 and j.mem_mb > 0 and j.stage == "training" for j in train)
    needed = {paper.jobs[n].rule for j in train for n in j.needs}
    assert {"merge_features", "make_artefact", "train"} <= needed


def test_every_rule_has_a_unit_and_a_figure(paper, settings):
    figures = load_figures(None)
    assert {j.rule for j in paper.jobs} <= set(UNITS)
    assert {figure_key(j.rule, j.wildcards, settings) for j in paper.jobs} <= set(figures)
    assert all(f.note for f in figures.values()), "an assumption says where it is from"


def test_rules_with_a_benchmark_are_found_by_its_file(paper):
    assert paper.benchmarks["cut_clips"].fullmatch("clips/cut/hdtf/0-of-32.tsv").groupdict() == {
        "corpus": "hdtf",
        "shard": "0-of-32",
    }
    assert not paper.benchmarks["measure"].fullmatch("scores/summarise/full/hdtf/self.tsv")
    assert set(paper.benchmarks) == set(UNITS)


def test_a_configuration_that_snakemake_refuses_is_an_error(tmp_path):
    (tmp_path / "over.yaml").write_text("clips: {unknown_key: 1}\n")
    with pytest.raises(EadbenchError, match="cannot plan"):
        planned([PAPER, tmp_path / "over.yaml"])


def test_corpora_that_were_not_indexed_have_typical_sizes(settings, tmp_path):
    amounts = counts(settings, tmp_path)
    assert {corpus.source for corpus in amounts.values()} == {ASSUMED}
    assert amounts["ravdess"].recordings == 1440 and amounts["hdtf"].seconds == pytest.approx(17.07 * 3600)
    assert amounts["ravdess"].test_clips == amounts["ravdess"].clips, "all of RAVDESS is tested on"
    for corpus in amounts.values():
        assert (
            corpus.test_clips <= corpus.clips
            and corpus.test_seconds <= corpus.test_clips * settings.samples.max_seconds + 1e-6
        )


def index_rows(n: int, seconds: float, **labels) -> list[dict]:
    return [
        {
            "recording_id": f"r{k}",
            "corpus": "hdtf",
            "duration": seconds,
            "status": "kept",
            "reason": "",
            **labels,
        }
        for k in range(n)
    ]


def test_an_index_decides_over_typical_sizes(settings, tmp_path):
    rows = index_rows(3, 25.0, split="train") + [
        {**r, "recording_id": r["recording_id"] + "t"} for r in index_rows(2, 4.0, split="test")
    ]
    rows.append({**rows[0], "recording_id": "bad", "status": "failed", "reason": "no face"})
    rows[0] |= {"start": 5.0, "end": 20.0}
    write_table(tmp_path / "corpora/hdtf/index.parquet", rows, schemas.INDEX)
    amounts = counts(settings, tmp_path)
    assert (
        amounts["mead"].source == ASSUMED
        and amounts["hdtf"].source == MEASURED
        and amounts["hdtf"].gigabytes == 0
    )
    files = [{"bytes": 1_500_000_000}, {"bytes": 500_000_000}, {"bytes": None}]
    (tmp_path / "corpora/hdtf/fetch.json").write_text(json.dumps({"files": files}))
    assert counts(settings, tmp_path)["hdtf"].gigabytes == 2, (
        "a run from nothing fetches again what was fetched"
    )
    assert (amounts["hdtf"].recordings, amounts["hdtf"].seconds) == (5, 15 + 2 * 25 + 2 * 4)
    assert amounts["hdtf"].clips == pytest.approx((2 + 3 + 3 + 1 + 1) * 0.9), (
        "25 s are three clips of at most 10 s"
    )
    clips = [
        {
            "clip_id": f"c{k}",
            "recording_id": "r0",
            "corpus": "hdtf",
            "split": "test" if k else "train",
            "frames": 500,
            "fps": 25.0,
            "status": "kept",
            "reason": "",
        }
        for k in range(4)
    ]
    write_table(
        tmp_path / "clips/hdtf/clips.parquet",
        [*clips, {**clips[0], "clip_id": "x", "status": "dropped", "reason": "blurred"}],
        schemas.CLIPS,
    )
    amounts = counts(settings, tmp_path)["hdtf"]
    assert (amounts.clips, amounts.clip_seconds, amounts.test_clips, amounts.test_seconds) == (
        4,
        80,
        3,
        3 * 10,
    ), "cut to max_seconds"
    assert amounts.training_seconds == 20


def finished_run(
    folder: Path, settings: Settings, start: float, per_second: float, peak_mb: float | None = None
) -> None:
    """A results folder in which cutting took ``start + each * seconds of recordings``
    seconds per job.
    """
    job_settings = {
        "clips": settings.raw["clips"],
        "corpora": settings.raw["corpora"],
        "samples": settings.raw["samples"],
        "device": "cuda",
        "seed": 1,
    }
    for corpus, n in (("hdtf", 32), ("ravdess", 120)):
        write_table(
            folder / f"corpora/{corpus}/index.parquet", index_rows(n, 10.0, split="test"), schemas.INDEX
        )
        shards = settings.corpora.sets[corpus].shards
        benchmark_file = folder / f"benchmarks/clips/cut/{corpus}/0-of-{shards}.tsv"
        benchmark_file.parent.mkdir(parents=True)
        benchmark_file.write_text(
            f"s\th:m:s\tmax_rss\tmax_vms\n{start + per_second * n * 10 / shards}\t0:00:01\t1000\tNA\n"
        )
        out = folder / f"clips/{corpus}/shards/0-of-{shards}"
        out.mkdir(parents=True)
        (out / "clip.mp4").write_bytes(bytes(5_000_000))
        command = ["eadbench", "--log", "x.log", "clips", "cut"]
        record = {
            "command": command,
            "config": job_settings,
            "peak_mb": peak_mb,
            "earlier": {"x": {"peak_mb": 9e9, "command": []}},
        }
        (out / "provenance.json").write_text(json.dumps(record))


def test_a_finished_run_gives_start_speed_memory_and_disk(paper, settings, tmp_path):
    finished_run(tmp_path, settings, start=7, per_second=0.5)
    samples = calibrate(tmp_path, paper)
    [(figure_key, _)] = samples
    assert figure_key == "cut_clips"
    figure = next(iter(samples.values())).figure(Figure(seconds=1))
    assert (figure.start, figure.seconds) == (pytest.approx(7), pytest.approx(0.5))
    assert figure.memory_mb == pytest.approx(1048.576) and figure.source == "measured"
    assert figure.disk_mb == pytest.approx(10 / 110, rel=1e-3), "10 MB of 10 + 100 seconds"


@pytest.mark.parametrize(("noted", "peak"), [(1500, 1500), (500, 1000), (None, 1000)])
def test_a_job_s_own_peak_memory_counts_where_snakemake_missed_it(paper, settings, tmp_path, noted, peak):
    finished_run(tmp_path, settings, start=7, per_second=0.5, peak_mb=noted)
    figure = next(iter(calibrate(tmp_path, paper).values())).figure(Figure(seconds=1))
    assert figure.memory_mb == pytest.approx(peak * 1.048576)


def test_jobs_without_work_measure_the_start_but_no_unit(tmp_path):
    figure = Sample(tmp_path, amounts=[0, 0], seconds=[3, 5], memory=[1, 1]).figure(
        Figure(seconds=9, disk_mb=2)
    )
    assert (figure.start, figure.seconds, figure.disk_mb) == (4, 9, 2)


@pytest.mark.parametrize("same", [True, False])
def test_measured_figures_are_used_only_under_the_same_settings(paper, settings, tmp_path, same):
    other = load(None, [PAPER])
    if not same:
        other.raw["clips"]["size"] = 512
    finished_run(tmp_path, other, start=7, per_second=0.5)
    job_costs = costs(
        paper.jobs, settings, counts(settings, tmp_path), load_figures(None), calibrate(tmp_path, paper)
    )
    cut = [
        c
        for j, c in zip(paper.jobs, job_costs, strict=True)
        if j.rule == "cut_clips" and j.wildcards["corpus"] == "hdtf"
    ]
    assert {c.figure.source for c in cut} == {"measured" if same else "assumed"}
    if same:
        assert all(c.seconds == pytest.approx(7 + 0.5 * 10) for c in cut)
    else:
        assert "0.5 s measured with other settings" in cut[0].figure.note
    stages = by_stage(paper.jobs, job_costs).set_index("stage")
    assert (stages.loc["clips", "measured_share"] > 0) == same
    assert stages.loc["training", "measured_share"] == 0 and stages.loc["all", "jobs"] == len(paper.jobs)
    parts = stages.drop("all")
    for column in ("jobs", "core_hours", "gpu_hours", "disk_gb"):
        assert parts[column].sum() == pytest.approx(stages.loc["all", column])


def test_a_folder_that_is_no_finished_run_is_refused(paper, tmp_path):
    with pytest.raises(EadbenchError, match="no benchmark files"):
        calibrate(tmp_path, paper)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/x.tsv").write_text("s\n1\n")
    with pytest.raises(EadbenchError, match="no provenance"):
        calibrate(tmp_path, paper)


def test_own_figures_override_assumed_ones_and_say_so(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("train/eadnet2: {seconds: 0.7}\n")
    figures = load_figures(path)
    assert (
        figures["train/eadnet2"].seconds,
        figures["train/eadnet2"].source,
        figures["train/eadnet2"].start,
    ) == (0.7, "given", 120)
    assert figures["train/eadnet1"].source == "assumed"
    for text, message in (
        ("train/eadnet3: {seconds: 1}", "no figure"),
        ("measure: {second: 1}", "invalid figures"),
        ("- 1", "no figure"),
        ("a: [", "read"),
    ):
        path.write_text(text)
        with pytest.raises(EadbenchError, match=message):
            load_figures(path)


def test_wall_time_of_a_known_graph():
    jobs = [job(), job(), job(0, 1, gpus=1), job(0, gpus=1), job(2, 3)]
    job_costs = [cost(s) for s in (3, 5, 10, 4, 1)]
    assert wall_time(jobs, job_costs, 1, 1) == 23, "one core: the sum"
    assert wall_time(jobs, job_costs, 8, 8) == 16, "enough of all: the longest chain"
    assert wall_time(jobs, job_costs, 8, 1) == 18, "one GPU: the two jobs that want it follow each other"
    with pytest.raises(EadbenchError, match="needs 1 GPU"):
        wall_time(jobs, job_costs, 8, 0)


@given(
    st.lists(
        st.tuples(st.floats(0.1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 5)),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 6),
)
def test_wall_time_is_bounded_by_work_and_by_the_longest_chain(spec, cores):
    jobs, job_costs, chain = [], [], []
    for n, (seconds, threads, gpu, back) in enumerate(spec):
        needs = (n - back,) if 0 < back <= n else ()
        jobs.append(job(*needs, threads=threads, gpus=int(gpu)))
        job_costs.append(cost(seconds))
        chain.append(seconds + max((chain[k] for k in needs), default=0))
    wall = wall_time(jobs, job_costs, cores, 1)
    work = sum(c.seconds * min(j.threads, cores) for j, c in zip(jobs, job_costs, strict=True)) / cores
    assert max(max(chain), work) - 1e-6 <= wall <= sum(c.seconds for c in job_costs) + 1e-6


def test_command_prints_and_writes(tmp_path):
    from eadbench.plan.cli import app

    arguments = ["--config", str(PAPER), "--results", str(tmp_path), "--workers", "32", "--gpus", "4"]
    options = ["--details", "--out", str(tmp_path / "plan.json")]
    result = CliRunner().invoke(app, [*arguments, *options], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    assert "…" not in result.output and max(map(len, result.output.splitlines())) <= 80
    for name in ("captions", "features", "make_samples/shuffled_audio"):
        assert re.search(rf"^ {name} .*\d", result.output, re.M), f"{name} is broken at 80 columns"
    assert "assumed" in result.output and "Wall time" in result.output
    written = json.loads((tmp_path / "plan.json").read_text())
    assert (
        written["walls"][0]["hours"] > 0
        and written["stages"][-1]["stage"] == "all"
        and written["stages"][-1]["measured_share"] == 0
    )
    stages = {row["stage"]: row for row in written["stages"]}
    for pattern, stage, key in COSTS:
        number = float(
            re.search(pattern, " ".join((ROOT / "docs/paper_run.md").read_text(encoding="utf-8").split()))[1]
        )
        assert number == pytest.approx(stages[stage][key], rel=0.05), (pattern, stages[stage][key])
    assert CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "plan.parquet")]).exit_code == 0
    assert len(read_table(tmp_path / "plan.parquet", schemas.PLAN)) == len(written["stages"])
    assert CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "plan.txt")]).exit_code == 2


def test_the_demo_can_be_planned_without_a_gpu(tmp_path):
    from eadbench.plan.report import make_report

    report = make_report([ROOT / "config.yaml"], tmp_path, None, None, [2], [0])
    assert report.stages.set_index("stage").loc["all", "gpu_hours"] == 0
    assert all(c.test_clips > 0 for c in report.corpora.values())
    assert list(report.corpora) == list(yaml.safe_load((ROOT / "config.yaml").read_text())["corpora"]["sets"])
