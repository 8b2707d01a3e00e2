"""The study's tables and page, from scores made on the spot."""

import itertools

import numpy as np
import pandas as pd
import pytest

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.study.analyse import analyse
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
    }
    whole = {"title": "A study", "corpus": "toy", "modules": list(MODULES), "cells": cells, "complete": "11"}
    return StudyConfig(**(whole | {"hypotheses": hypotheses, "explore": ["psnr"]} | over))


def filled(table, rows) -> pd.DataFrame:
    """Rows of a table; what is not given is empty."""
    frame = pd.DataFrame(rows)
    for column in table.columns:
        if column.name not in frame:
            blank = None if column.nullable else {"string": "", "int64": 0}.get(str(column.type), 0.0)
            frame[column.name] = blank
    return frame[table.names]


@pytest.fixture
def scored(tmp_path):
    """Module a adds 0.1 to SSIM, b takes 5 off FVD; nothing else does anything."""
    rng = np.random.default_rng(1)
    speaker = {f"s{i}": rng.normal(0, 0.05) for i in range(6)}
    paths = []
    for a, b in itertools.product((True, False), repeat=2):
        for k in range(SEEDS):
            name = f"m{int(a)}{int(b)}s{k}"
            head = {"method": name, "corpus": "toy", "protocol": "self"}
            clips = [
                head
                | {
                    "clip_id": f"{s}-{n}",
                    "speaker": s,
                    "emotion": ("happy", "sad")[n % 2],
                    "metric": metric,
                    "status": "kept",
                    "value": base + extra + rng.normal(0, 0.005),
                }
                for metric, base in (("ssim", 0.7 + 0.1 * a), ("psnr", 30.0))
                for s, extra in speaker.items()
                for n in range(4)
            ]
            sets = [
                head | {"metric": "fvd", "variant": v, "value": 50.0 - 5 * b + rng.normal(0, 0.3), "n": 24}
                for v in ("stylegan-v", "latentsync")
            ]
            folder = tmp_path / name
            folder.mkdir()
            write_table(folder / "per_clip.parquet", filled(schemas.PER_CLIP, clips), schemas.PER_CLIP)
            write_table(folder / "summary.parquet", filled(schemas.SUMMARY, sets), schemas.SUMMARY)
            paths.append(folder)
    return [p / "per_clip.parquet" for p in paths], [p / "summary.parquet" for p in paths]


def test_what_was_put_in_is_found_and_what_was_not_is_refuted(scored, tmp_path):
    analyse(*scored, config(), tmp_path / "out")
    assert "drawn" not in (tmp_path / "out/study.md").read_text().lower()
    frame = read_table(tmp_path / "out/effects.parquet", schemas.STUDY)
    asked = frame[frame.hypothesis.notna()].set_index("hypothesis")
    assert asked.verdict.to_dict() == {"H1": "confirmed", "H2": "confirmed", "H3": "refuted"}
    assert asked.loc["H1", "value"] == pytest.approx(0.1, abs=0.01) and asked.loc[
        "H2", "value"
    ] == pytest.approx(-5, abs=1)
    assert (
        asked.loc["H1", "clips"] == 24
        and asked.loc["H1", "speakers"] == 6
        and asked.loc["H2", "speakers"] == 0
    )
    assert (asked.p_holm >= asked.p_value).all()


def test_each_emotion_and_interaction_is_explored_without_a_verdict(scored, tmp_path):
    frame = analyse(*scored, config(), tmp_path / "out", drawn=True)
    assert "**Drawn people, synthetic voices: nobody real" in (tmp_path / "out/study.md").read_text()
    rest = frame[frame.hypothesis.isna()]
    assert (
        set(rest.effect) == {"a", "b", "a:b"}
        and set(rest.level) == {"all", "happy", "sad"}
        and rest.verdict.isna().all()
    )
    assert set(rest.metric) == {"ssim", "fvd@stylegan-v", "psnr"}


def test_the_page_names_hypotheses_verdicts_and_rank(scored, tmp_path):
    analyse(*scored, config(), tmp_path / "out")
    page = (tmp_path / "out/study.md").read_text()
    assert "H1 (confirmed)" in page and "H3 (refuted)" in page and "rank of the complete model" in page
    for name in ("forest.png", "forest.pdf"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_a_method_that_was_not_scored_is_named(scored, tmp_path):
    per_clip, summary = scored
    with pytest.raises(EadbenchError, match="1 of 12 methods were not scored on 'toy': m11s0"):
        analyse(per_clip[1:], summary[1:], config(), tmp_path / "out")


def test_a_metric_of_sets_with_two_variants_must_be_named_in_full(scored, tmp_path):
    bad = config(hypotheses={"H": {"effect": "a", "metric": "fvd", "claim": "down", "smallest": 1}})
    with pytest.raises(EadbenchError, match="2 values; name one as fvd@variant"):
        analyse(*scored, bad, tmp_path / "out")


@pytest.mark.parametrize(
    ("over", "said"),
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
    ],
)
def test_a_grid_that_cannot_be_analysed_is_refused(over, said):
    with pytest.raises(ValueError, match=said):
        config(**over)
