"""Wide tables: ranks, signatures, quoted values, and their print in Markdown, LaTeX and
CSV.
"""

import re
from pathlib import Path

import pandas as pd
import pytest
from latex import compile_both_ways, compile_latex, needs_pdflatex, scales_in_papers

from eadbench.core.errors import EadbenchError
from eadbench.tables import render, wide
from eadbench.tables.build import facts_of
from eadbench.tables.config import TablesConfig
from eadbench.tables.latex import BELOW, SMALLEST, escape_latex, to_latex
from eadbench.tables.notes import Note, grouped, input_emotion, marks, missing
from eadbench.tables.wide import Facts, comparison

NASTY = '<script>alert("x")</script> & 100% $\\alpha_1$ {~^} [*] | 方法 é'
FACTS = Facts({}, {})


def scores(**methods: float | None) -> pd.DataFrame:
    rows = [
        {
            "method": m,
            "corpus": "c",
            "protocol": "self",
            "metric": "fid",
            "value": v,
            "low": None if v is None else v - 1,
            "high": None if v is None else v + 1,
            "n": 9,
            "n_missing": 0,
            "extractor": "inception-random",
            "weights_sha256": "ab" * 32,
            "resolution": 64,
            "variant": "",
            "warning": "",
            "p_value": None,
            "n_common": None,
        }
        for m, v in methods.items()
    ]
    return pd.DataFrame(rows).astype({"resolution": "Int64", "value": float, "low": float, "high": float})


def config(*methods: str, **more) -> TablesConfig:
    main = {
        "title": "Main",
        "corpora": ["c"],
        "metrics": more.pop("metrics", ["fid"]),
        "quoted": more.pop("quoted", {}),
    }
    return TablesConfig.model_validate({"methods": list(methods), "main": main, **more})


def table_of(cfg: TablesConfig, frame: pd.DataFrame) -> wide.WideTable:
    return comparison("main", cfg.main, cfg, frame, FACTS)


def test_best_and_second_leave_out_controls_and_truth() -> None:
    cfg = config("a", "b", "d", "still", "ground_truth", controls=["still"])
    table = table_of(cfg, scores(a=30, b=20, d=25, still=1, ground_truth=0))
    assert {m: c.rank for (m, _), c in table.cells.items()} == {
        "a": 0,
        "b": 1,
        "d": 2,
        "still": 0,
        "ground_truth": 0,
    }


def test_equal_values_share_a_rank_and_one_method_has_none() -> None:
    assert [c.rank for c in table_of(config("a", "b", "d"), scores(a=2, b=2, d=5)).cells.values()] == [
        1,
        1,
        2,
    ]
    assert [c.rank for c in table_of(config("a", "b"), scores(a=2, b=None)).cells.values()] == [0, 0]


def test_nothing_is_marked_where_the_best_cannot_be_told_from_the_others() -> None:
    cfg = config("a", "b", "d")
    table = table_of(cfg, scores(a=2, b=2.5, d=2.9))  # all within the interval of the best, 1 to 3
    assert {c.rank for c in table.cells.values()} == {0} and table.undecided == ("fid_c",)
    (note,) = marks(table)
    assert note.text.startswith("No best is marked in FID: the interval")
    tested = scores(a=2, b=2.5, d=2.9)
    tested.loc[1, "p_value"] = 0.01
    assert [c.rank for c in table_of(cfg, tested).cells.values()] == [1, 2, 0], (
        "the paired test finds a difference between a and b"
    )
    alone = scores(a=2, b=20, d=30).assign(n=1, low=None, high=None)
    assert {c.rank for c in table_of(cfg, alone.astype({"low": float, "high": float})).cells.values()} == {0}


def test_a_method_that_lacks_clips_of_others_is_not_ranked() -> None:
    cfg = config("a", "b", "d", "e")
    frame = scores(a=20, b=2, d=30, e=40)
    frame.loc[1, "n"], frame.loc[1, "n_missing"] = 6, 3
    table = table_of(cfg, frame)
    assert [c.rank for c in table.cells.values()] == [0, 1, 2, 0], "sorted by value: b, a, d, e"
    (note,) = marks(table)
    assert note.text == "b is not ranked in FID: it lacks clips that others have."
    frame.loc[1, "n"], frame["n_common"] = 9, [None, 7, 9, 9]
    assert table_of(cfg, frame).cells["b", "fid_c"].short, "as many clips, but other ones"
    frame.loc[0, "n"], frame["n_common"] = 6, [None, 6, 6, 6]
    assert [m for (m, _), c in table_of(cfg, frame).cells.items() if c.short] == ["a"], (
        "the reference itself lacks some"
    )


