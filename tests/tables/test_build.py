"""``tables build`` end to end, and the commands that read its output."""

import json
import re
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import synthetic
from typer.testing import CliRunner

from eadbench.core import schemas, seals, settings
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import read_table, write_table
from eadbench.tables.build import SUFFIXES, TableInputs, build
from eadbench.tables.cli import app
from eadbench.tables.compare import compare, compare_settings, compare_values
from eadbench.tables.config import RESERVED_NAMES, TablesConfig
from eadbench.tables.dictionary import dictionary
from eadbench.tables.load import load_built
from eadbench.tables.report import report
from eadbench.tables.show import show

ROOT = Path(__file__).parents[2]


def test_long_scores_hold_everything(results: Path) -> None:
    frame = read_table(results / "tables" / "scores.parquet", schemas.SCORES)
    assert set(frame.method) == set(synthetic.METHODS)
    assert (
        set(frame.reference_method.dropna()) == {"full"}
        and frame[frame.method == "full"].p_value.isna().all()
    )
    assert frame.run_hash.notna().all() and set(frame.seed) == {1}
    assert set(frame[frame.metric == "ssim"].direction) == {"up"} and set(
        frame[frame.metric == "fid"].direction
    ) == {"down"}
    assert (
        frame[frame.metric == "fid"].p_value.isna().all()
        and frame[(frame.metric == "ssim") & (frame.method == "still")].p_value.notna().all()
    )


def test_no_table_may_have_the_name_of_another_file(results: Path, config: TablesConfig) -> None:
    files = [path for path in (results / "tables").iterdir() if path.suffix[1:] in SUFFIXES]
    assert {path.stem for path in files} <= RESERVED_NAMES | set(config.more)
    for name in sorted(RESERVED_NAMES):
        with pytest.raises(ValueError, match=f"may not hold a table named {name}"):
            TablesConfig.model_validate(synthetic.CONFIG | {"more": {name: synthetic.CONFIG["main"]}})


@pytest.mark.parametrize(
    "name", ["scores", "main", "generalisation", "ablation", "speed", "breakdown", "effects"]
)
def test_pandas_polars_and_duckdb_read_alike(results: Path, name: str) -> None:
    path = results / "tables" / f"{name}.parquet"
    by_pandas, by_polars, by_duckdb = (
        pd.read_parquet(path),
        pl.read_parquet(path),
        duckdb.sql(f"SELECT * FROM '{path}'").df(),
    )
    assert list(by_pandas) == by_polars.columns == list(by_duckdb) and len(by_pandas) == len(
        by_polars
    ) == len(by_duckdb)
    for column in by_pandas.select_dtypes("number"):
        assert (
            by_pandas[column].sum()
            == pytest.approx(by_polars[column].fill_nan(None).sum() or 0)
            == pytest.approx(by_duckdb[column].sum())
        )
    assert all((field.metadata or {}).get(b"meaning") for field in pq.read_schema(path))


def test_every_table_in_every_format(results: Path) -> None:
    for name in ("main", "generalisation", "ablation", "speed"):
        assert all(
            (results / "tables" / f"{name}.{suffix}").stat().st_size
            for suffix in ("parquet", "csv", "md", "tex")
        )
    frame, text = (
        pd.read_parquet(results / "tables" / "main.parquet"),
        pd.read_csv(results / "tables" / "main.csv"),
    )
    pd.testing.assert_series_equal(frame.fid_demo_mead, text.fid_demo_mead, check_exact=True)


def test_same_inputs_same_bytes(results: Path, config: TablesConfig, tmp_path: Path) -> None:
    inputs = {
        k: list(reversed(v)) if isinstance(v, list) else v for k, v in synthetic.inputs_of(results).items()
    }
    build(TableInputs(**inputs), config, 1, tmp_path / "scores.parquet")
    for path in sorted((results / "tables").iterdir()):
        if path.name != "provenance.json":
            assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_notes_name_evaluators_controls_and_gaps(results: Path) -> None:
    texts = [n["text"] for n in json.loads((results / "tables" / "tables.json").read_text())["notes"]]
    assert any("Not the published networks, trained here" in t and "syncnet-trained" in t for t in texts)
    assert any("Not the published networks, fixed random features" in t and "i3d-random" in t for t in texts)
    assert any("beats the control still" in t for t in texts)
    assert any("does not beat the control copied_input" in t for t in texts)


