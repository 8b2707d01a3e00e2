"""Titles, names and notes agree with the training that the cards describe."""

import json
from pathlib import Path

import pandas as pd
import pytest
import synthetic

from eadbench.core import settings
from eadbench.core.errors import EadbenchError
from eadbench.core.settings import check, merge
from eadbench.tables.build import TableInputs, build
from eadbench.tables.config import TablesConfig
from eadbench.tables.load import load_built
from eadbench.training.card import corpora_of, origin

ROOT = Path(__file__).parents[2]
CONFIGURATIONS = {
    "demo": ["config.yaml"],
    "smoke": ["config.yaml", "config/smoke.yaml"],
    "paper": ["config/paper.yaml"],
}
STAGE1 = {
    "run": "stage1",
    "trained_on": ["demo_mead"],
    "steps": 200,
    "initialised_from": {"name": "sd15-unet"},
}
SYNCNET = {"run": "syncnet", "trained_on": ["demo_hdtf", "demo_mead"], "steps": 9000}
CARD = {
    "run": "full",
    "trained_on": ["demo_hdtf"],
    "steps": 50_000,
    "initialised_from": origin(STAGE1),
    "sync_loss_from": origin(SYNCNET),
}
TITLES = {
    "generalisation": {
        "title": "Trained on {trained_on}, run on {corpora}",
        "reference": "no_stda",
        "methods": ["no_stda", "full", "still"],
    },
    "ablation": {"title": "Ablation of {modules} on {corpora}"},
    "speed": {"title": "Speed on {corpora}"},
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of results with cards of two runs, ``full`` and ``no_stda``."""
    folder = synthetic.make_results(tmp_path_factory.mktemp("results"), synthetic.World(history=()))
    cards = []
    for method, card in (
        ("full", CARD),
        ("no_stda", {"run": "no_stda", "trained_on": ["demo_mead"], "steps": 10, "initialised_from": None}),
    ):
        cards.append(folder / "training" / method / "card.json")
        cards[-1].parent.mkdir(parents=True)
        cards[-1].write_text(json.dumps(card | {"sha256": method.encode().hex().ljust(64, "0")[:64]}))
    config = TablesConfig.model_validate(merge(synthetic.CONFIG, TITLES))
    build(
        TableInputs(**synthetic.inputs_of(folder), run_card=cards),
        config,
        1,
        folder / "tables" / "scores.parquet",
    )
    return folder / "tables"


def test_every_table_has_the_training_of_the_cards_as_columns(tables: Path) -> None:
    for name in ("main", "ablation"):
        frame = pd.read_parquet(tables / f"{name}.parquet").set_index("method")
        row = frame.loc["full"]
        assert (row.trained_on, row.steps, row.initialised_from) == (
            "demo_hdtf+demo_mead",
            50_000,
            "stage1 < sd15-unet",
        )
        assert row.caption_source == "other_clip"
        others = frame.drop(index=["full", "no_stda"], errors="ignore")
        assert others[["trained_on", "steps", "initialised_from"]].isna().all(axis=None), (
            "not trained here, or no card"
        )


def test_every_table_says_below_it_what_trained_and_what_was_rendered(tables: Path) -> None:
    start = (
        "EAD-Net: trained on HDTF (demo) for 50,000 steps, initialised from stage1 (trained on MEAD (demo) "
        "for 200 steps, initialised from "
        "sd15-unet); its sync loss is by syncnet (trained on HDTF (demo) and MEAD (demo) for 9,000 steps). "
        "Rendered: "
    )
    shown = {
        "main": "HDTF (demo) and MEAD (demo).",
        "ablation": "HDTF (demo).",
        "generalisation": "RAVDESS (demo).",
        "speed": "HDTF (demo).",
    }
    for name, corpora in shown.items():
        for suffix in ("md", "tex"):
            assert start + corpora in " ".join((tables / f"{name}.{suffix}").read_text().split()), (
                name,
                suffix,
            )


def test_titles_are_filled_from_the_cards_and_the_table(tables: Path) -> None:
    titles = {table.name: table.title for table in load_built(tables).tables}
    assert titles["generalisation"] == "Trained on MEAD (demo), run on RAVDESS (demo)"
    assert titles["ablation"] == "Ablation of STDA, TFRM and text on HDTF (demo)"
    assert (
        (tables / "generalisation.md")
        .read_text()
        .startswith("## Trained on MEAD (demo), run on RAVDESS (demo)\n")
    )
    assert (
        (tables / "ablation_report.md")
        .read_text()
        .startswith("# Ablation of STDA, TFRM and text on HDTF (demo)\n")
    )
    assert (tables / "speed.md").read_text().startswith("## Speed on HDTF (demo)\n")


def test_a_table_with_a_reference_of_its_own_is_tested_against_it_and_reads_back_alike(tables: Path) -> None:
    frame = pd.read_parquet(tables / "generalisation.parquet").set_index("method")
    assert pd.isna(frame.ssim_demo_ravdess_p["no_stda"]) and frame.ssim_demo_ravdess_p["full"] < 1
    built = next(table for table in load_built(tables).tables if table.name == "generalisation")
    assert built.reference == "no_stda"
    for row in built.records():
        for key in ("ssim_demo_ravdess_p", "sync_demo_ravdess_p"):
            expected = frame.loc[row["method"], key]
            assert row[key] == (None if pd.isna(expected) else pytest.approx(expected)), (row["method"], key)


def test_without_a_card_no_corpus_is_claimed(tables: Path, tmp_path: Path) -> None:
    config = TablesConfig.model_validate(merge(synthetic.CONFIG, TITLES))
    build(TableInputs(**synthetic.inputs_of(tables.parent)), config, 1, tmp_path / "scores.parquet")
    assert (
        (tmp_path / "generalisation.md")
        .read_text()
        .startswith("## Trained on an unknown corpus, run on RAVDESS (demo)\n")
    )


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_title_or_name_claims_by_hand_what_the_configuration_decides(name: str) -> None:
    configured = settings.load(None, [ROOT / file for file in CONFIGURATIONS[name]], whole=True)
    tables, training = configured.tables, configured.training
    specs = {**tables.comparisons(), "ablation": tables.ablation, "speed": tables.speed}
    words = {tables.label(corpus) for corpus in configured.corpora.sets} | {
        corpus.kind.upper() for corpus in configured.corpora.sets.values()
    }
    for key, spec in specs.items():
        assert not [word for word in (*words, "STDA", "TFRM", "unseen") if word in spec.title], (
            key,
            spec.title,
        )
        assert ("nother clip's audio" in spec.title) == (spec.protocol == "cross"), (key, spec.title)
        assert ("nother clip's emotion" in spec.title) == (spec.protocol == "cross_emotion"), (
            key,
            spec.title,
        )
    for method, options in configured.samples.methods.items():
        run = getattr(options, "run", None)
        alone = [word for word in words if f"({word} alone)" in tables.label(method)]
        assert not alone or [tables.label(corpus) for corpus in training.seen_by(run)] == alone, method
    seen = training.seen_by(configured.samples.methods[tables.reference_of(tables.generalisation)].run)
    assert not seen & set(tables.generalisation.corpora)
    expected = {"demo": {"demo_mead", "demo_hdtf"}, "smoke": {"demo_mead"}, "paper": {"mead"}}
    assert seen == expected[name], "the paper's generalisation is of a model that was trained on MEAD alone"


def test_a_generalisation_to_a_corpus_that_was_trained_on_is_refused_through_what_a_run_starts_from() -> None:
    paper = settings.load(None, [ROOT / "config/paper.yaml"], whole=True)
    over = {"training": {"runs": {"stage1_mead": {"train_on": ["mead", "ravdess"]}}}}
    with pytest.raises(EadbenchError, match=r"'full_mead'.*or what it starts from, was trained on ravdess"):
        check(merge(paper.raw, over), whole=True)


def test_a_reference_that_is_no_row_of_its_table_is_refused() -> None:
    with pytest.raises(ValueError, match="'no_stda', which `main` compares with, is not among its rows"):
        TablesConfig.model_validate(merge(synthetic.CONFIG, {"main": {"reference": "no_stda"}}))


@pytest.mark.parametrize(("title", "near"), [("On {corpra}", "corpora"), ("{trained on}", "trained_on")])
def test_a_placeholder_that_is_none_is_refused_with_the_nearest(title: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown placeholder .*did you mean '{near}'"):
        TablesConfig.model_validate(merge(synthetic.CONFIG, {"main": {"title": title}}))


def test_corpora_of_published_weights_are_not_known() -> None:
    assert corpora_of(
        {"trained_on": ["a"], "initialised_from": {"name": "sd15-unet", "trained_on": None}}
    ) == ["a"]
    assert corpora_of({}) == []


def test_tables_say_what_of_a_test_list_was_covered(tables: Path, tmp_path: Path) -> None:
    coverage = {
        "name": "ravdess",
        "listed": 3,
        "covered": 2,
        "gone": {"01-01": "no face was found"},
        "other": {},
        "beyond": 4,
    }
    paths = []
    for corpus, content in (("demo_ravdess", coverage), ("demo_mead", None)):
        paths.append(tmp_path / corpus / "coverage.json")
        paths[-1].parent.mkdir()
        paths[-1].write_text(json.dumps(content))
    config = TablesConfig.model_validate(merge(synthetic.CONFIG, TITLES))
    build(
        TableInputs(**synthetic.inputs_of(tables.parent), coverage=paths),
        config,
        1,
        tmp_path / "scores.parquet",
    )
    sentence = (
        "Test list ravdess: 2 of 3 entries are covered; gone: 01-01 (no face was found); 4 clips "
        "here are not on it."
    )
    assert (
        sentence in (tmp_path / "generalisation.md").read_text()
        and "Test list" not in (tmp_path / "main.md").read_text()
    )
