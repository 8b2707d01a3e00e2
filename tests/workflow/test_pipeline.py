"""The smoke pipeline, end to end, and what it does when something changes."""

import re
import zipfile

import pandas as pd
import pytest
import yaml
from latex import compile_both_ways, needs_pdflatex
from workflow.running import ROOT, SMOKE, snakemake

from eadbench.core import schemas, settings
from eadbench.core.tables import read_table

pytestmark = pytest.mark.pipeline


def planned(done) -> dict[str, int]:
    """Rule -> number of jobs in a dry run."""
    assert done.returncode == 0, done.stdout + done.stderr
    table = re.search(r"job\s+count\n[-\s]+\n(.*?)\ntotal", done.stdout + done.stderr, re.S)
    return (
        {name: int(count) for name, count in (line.split() for line in table.group(1).splitlines())}
        if table
        else {}
    )


def test_ends_with_tables_and_report(smoke):
    scores = read_table(smoke / "results/tables/scores.parquet", schemas.SCORES)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert set(scores["method"]) <= set(config["samples"]["methods"])
    assert {"fid", "fvd", "ssim", "sync", "acc_emo"} <= set(scores["metric"])
    silent = scores[(scores["protocol"] == "silent") & (scores["metric"] == "open_mouth")]
    assert set(silent["method"]) == {"full", "no_text", "wav2lip", "still"} and silent["value"].notna().any()
    assert scores.loc[scores["value"].notna(), "extractor"].str.len().gt(0).all()
    assert (smoke / "results/report/index.html").stat().st_size > 10_000


@needs_pdflatex
def test_latex_of_all_tables_compiles(smoke, tmp_path):
    files = sorted((smoke / "results").rglob("*.tex"))
    assert {path.stem for path in files} >= {"main", "generalisation", "ablation", "speed"}
    for path in files:
        compile_both_ways(path, tmp_path)


def test_every_test_clip_is_accounted_for(smoke):
    for path in (smoke / "results/samples").rglob("samples.parquet"):
        samples = read_table(path, schemas.SAMPLES)
        assert len(samples), path
        assert (samples["status"].eq("kept") | samples["reason"].str.len().gt(0)).all(), path


def test_no_speaker_is_on_both_sides(smoke):
    for path in (smoke / "results/corpora").glob("*/index.parquet"):
        index = read_table(path, schemas.INDEX)
        sides = index.dropna(subset=["speaker", "split"]).groupby("speaker")["split"].nunique()
        assert sides.le(1).all(), path


def test_a_rerun_does_nothing(smoke):
    assert planned(snakemake(smoke, "--dry-run")) == {}


def test_a_deleted_output_redoes_only_what_depends_on_it(smoke):
    path = smoke / "results/scores/still/demo_mead/self/per_clip.parquet"
    kept = path.read_bytes()
    path.unlink()
    try:
        jobs = planned(snakemake(smoke, "--dry-run"))
    finally:
        path.write_bytes(kept)
        snakemake(smoke, "--touch")
    assert set(jobs) <= {"measure", "summarise", "build_tables", "write_report", "all"}
    assert jobs["measure"] == 1


def test_one_ablations_setting_retrains_only_that_run(smoke, tmp_path):
    config = settings.load(None, [ROOT / name for name in SMOKE]).raw
    run = next(name for name, entry in config["training"]["runs"].items() if entry.get("base") == "full")
    over = tmp_path / "over.yaml"
    over.write_text(yaml.safe_dump({"training": {"runs": {run: {"optim": {"lr": 1.0e-6}}}}}))
    jobs = planned(snakemake(smoke, "--dry-run", configs=(*SMOKE, str(over))))
    assert jobs["train"] == 1


def test_tables_read_everywhere(smoke):
    import duckdb
    import polars

    path = smoke / "results/tables/scores.parquet"
    rows = len(pd.read_parquet(path))
    assert rows == len(polars.read_parquet(path))
    assert rows == duckdb.sql(f"select count(*) from '{path}'").fetchall()[0][0]


def test_workflow_report_holds_the_page_and_the_tables(smoke, tmp_path):
    done = snakemake(smoke, "--report", str(tmp_path / "report.zip"))
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = archive.namelist()
        front = archive.read("report/report.html").decode()
    assert "report/report.html" in names
    page = next(n.removesuffix("/index.html") for n in names if n.endswith("/index.html"))
    assert {f"{page}/report_assets/{name}" for name in ("data.js", "report.js", "plotly.min.js")} <= set(
        names
    ), "the page lies there with all it needs"
    assert any(n.endswith(".mp4") for n in names)
    for name in (
        "main.csv",
        "ablation.csv",
        "generalisation.csv",
        "speed.csv",
        "scores.parquet",
        "ablation_report.md",
        "training_curves.png",
    ):
        assert any(n.endswith(f"/{name}") for n in names), name
    for caption in (
        "Main comparison: a row per method",
        "Cosine",
        "how many candidates were kept",
        "self-contained folder",
    ):
        assert caption.lower() in front.lower(), caption