def test_the_number_in_the_head_is_that_of_the_methods_not_of_the_real_videos() -> None:
    cfg = config("a", "real", ground_truth="real")
    frame = scores(a=2, real=0)
    frame.loc[1, "n"] = 12
    table = table_of(cfg, frame)
    assert render.column_n(table, table.columns[0]) == 9


def test_numbers_have_as_many_decimals_as_are_worth_something() -> None:
    assert wide.decimals_for([0.0, 6.9e-18]) == 2 and render.number(6.9e-18, 2) == "0.00", (
        "a set's distance to itself"
    )
    assert (
        wide.decimals_for([0.0]) == 2
        and wide.decimals_for([0.004], "frames") == 1
        and wide.decimals_for([0.004]) == 5
    )


def test_a_method_that_keeps_the_brows_is_explained() -> None:
    cfg = config("a", "b", "d", "e", metrics=["acc_emo"])
    frame = scores(a=0.3, b=0.6, d=0.7, e=0.5).assign(metric="acc_emo")
    brows = scores(a=0.5, b=1.0, d=1.0, e=0.4).assign(metric="brow_motion_ratio")
    table, both = comparison("main", cfg.main, cfg, frame, FACTS), pd.concat([frame, brows])
    (note,) = input_emotion(table, both, Facts({}, {}, kinds={"b": "command", "d": "eadnet", "e": "wav2lip"}))
    assert (
        "here b (0.60), e (0.50), shows" in note.text
        and "d (" not in note.text
        and "cross_emotion" in note.text
    )
    assert not input_emotion(table, frame, FACTS), "nothing is said of an unknown method without brow motion"


def test_the_same_gap_of_all_methods_is_noted_once() -> None:
    cfg = config("a", "b")
    frame = scores(a=2, b=3).assign(n_missing=1)
    rows = [(m, "c", "self", "k1", "fid", "failed", "no face", False) for m in ("a", "b")]
    names = ["method", "corpus", "protocol", "clip_id", "metric", "status", "reason", "whole"]
    texts = [n.text for n in missing(table_of(cfg, frame), pd.DataFrame(rows, columns=names))]
    single_texts = [n.text for n in missing(table_of(cfg, frame), pd.DataFrame(rows[:1], columns=names))]
    assert single_texts[0] == "a: 1 of 10 clips is missing from FID: k1 (no face).", (
        "a name keeps its letters"
    )
    assert texts == [
        "All methods: 1 of 10 clips is missing from FID: k1 (no face).",
        "Paired tests use the clips in common.",
    ]


def test_notes_are_under_headings_in_a_fixed_order() -> None:
    notes = [Note("warning", "main", "w"), Note("evaluators", "", "j"), Note("missing", "other", "m")]
    assert grouped(notes, "main") == {"Evaluators": ["j"], "Warnings": ["w"]}


def test_a_method_without_scores_keeps_its_row() -> None:
    table = table_of(config("a", "ghost"), scores(a=2))
    assert [r.method for r in table.without_scores] == ["ghost"]
    assert "| ghost | – |" in render.to_markdown(table, {}, {}, 0.05)


@pytest.mark.parametrize(
    ("column", "value"),
    [("extractor", "inception-v3"), ("weights_sha256", "cd" * 32), ("resolution", 299), ("variant", "clean")],
)
def test_mixed_metric_signatures_are_refused_with_names(column: str, value: object) -> None:
    frame = scores(a=2, b=3)
    frame.loc[1, column] = value
    with pytest.raises(EadbenchError, match="different metric signatures") as caught:
        table_of(config("a", "b"), frame)
    assert all(word in str(caught.value) for word in ("main", "fid", ": a", ": b"))


def test_a_named_variant_picks_its_rows() -> None:
    frame = scores(a=2, b=3)
    other = frame.assign(variant="clean", value=[7.0, 8.0])
    table = table_of(config("a", "b", metrics=["fid@clean"]), pd.concat([frame, other], ignore_index=True))
    assert [c.value for c in table.cells.values()] == [7.0, 8.0]


