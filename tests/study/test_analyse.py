"""The study's tables and page, from synthetic scores."""

import itertools

import numpy as np
import pandas as pd
import pytest

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.study.analyse import analyse, compare_readings, ranks
from eadbench.study.config import StudyConfig

MODULES = ("a", "b")
SEEDS = 3


def config(**over) -> StudyConfig:
    cells = {
        f"{int(a)}{int(b)}": {
            "modules": [m for m, on in zip(MODULES, (a, b), strict=True) if on],
            "methods": [f"m{int(a)}{int(b)}s{k}" for k in range(SEEDS)],
        }
        for a, b in itertools.product((True, False), repeat=2)
    }
    hypotheses = {
        "H1": {"effect": "a", "metric": "ssim", "claim": "up", "smallest": 0.01, "source": "made up"},
        "H2": {"effect": "b", "metric": "fvd@stylegan-v", "claim": "down", "smallest": 1.0},
        "H3": {"effect": "b", "metric": "ssim", "claim": "up", "smallest": 0.05},
        "H4": {"effect": "a", "metric": "csim", "claim": "up", "smallest": 0.01, "protocol": "cross_emotion"},
    }
    questions = {"hypotheses": hypotheses, "explore": ["psnr"], "overall": ["ssim", "fvd@stylegan-v"]}
    grid = {"title": "A study", "corpus": "toy", "modules": list(MODULES), "cells": cells, "complete": "11"}
    return StudyConfig(**(grid | questions | over))


def filled(table, rows) -> pd.DataFrame:
    """Rows of a table; columns that are not given are empty."""
    frame = pd.DataFrame(rows)
    for column in table.columns:
        if column.name not in frame:
            blank = None if column.nullable else {"string": "", "int64": 0}.get(str(column.type), 0.0)
            frame[column.name] = blank
    return frame[table.names]


@pytest.fixture
def scored(tmp_path):
    """Module a adds 0.1 to SSIM and CSIM, b takes 5 off FVD; nothing else does anything.

    Under cross_emotion frames do not correspond, so SSIM has rows without values there.
    """
    measured = {("self", "ssim"): 0.7, ("self", "psnr"): 30.0, ("cross_emotion", "csim"): 0.6}
    measured[("cross_emotion", "ssim")] = None
    rng = np.random.default_rng(1)
    speaker = {f"s{i}": rng.normal(0, 0.05) for i in range(6)}
    paths = []
    for a, b in itertools.product((True, False), repeat=2):
        for k in range(SEEDS):
            name = f"m{int(a)}{int(b)}s{k}"
            head = {"method": name, "corpus": "toy"}
            clips = [
                head
                | {
                    "protocol": protocol,
                    "clip_id": f"{s}-{n}",
                    "speaker": s,
                    "emotion": ("happy", "sad")[n % 2],
                    "metric": metric,
                    "status": "kept" if base else "dropped",
                    "value": base and base + 0.1 * a * (metric != "psnr") + extra + rng.normal(0, 0.005),
                }
                for (protocol, metric), base in measured.items()
                for s, extra in speaker.items()
                for n in range(4)
            ]
            sets = [
                head
                | {"protocol": "self", "metric": "fvd", "variant": v, "n": 24}
                | {"value": 50.0 - 5 * b + rng.normal(0, 0.3)}
                for v in ("stylegan-v", "latentsync")
            ]
            folder = tmp_path / name
            folder.mkdir()
            write_table(folder / "per_clip.parquet", filled(schemas.PER_CLIP, clips), schemas.PER_CLIP)
            write_table(folder / "summary.parquet", filled(schemas.SUMMARY, sets), schemas.SUMMARY)
            paths.append(folder)
    return [p / "per_clip.parquet" for p in paths], [p / "summary.parquet" for p in paths]


def test_true_effects_are_confirmed_and_an_absent_one_is_refuted(scored, tmp_path):
    analyse(*scored, config(), tmp_path / "out")
    assert "drawn" not in (tmp_path / "out/study.md").read_text().lower()
    frame = read_table(tmp_path / "out/effects.parquet", schemas.STUDY)
    confirmatory = frame[frame.hypothesis.notna()].set_index("hypothesis")
    assert confirmatory.verdict.to_dict() == {
        "H1": "confirmed",
        "H2": "confirmed",
        "H3": "refuted",
        "H4": "confirmed",
    }
    assert confirmatory.loc["H1", "value"] == pytest.approx(0.1, abs=0.01) and confirmatory.loc[
        "H2", "value"
    ] == pytest.approx(-5, abs=1)
    assert (
        confirmatory.loc["H1", "clips"] == 24
        and confirmatory.loc["H1", "speakers"] == 6
        and confirmatory.loc["H2", "speakers"] == 0
    )
    assert (confirmatory.p_holm >= confirmatory.p_value).all()