def test_notes_say_whose_people_are_drawn_and_what_may_be_cited(
    results: Path, config: TablesConfig, tmp_path: Path
) -> None:
    text = (results / "tables" / "main.md").read_text()
    assert "The people of HDTF (demo) and MEAD (demo) are drawn and their voices synthetic." in text
    assert "Not as results on published corpora: the people are drawn and evaluators marked above" in text
    inputs = synthetic.inputs_of(results) | {"corpora": {"demo_ravdess": synthetic.CORPORA["demo_ravdess"]}}
    build(TableInputs(**inputs), config, 1, tmp_path / "scores.parquet")
    text = (tmp_path / "main.md").read_text()
    assert "drawn" not in text and "Not as results on published corpora: evaluators marked above" in text


def test_facts_of_corpora_and_methods_come_from_the_configuration(results: Path, tmp_path: Path) -> None:
    inputs = synthetic.inputs_of(results)
    files = [
        text
        for name in ("summary", "per_clip", "samples")
        for path in inputs[name]
        for text in (f"--{name.replace('_', '-')}", str(path))
    ]
    options = ("--config", str(ROOT / "config.yaml"), "--out", str(tmp_path / "scores.parquet"))
    result = CliRunner().invoke(app, ["build", *files, *options])
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "tables.json").read_text())["facts"]
    assert (
        facts["corpora"]["demo_mead"] == {"kind": "mead", "drawn": True}
        and facts["kinds"]["full"] == "eadnet"
    )


def test_report_of_the_ablation(results: Path) -> None:
    text = (results / "tables" / "ablation_report.md").read_text()
    assert (
        "no detectable effect" in text.lower() and "## Interactions" in text and "training_curves.png" in text
    )
    assert (results / "tables" / "training_curves.png").read_bytes()[:4] == b"\x89PNG"


def test_without_per_clip_samples_or_history(results: Path, config: TablesConfig, tmp_path: Path) -> None:
    build(TableInputs(synthetic.inputs_of(results)["summary"], []), config, 1, tmp_path / "scores.parquet")
    assert read_table(tmp_path / "scores.parquet", schemas.SCORES).p_value.isna().all()
    assert not (tmp_path / "training_curves.png").exists()


def test_one_clip(config: TablesConfig, tmp_path: Path) -> None:
    folder = synthetic.make_results(tmp_path / "r", synthetic.World(speakers=1, clips=1, history=()))
    build(TableInputs(**synthetic.inputs_of(folder)), config, 1, folder / "tables" / "scores.parquet")
    effects = read_table(folder / "tables" / "effects.parquet", schemas.EFFECTS)
    assert set(effects.verdict) == {"too few clips"}
    report(folder / "tables", folder, folder / "report" / "index.html")
    assert "<strong>3</strong> test clips" in (folder / "report" / "index.html").read_text()


def test_the_reference_and_the_grid_without_scores(config: TablesConfig, tmp_path: Path) -> None:
    methods = {m: synthetic.METHODS[m] for m in ("wav2lip", "still", "ground_truth")}
    folder = synthetic.make_results(tmp_path / "r", synthetic.World(methods=methods, history=()))
    build(TableInputs(**synthetic.inputs_of(folder)), config, 1, folder / "tables" / "scores.parquet")
    report(folder / "tables", folder, folder / "report" / "index.html")
    text = (folder / "tables" / "ablation_report.md").read_text()
    assert "Nothing to show." in text and re.search(r"grid has gaps: .*EAD-Net", text)
    assert "No scores: EAD-Net" in (folder / "tables" / "main.md").read_text()


def test_no_scores_and_mixed_checkpoints_are_refused(
    results: Path, config: TablesConfig, tmp_path: Path
) -> None:
    with pytest.raises(EadbenchError, match="no summary"):
        build(TableInputs([], []), config, 1, tmp_path / "scores.parquet")
    path = results / "samples/full/demo_hdtf/self/samples.parquet"
    frame = read_table(path, schemas.SAMPLES)
    frame.loc[0, "run_hash"] = "other"
    write_table(tmp_path / "samples.parquet", frame, schemas.SAMPLES)
    inputs = synthetic.inputs_of(results)
    with pytest.raises(EadbenchError, match="different checkpoints"):
        build(
            TableInputs(inputs["summary"], inputs["per_clip"], [tmp_path / "samples.parquet"]),
            config,
            1,
            tmp_path / "scores.parquet",
        )
    assert not (tmp_path / "scores.parquet").exists()


def test_loading_names_what_is_wrong(results: Path, tmp_path: Path) -> None:
    with pytest.raises(EadbenchError, match="missing"):
        load_built(tmp_path)
    shutil.copytree(results / "tables", tmp_path / "tables")
    (tmp_path / "tables" / "tables.json").write_text("{")
    with pytest.raises(FatalError, match="checksum differs"):
        load_built(tmp_path / "tables")
    (tmp_path / "tables" / seals.NAME).unlink()
    with pytest.raises(EadbenchError, match="cannot be read"):
        load_built(tmp_path / "tables")