def test_quoted_values_stand_alone_and_only_the_known_ones() -> None:
    cfg = config("a", "b", quoted={"c": "MEAD"})
    table = table_of(cfg, scores(a=2, b=3))
    first, second = table.records()
    assert first["fid_c"] == 2 and first["fid_c_quoted"] == 41.81 and second["fid_c_quoted"] is None
    measured, quoted = render.to_markdown(table, {}, {}, 0.05).split(render.QUOTED)
    assert "41.81" not in measured and "not comparable" in quoted and "| a | MEAD | 41.81 |" in quoted
    assert to_latex(table, {}, {}, 0.05).count(r"\begin{table}") == 2
    quoted_entries = {
        metric: entry["value"] for q in wide.quotations() for metric, entry in q["values"].items()
    }
    assert quoted_entries == {"fid": 41.81, "fvd": 265.082, "sync": 7.45, "acc_emo": pytest.approx(0.4667)}


def test_another_n_is_shown_in_the_cell() -> None:
    frame = scores(a=2, b=3, d=4)
    frame.loc[2, "n"] = 5
    text = render.to_markdown(table_of(config("a", "b", "d"), frame), {}, {}, 0.05)
    assert "(n=9)" in text and text.count("n=5") == 1


def test_markdown_neutralises_names() -> None:
    text = render.to_markdown(
        table_of(config("a", "b", labels={"a": NASTY}), scores(a=2, b=3)),
        {NASTY: [NASTY]},
        {"a": NASTY},
        0.05,
    )
    assert "<script>" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| &lt;script")]
    assert row.replace("\\|", "").count("|") == 3  # no column more than the heading has


@needs_pdflatex
@pytest.mark.parametrize("name", ["main", "generalisation", "ablation", "speed"])
def test_latex_compiles_alone_and_in_a_paper(results: Path, tmp_path: Path, name: str) -> None:
    path = results / "tables" / f"{name}.tex"
    compile_both_ways(path, tmp_path)
    output = compile_latex(path.read_text(encoding="utf-8"), tmp_path)
    assert re.search(r"Output written on t.pdf \([12] page", output), "more than two pages"


@needs_pdflatex
def test_latex_compiles_with_any_name(tmp_path: Path) -> None:
    table = table_of(
        config("a", "b", labels={"a": NASTY, "b": "[1] *", "c": NASTY}, quoted={"c": "MEAD"}),
        scores(a=2, b=3),
    )
    source = to_latex(table, {NASTY: [NASTY]}, {"a": NASTY, "c": NASTY}, 0.05)
    compile_latex(source, tmp_path)
    scales_in_papers(source, tmp_path)


SIXTEEN = (
    "fid", "kid", "fvd", "ssim", "psnr", "lpips", "csim", "sync", "lse_d", "sync_offset", "acc_emo", "m_lmd",
    "sharpness_ratio", "jitter_ratio", "motion_energy_ratio", "brow_motion_ratio",
)  # fmt: skip


def many_columns(methods: int, metrics: tuple[str, ...] = SIXTEEN) -> wide.WideTable:
    """A table of many methods and metrics on two corpora."""
    names = [f"Method {k} (trained)" for k in range(methods)]
    base_frame = scores(**{m: 20.5 + k for k, m in enumerate(names)})
    frame = pd.concat([base_frame.assign(metric=m, corpus=c) for m in metrics for c in ("c", "d")])
    cfg = config(*names, metrics=list(metrics))
    spec = cfg.main.model_copy(update={"corpora": ["c", "d"]})
    return comparison("main", spec, cfg, frame, FACTS)


@needs_pdflatex
@pytest.mark.parametrize("methods", [3, 14, 45])
def test_latex_of_many_metrics_and_methods_is_legible(tmp_path: Path, methods: int) -> None:
    source = to_latex(many_columns(methods), {"Notes": ["one"]}, {}, 0.05)
    compile_latex(source, tmp_path)
    scales = scales_in_papers(source, tmp_path)
    assert min(scales) * BELOW > SMALLEST - 0.2, "the width is an estimate"
    assert source.count("Bold: best") == 1