def test_unmeasured_metrics_are_left_out_and_a_hypothesis_about_one_is_refused(scored, tmp_path):
    """SSIM is explored under both protocols; under cross_emotion it does not apply."""
    frame = analyse(*scored, config(explore=["ssim"]), tmp_path / "out")
    assert set(frame[frame.metric == "ssim"].protocol) == {"self"}
    of_it = {"effect": "a", "metric": "ssim", "claim": "up", "smallest": 0, "protocol": "cross_emotion"}
    with pytest.raises(EadbenchError, match="no clips of two speakers in common"):
        analyse(*scored, config(hypotheses={"H": of_it}), tmp_path / "out")


def test_the_ranks_are_those_of_all_cells_and_the_best_comes_first():
    by = {
        ("self", "ssim"): {"11": 0.9, "00": 0.8, "10": 0.7},
        ("self", "jitter_ratio"): {"11": 1.2, "00": 0.5, "10": 1.1},
        ("cross_emotion", "ssim"): {"11": 0.1},
    }
    rows = [(*pair, cell, mean) for pair, cells in by.items() for cell, mean in cells.items()]
    means = pd.DataFrame(rows, columns=["protocol", "metric", "cell", "mean"])
    ranked = ranks(means, config(overall=["ssim", "jitter_ratio"]))
    assert ranked.loc["11"].tolist() == [1, 2, 1.5] and ranked.loc["10"].tolist() == [3, 1, 2]
    assert ranked.index[0] == "11"


def test_each_emotion_and_interaction_is_explored_without_a_verdict(scored, tmp_path):
    frame = analyse(*scored, config(), tmp_path / "out", drawn=True)
    assert "**Drawn people, synthetic voices: nobody real" in (tmp_path / "out/study.md").read_text()
    exploratory = frame[frame.hypothesis.isna()]
    assert (
        set(exploratory.effect) == {"a", "b", "a:b"}
        and set(exploratory.level) == {"all", "happy", "sad"}
        and exploratory.verdict.isna().all()
    )
    assert set(exploratory.metric) == {"ssim", "fvd@stylegan-v", "psnr", "csim"}