@pytest.mark.parametrize("reference", ["full", "no_text"])
def test_loaded_tables_equal_the_written_ones(
    results: Path, config: TablesConfig, tmp_path: Path, reference: str
) -> None:
    other = config.model_copy(
        update={"ablation": config.ablation.model_copy(update={"reference": reference})}
    )
    build(TableInputs(**synthetic.inputs_of(results)), other, 1, tmp_path / "scores.parquet")
    for table in load_built(tmp_path).tables:
        written = pd.read_parquet(tmp_path / f"{table.name}.parquet")
        loaded = pd.DataFrame(table.records()).reindex(columns=written.columns)
        pd.testing.assert_frame_equal(written, loaded.astype(written.dtypes), check_dtype=False)


def test_show_prints_tables_and_notes(results: Path, capsys: pytest.CaptureFixture) -> None:
    show(results / "tables", results / "nowhere.html")
    text = capsys.readouterr().out
    assert all(
        word in text
        for word in (
            "Main comparison",
            "Ablation",
            "Speed",
            "EAD-Net",
            "does not beat the control",
            "tables report",
        )
    )
    drawn = [line for line in text.splitlines() if line.strip().startswith(("│", "┃", "┏", "└"))]
    assert max(map(len, drawn)) <= 80 and "…" not in text, "tables in a pipe are readable at 80 columns"
    assert (
        text.index("Quoted from the paper") > text.index("Evaluators")
        and text.count("Not the published networks, trained") == 1
    )


def test_compare(results: Path, config: TablesConfig, tmp_path: Path) -> None:
    assert (
        set(compare_values(results, results).verdict) == {"same"} and compare_settings(results, results).empty
    )
    other = synthetic.make_results(
        tmp_path / "other", synthetic.World(methods={**synthetic.METHODS, "full": 3.0}, seed=5)
    )
    shutil.rmtree(other / "scores" / "plain")
    path = other / "scores/still/demo_hdtf/self/summary.parquet"
    summary = read_table(path, schemas.SUMMARY)
    summary["weights_sha256"] = "ee" * 32
    write_table(path, summary, schemas.SUMMARY)
    (other / "scores/still/demo_hdtf/self/per_clip.parquet").unlink()
    config = config.model_copy(
        update={"main": config.main.model_copy(update={"methods": ["full", "wav2lip"]}), "alpha": 0.01}
    )
    build(TableInputs(**synthetic.inputs_of(other)), config, 2, other / "tables" / "scores.parquet")
    values_frame = compare_values(results, other).set_index(["method", "corpus", "metric"])
    assert (
        values_frame.loc[("full", "demo_hdtf", "sync"), "verdict"] == "changed"
        and values_frame.loc[("full", "demo_hdtf", "sync"), "difference"] > 1
    )
    assert values_frame.loc[("wav2lip", "demo_hdtf", "sync"), "verdict"] == "same"
    assert values_frame.loc[("plain", "demo_hdtf", "sync"), "verdict"] == "only in A"
    assert values_frame.loc[("still", "demo_hdtf", "fid"), "verdict"] == "other signature"
    assert {"seed", "tables: settings.alpha"} <= set(compare_settings(results, other).what)
    (other / "zoo/vae").mkdir(parents=True)
    for name in ("card.json", "provenance.json"):
        (other / "zoo/vae" / name).write_text(
            '{"settings": {"how": "trained", "kind": "vae"}, "how": "trained"}'
        )
    [row] = compare_settings(results, other).query("what.str.startswith('zoo')").to_dict("records")
    assert row == {"what": "zoo: records of their own", "A": "–", "B": "1"}, (
        "not a row for each of its settings"
    )
    compare(results, other, tmp_path / "differences.md")
    text = (tmp_path / "differences.md").read_text()
    values = text.partition("## Settings")[0].splitlines()
    verdicts = [line.split("|")[-2].strip() for line in values if line.startswith("| ") and "demo\\_" in line]
    assert verdicts[0].startswith("changed") and verdicts[-1].startswith("only in A")
    plain = [line for line in values if line.startswith("| plain ")]
    assert len(plain) == 3 and all("| all " in line for line in plain), (
        "a cell that is gone is one row per corpus"
    )
    assert "settings.alpha" in text


def test_configurations_are_valid() -> None:
    for name in ("config.yaml", "config/paper.yaml"):
        config = settings.load(None, [ROOT / name])
        listed = set(config.tables.methods)
        assert listed == set(config.samples.methods), (
            f"{name}: the tables list other methods than samples renders"
        )


def test_dictionary_is_up_to_date() -> None:
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert text == dictionary(), "run `eadbench tables dictionary`"
    assert all(column.meaning for table in schemas.ALL for column in table.columns)
