"""Exchange of results: export, merge, cite."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
import synthetic
import yaml
from typer.testing import CliRunner

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.scores.metrics import METRICS
from eadbench.tables import cite
from eadbench.tables.build import TableInputs, build
from eadbench.tables.cli import app
from eadbench.tables.config import TablesConfig
from eadbench.tables.export import to_croissant, to_csv, to_hub
from eadbench.tables.load import load_built, references
from eadbench.tables.merge import merge

SOME = {name: synthetic.METHODS[name] for name in ("full", "wav2lip", "still", "ground_truth")}


def make(
    folder: Path,
    config: TablesConfig,
    methods: dict[str, float],
    corpora: tuple[str, ...] = ("demo_hdtf", "demo_mead"),
    **world,
) -> Path:
    """Results of fewer methods, with tables built."""
    results = synthetic.make_results(
        folder, synthetic.World(methods=methods, corpora=corpora, history=(), **world)
    )
    listed = [m for m in methods if m != "ground_truth"] + ["ground_truth"]
    config = TablesConfig.model_validate(
        {
            "methods": listed,
            "controls": ["still"],
            "labels": config.labels,
            "main": config.main.model_dump(),
            "bootstrap": 100,
        }
    )
    build(TableInputs(**synthetic.inputs_of(results)), config, 1, results / "tables" / "scores.parquet")
    return results


def rebuilt(folder: Path) -> Path:
    """The same results with their tables built again."""
    config = load_built(folder / "tables").config
    build(TableInputs(**synthetic.inputs_of(folder)), config, 1, folder / "tables" / "scores.parquet")
    return folder


def changed(folder: Path, metric: str, **values: object) -> Path:
    """Results with other values in the summary rows of a metric."""
    for path in folder.glob("scores/*/*/*/summary.parquet"):
        frame = read_table(path, schemas.SUMMARY)
        for column, value in values.items():
            frame.loc[frame.metric == metric, column] = value
        write_table(path, frame, schemas.SUMMARY)
    return rebuilt(folder)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory, config: TablesConfig) -> Path:
    return make(tmp_path_factory.mktemp("mine") / "results", config, SOME)


@pytest.fixture
def theirs(tmp_path: Path, config: TablesConfig) -> Path:
    return make(tmp_path / "theirs", config, {"musetalk": 0.6, "still": 0.0, "ground_truth": 1.0})


def test_merged_results_hold_the_methods_of_all_and_read_like_built_ones(
    mine: Path, theirs: Path, tmp_path: Path
) -> None:
    built = merge({"mine": mine, "theirs": theirs}, tmp_path / "merged" / "scores.parquet")
    assert built.config.methods == [
        "full",
        "wav2lip",
        "musetalk",
        "still",
        "ground_truth",
    ] and built.config.controls == ["still"]
    (main,) = built.tables
    own, other = (
        load_built(folder / "tables").scores.set_index(["method", "metric"]) for folder in (mine, theirs)
    )
    cell = main.cells["musetalk", "fid_demo_mead"]
    assert (
        cell.value == other[other.corpus == "demo_mead"].loc[("musetalk", "fid"), "value"] and cell.p is None
    )
    tested = main.cells["wav2lip", "ssim_demo_mead"]
    assert tested.p == own[own.corpus == "demo_mead"].loc[("wav2lip", "ssim"), "p_value"], (
        "tests within the first results stay"
    )
    assert "Merged from mine: EAD-Net" in (
        tmp_path / "merged" / "main.md"
    ).read_text() and built.facts.drawn == ["demo_hdtf", "demo_mead"]
    again = CliRunner().invoke(app, ["show", "--tables", str(tmp_path / "merged")])
    assert again.exit_code == 0 and "musetalk" in again.output


def test_a_method_of_the_same_name_and_other_values_gets_the_name_of_its_results(
    mine: Path, config: TablesConfig, tmp_path: Path
) -> None:
    other = make(tmp_path / "theirs", config, SOME | {"full": 0.1})
    built = merge({"mine": mine, "theirs": other}, tmp_path / "merged" / "scores.parquet")
    assert built.config.methods == ["full", "wav2lip", "full.theirs", "still", "ground_truth"]
    assert built.config.label("full.theirs") == "EAD-Net (theirs)"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"weights_sha256": "ee" * 32},
            ("differs in hash of the weights", "mine: inception-random (sha256 333333333333)", "theirs:"),
        ),
        ({"extractor": "inception-v3"}, ("differs in network", "theirs: inception-v3")),
        ({"resolution": 299}, ("differs in resolution", "at 64 px", "at 299 px")),
        ({"variant": "clean"}, ("differs in variant", "theirs: clean", "mine: none")),
    ],
)
def test_values_of_another_signature_are_refused_and_the_difference_is_named(
    mine: Path, theirs: Path, tmp_path: Path, values: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(EadbenchError, match="fid") as caught:
        merge(
            {"mine": mine, "theirs": changed(theirs, "fid", **values)}, tmp_path / "merged" / "scores.parquet"
        )
    assert (
        all(word in str(caught.value) for word in (*words, "--without fid"))
        and not (tmp_path / "merged").exists()
    )
    built = merge({"mine": mine, "theirs": theirs}, tmp_path / "merged" / "scores.parquet", ["fid"])
    assert "fid" not in set(built.scores.metric)


def test_other_clips_and_real_people_beside_drawn_ones_are_refused(
    mine: Path, theirs: Path, config: TablesConfig, tmp_path: Path
) -> None:
    other = make(tmp_path / "other", config, {"musetalk": 0.6, "ground_truth": 1.0}, clips=7)
    with pytest.raises(EadbenchError, match="other clips of demo_hdtf/self"):
        merge({"mine": mine, "other": other}, tmp_path / "merged" / "scores.parquet")
    inputs = synthetic.inputs_of(theirs) | {"corpora": {"demo_mead": {"kind": "mead", "drawn": False}}}
    build(
        TableInputs(**inputs), load_built(theirs / "tables").config, 1, theirs / "tables" / "scores.parquet"
    )
    with pytest.raises(EadbenchError, match="people of demo_mead are drawn"):
        merge({"mine": mine, "theirs": theirs}, tmp_path / "merged" / "scores.parquet")


def test_merging_needs_two_results_with_two_names_and_known_metrics(mine: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "scores.parquet")
    assert "nothing to merge" in str(CliRunner().invoke(app, ["merge", str(mine), "--out", out]).exception)
    assert "two results are named" in str(
        CliRunner().invoke(app, ["merge", str(mine), str(mine), "--out", out]).exception
    )
    with pytest.raises(EadbenchError, match="no metric 'psnr'"):
        merge({"a": mine, "b": mine}, tmp_path / "scores.parquet", ["psnr"])


def test_csv_holds_every_value_with_its_signature(mine: Path, tmp_path: Path) -> None:
    built = load_built(mine / "tables")
    to_csv(built, tmp_path / "s.csv")
    frame = pd.read_csv(tmp_path / "s.csv")
    assert list(frame) == schemas.SCORES.names and len(frame) == len(built.scores)
    pd.testing.assert_series_equal(frame.value, built.scores.value, check_exact=True, check_index=False)


def test_the_hub_gets_a_file_per_method_that_its_own_library_reads(mine: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    built = load_built(mine / "tables")
    written = to_hub(built, tmp_path, {"demo_mead": "someone/mead-like"})
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        *(f"models/{m}/.eval_results/demo_mead.yaml" for m in ("full", "still", "wav2lip")),
        "datasets/demo_mead/eval.yaml",
    ]
    entries = hub.parse_eval_result_entries(yaml.safe_load(written[0].read_text(encoding="utf-8")))
    entry_of = {entry.task_id: entry for entry in entries}
    assert set(entry_of) == {"ssim", "fid", "fvd_stylegan-v", "sync", "acc_emo"} and {
        e.dataset_id for e in entries
    } == {"someone/mead-like"}
    row = built.scores[
        (built.scores.method == "full")
        & (built.scores.corpus == "demo_mead")
        & (built.scores.metric == "fid")
    ].iloc[0]
    assert entry_of["fid"].value == row.value
    assert (
        "n = 24; inception-random (sha256 333333333333) at 64 px" in entry_of["fid"].notes
        and "drawn" in entry_of["fid"].notes
    )
    # https://huggingface.co/docs/hub/eval-results: the keys, and tasks that entries name
    benchmark = yaml.safe_load(written[-1].read_text(encoding="utf-8"))
    assert list(benchmark) == ["name", "description", "evaluation_framework", "tasks"]
    assert benchmark["evaluation_framework"] == "eadbench" and "drawn" in benchmark["description"]
    assert {task["id"] for task in benchmark["tasks"]} == set(entry_of)
    assert all(set(task) == {"id", "config", "split"} for task in benchmark["tasks"])
    for ids, words in (
        ({}, "no corpus is named"),
        ({"mead": "a/b"}, "no corpus 'mead'"),
        ({"demo_mead": "nobody"}, "is no id of the Hub"),
        ({"demo_mead": ""}, "is no id of the Hub"),
        ({"demo_mead": "a/b", "demo_hdtf": "a/b"}, "two corpora have one id"),
    ):
        with pytest.raises(EadbenchError, match=words):
            to_hub(built, tmp_path, ids)


def test_croissant_describes_the_files_that_are_there(mine: Path) -> None:
    built, out = load_built(mine / "tables"), mine / "tables" / "croissant.json"
    to_croissant(built, out, "scores", "CC0-1.0")
    description = json.loads(out.read_text(encoding="utf-8"))
    assert (
        description["conformsTo"] == "http://mlcommons.org/croissant/1.0"
        and "drawn" in description["description"]
        and "@inproceedings" in description["citeAs"]
    )
    files = {item["@id"]: item["sha256"] for item in description["distribution"]}
    assert {"scores.parquet", "main.parquet"} <= set(files)
    assert all(
        hashlib.sha256((mine / "tables" / name).read_bytes()).hexdigest() == sha256
        for name, sha256 in files.items()
    )
    fields = {
        item["@id"]: [f["source"]["extract"]["column"] for f in item["field"]]
        for item in description["recordSet"]
    }
    assert all(
        columns == list(pd.read_parquet(mine / "tables" / f"{name}.parquet"))
        for name, columns in fields.items()
    )
    with pytest.raises(EadbenchError, match="beside what it describes"):
        to_croissant(built, mine / "croissant.json", "scores", "CC0-1.0")


def test_croissant_is_valid_for_its_own_library(mine: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")  # not among the locked packages: a check by hand
    out = mine / "tables" / "croissant.json"
    to_croissant(load_built(mine / "tables"), out, "scores", "CC0-1.0")
    assert len(list(mlcroissant.Dataset(out).records("main"))) == len(SOME)


def test_an_unknown_form_is_refused_with_the_nearest(mine: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["export", "--to", "croisant", "--out", str(tmp_path / "x"), "--tables", str(mine / "tables")]
    )
    assert "'croissant'" in str(result.exception)


def test_references_are_those_of_the_table(mine: Path) -> None:
    text = references(load_built(mine / "tables"), "main")
    for key in (
        "zhang2021hdtf",
        "wang2020mead",
        "li2026eadnet",
        "prajwal2020wav2lip",
        "heusel2017fid",
        "unterthiner2018fvd",
        "wang2004ssim",
    ):
        assert text.count(f"{{{key},") == 1
    assert (
        "livingstone2018ravdess" not in text
        and "zhang2018lpips" not in text
        and "% Corpora (their layout; the people here are drawn" in text
    )
    with pytest.raises(EadbenchError, match="no table is named 'mein'"):
        references(load_built(mine / "tables"), "mein")


def test_every_key_has_an_entry_with_title_author_and_year() -> None:
    keys = {
        *cite.CORPORA.values(),
        *(key for method_keys in cite.METHODS.values() for key in method_keys),
        *(k for m in METRICS.values() for k in m.cites),
        cite.OURS,
    }
    assert keys <= set(cite.entries())
    for entry in cite.entries().values():
        assert all(f" {field} " in entry for field in ("title", "author", "year")) and entry.count(
            "{"
        ) == entry.count("}")