def test_another_reading_is_compared_with_the_complete_cell_of_its_seeds(scored, tmp_path):
    """A reading equal to the cell without b loses what b gains, in its own seeds; only
    the readings and the complete cell need to have been scored.
    """
    with_reading = config(readings={"off": {"module": "b", "methods": ["m10s0", "m10s1"]}})
    needed = {method for method, _ in with_reading.rendered_readings}
    assert needed == {"m11s0", "m11s1", "m10s0", "m10s1"}
    paths = [[path for path in table if path.parent.name in needed] for table in scored]
    frame = compare_readings(*paths, with_reading, tmp_path / "out", drawn=True)
    assert set(frame.kind) == {"reading"} and set(frame.protocol) == {"self"}
    rows = frame.set_index("metric")
    assert set(rows.index) == {"ssim", "fvd@stylegan-v", "psnr"}
    assert set(rows.effect) == {"off"} and set(rows.seeds) == {2} and rows.verdict.isna().all()
    assert rows.value["fvd@stylegan-v"] == pytest.approx(5, abs=1)
    assert rows.value["ssim"] == pytest.approx(0, abs=0.01)
    page = (tmp_path / "out/readings.md").read_text()
    assert "b as off" in page and "11 and off, 2 trainings each" in page and "Drawn people" in page
    for name in ("forest.png", "forest.pdf"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_a_reading_may_name_the_seeds_that_it_is_compared_with(scored, tmp_path):
    reading = {"module": "b", "methods": ["m10s1", "m10s2"], "against": ["m11s1", "m11s2"]}
    with_reading = config(readings={"off": reading})
    assert {method for method, _ in with_reading.rendered_readings} == {
        *reading["methods"],
        *reading["against"],
    }
    frame = compare_readings(*scored, with_reading, tmp_path / "out").set_index("metric")
    tables = {path.parent.name: read_table(path, schemas.SUMMARY) for path in scored[1]}
    fvd = {name: table.value[table.variant == "stylegan-v"].item() for name, table in tables.items()}
    differences = [fvd[f"m10s{seed}"] - fvd[f"m11s{seed}"] for seed in (1, 2)]
    assert frame.value["fvd@stylegan-v"] == pytest.approx(np.mean(differences))


def test_readings_leave_the_page_of_the_grid_as_it_is(scored, tmp_path):
    for name, over in {
        "plain": {},
        "more": {"readings": {"r": {"module": "b", "methods": ["x", "y"]}}},
    }.items():
        analyse(*scored, config(**over), tmp_path / name)
    for name in ("effects.parquet", "study.md"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()


def test_a_study_without_readings_has_none_to_compare(scored, tmp_path):
    with pytest.raises(EadbenchError, match="no other readings"):
        compare_readings(*scored, config(), tmp_path / "out")


def test_the_order_in_which_cells_are_given_changes_nothing(scored, tmp_path):
    other = config(cells=dict(reversed(config().model_dump()["cells"].items())))
    assert list(other.cells) == ["11", "10", "01", "00"]
    for name, study_config in {"one": config(), "other": other}.items():
        analyse(*scored, study_config, tmp_path / name)
    for name in ("effects.parquet", "study.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_the_page_names_hypotheses_verdicts_and_rank(scored, tmp_path):
    analyse(*scored, config(), tmp_path / "out")
    page = (tmp_path / "out/study.md").read_text()
    assert (
        "H1 (confirmed)" in page
        and "H3 (refuted)" in page
        and "**Supported**: the cell with everything on has the mean rank" in page
    )
    for name in ("forest.png", "forest.pdf"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_a_method_that_was_not_scored_is_named(scored, tmp_path):
    per_clip, summary = scored
    with pytest.raises(EadbenchError, match="1 of 12 methods were not scored on 'toy': m11s0"):
        analyse(per_clip[1:], summary[1:], config(), tmp_path / "out")


@pytest.mark.parametrize("table", [0, 1], ids=["per clip", "summary"])
def test_a_table_that_is_given_twice_is_refused(scored, tmp_path, table):
    paths = [list(each) for each in scored]
    paths[table].append(paths[table][0])
    with pytest.raises(EadbenchError, match="come twice"):
        analyse(*paths, config(), tmp_path / "out")


def test_a_variant_of_a_value_per_clip_is_refused_in_words(scored, tmp_path):
    with pytest.raises(EadbenchError, match="'ssim@x': a value per clip has no variants"):
        analyse(*scored, config(explore=["ssim@x"]), tmp_path / "out")


def test_a_metric_of_sets_with_two_variants_must_be_named_in_full(scored, tmp_path):
    bad = config(hypotheses={"H": {"effect": "a", "metric": "fvd", "claim": "down", "smallest": 1}})
    with pytest.raises(EadbenchError, match="has the variants latentsync, stylegan-v"):
        analyse(*scored, bad, tmp_path / "out")


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (
            {
                "cells": {
                    "x": {"modules": ["a"], "methods": ["m", "n"]},
                    "y": {"modules": [], "methods": ["o", "p"]},
                }
            },
            "has 4 cells, here are 2",
        ),
        ({"complete": "00"}, "the cell with every module on is '11'"),
        (
            {"hypotheses": {"H": {"effect": "aa", "metric": "ssim", "claim": "up", "smallest": 0}}},
            "did you mean 'a'",
        ),
        (
            {"readings": {n: {"module": "b", "methods": ["m", "n"]} for n in "rs"}},
            "readings.s.methods: 'm' stands in readings.r, too",
        ),
        ({"readings": {"r": {"module": "bb", "methods": ["m", "n"]}}}, "did you mean 'b'"),
        ({"readings": {"11": {"module": "b", "methods": ["m", "n"]}}}, "has this name already"),
        ({"readings": {"r": {"module": "b", "methods": list("mnop")}}}, "4 methods for 3 seeds of '11'"),
        (
            {"readings": {"r": {"module": "b", "methods": ["m", "n"], "against": ["m11s0", "m11s9"]}}},
            "'m11s9' is not a method of '11'",
        ),
    ],
)
def test_a_grid_that_cannot_be_analysed_is_refused(over, message):
    with pytest.raises(ValueError, match=message):
        config(**over)
