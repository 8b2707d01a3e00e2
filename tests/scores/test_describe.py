"""Metrics in words."""

import re
from pathlib import Path

import pytest

from eadbench.scores.metrics import METRICS
from eadbench.scores.metrics.describe import EVALUATOR_NAMES, compares, facts, markdown, values
from eadbench.scores.names import OWN

ROOT = Path(__file__).parents[2]
KEYS = set(
    re.findall(r"^@\w+\{([^,]+),", (ROOT / "eadbench/core/references.bib").read_text(encoding="utf-8"), re.M)
)


def test_the_page_of_metrics_is_current() -> None:
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == markdown(), "run `make docs`"


@pytest.mark.parametrize("name", OWN)
def test_every_metric_tells_what_a_reader_must_know(name: str) -> None:
    texts = facts(METRICS[name])
    assert {"Definition", "Better", "Values", "Evaluator", "Compares with", "Reacts to", "Source"} <= set(
        texts
    )
    assert all(text == text.strip(" .") for text in texts.values())
    assert METRICS[name].evaluator in {"", *EVALUATOR_NAMES}
    assert set(METRICS[name].cites) <= KEYS


def test_what_a_video_is_compared_with_follows_from_what_is_read() -> None:
    references = {
        name: compares(METRICS[name]) for name in ("ssim", "csim", "sync", "fid", "acc_emo", "jitter")
    }
    assert references == {
        "ssim": "the real clip, frame by frame; not where a method animates one image",
        "csim": "the real clip whose face is shown, as a whole",
        "sync": "its audio",
        "fid": "all real clips together",
        "acc_emo": "the emotion asked for",
        "jitter": "nothing: looks at the video alone",
    }


def test_values_name_range_and_unit() -> None:
    assert values(METRICS["psnr"]) == "0 to 100 dB" and values(METRICS["fid"]) == "from 0"
    assert values(METRICS["kid"]) == "any number" and values(METRICS["sync_offset"]) == "-15 to 15 frames"