def test_latex_splits_by_corpus_then_by_family_and_loses_no_column() -> None:
    source = to_latex(many_columns(3), {}, {}, 0.05)
    parts = re.findall(r"begin{tabular}{lr+}\n(.*?)\n\\midrule", source, re.S)
    assert len(parts) > 4 and all(part.count(r"\multicolumn") == 1 for part in parts), "a corpus to a part"
    assert sum(part.count("n=9") for part in parts) == 2 * len(SIXTEEN), "a head for every column"
    for family in (
        ("FID", "KID", "FVD"),
        ("SSIM", "PSNR", "LPIPS"),
        ("LSE-C", "LSE-D"),
        ("Jitter", "energy"),
    ):
        assert {sum(name in part for name in family) for part in parts} == {0, len(family)}
    few = to_latex(many_columns(3, ("ssim", "fid")), {}, {}, 0.05)
    assert few.count(r"\begin{tabular}{l") == 1 and "table*" in few
    assert r"\begin{table}" in to_latex(table_of(config("a", "b"), scores(a=2, b=3)), {}, {}, 0.05)


def test_latex_escapes_every_special_character() -> None:
    assert escape_latex("a_b & 5% #1 {x}") == r"a\_b \& 5\% \#1 \{x\}"
    assert escape_latex("方") == "[U+65B9]"


def test_configuration_refuses_what_misleads() -> None:
    with pytest.raises(ValueError, match="motion energy"):
        config("a", metrics=["jitter_ratio"])
    grid = {"title": "A", "corpora": ["c"], "metrics": ["fid"], "reference": "a"}
    with pytest.raises(ValueError, match="same place"):
        config("a", ablation={**grid, "factors": {"a": {"x": True}, "b": {"x": True}}})
    with pytest.raises(ValueError, match="modules"):
        config("a", ablation={**grid, "factors": {"a": {"x": True}, "b": {"y": True}}})


def test_a_table_holds_one_protocol_and_says_who_could_not_run() -> None:
    """Scores of another protocol stay out; a method without samples there has its row,
    with the reason.
    """
    own, cross = scores(a=30, b=20), scores(a=70).assign(protocol="cross")
    cfg = config(
        "a",
        "b",
        more={"cross": {"title": "Cross", "corpora": ["c"], "metrics": ["fid"], "protocol": "cross"}},
    )
    why = "weights are missing: x (from y (z), no sha256); needs a GPU: none"
    rows = [
        ("a", "self", "kept", ""),
        ("b", "self", "kept", ""),
        ("a", "cross", "kept", ""),
        *[("b", "cross", "dropped", why)] * 2,
    ]
    samples = pd.DataFrame(rows, columns=["method", "protocol", "status", "reason"]).assign(
        run_hash=None, caption_source=None
    )
    facts, both = facts_of(samples), pd.concat([own, cross])
    tables = {
        n: comparison(n, spec, cfg, both, facts)
        for n, spec in (("main", cfg.main), ("cross", cfg.more["cross"]))
    }
    assert {m: c.value for (m, _), c in tables["main"].cells.items()} == {"a": 30, "b": 20}
    assert {m: c.value for (m, _), c in tables["cross"].cells.items()} == {"a": 70} and [
        r.method for r in tables["cross"].rows
    ] == ["a", "b"]
    assert not missing(tables["main"])
    (note,) = missing(tables["cross"])
    assert note.text.startswith("b could not be run: weights are missing: x, and 1 more (`eadbench")
    assert "| b | – |" in render.to_markdown(tables["cross"], {"Missing clips": [note.text]}, {}, 0.05)


@pytest.mark.parametrize(
    ("extractor", "variant", "text"),
    [
        ("i3d", "stylegan-v", "i3d (sha256 0123456789ab) at 64 px, protocol stylegan-v"),
        ("i3d", "latentsync,n=8", "i3d (sha256 0123456789ab) at 64 px, protocol latentsync,n=8"),
        ("sync [lower half]", "lower half", "sync [lower half] (sha256 0123456789ab) at 64 px"),
        ("inception", "16 frames per clip", "inception (sha256 0123456789ab) at 64 px, 16 frames per clip"),
    ],
)
def test_a_signature_says_the_protocol_once(extractor, variant, text):
    from eadbench.tables.wide import describe_signature

    assert describe_signature(extractor, "0123456789abcdef", "64", variant) == text
