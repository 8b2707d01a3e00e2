"""Sessions of onnxruntime keep to one thread."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from media.test_insightface import colour_detector

from eadbench.media.faces import InsightfaceDetector
from eadbench.zoo.onnx import open_onnx


def threads_of(make: Callable[[Path], Any], folder: Path) -> int:
    """How many threads this process has more once a session is open."""
    colour_detector(folder / "det_10g.onnx")
    before = len(list(Path("/proc/self/task").iterdir()))
    kept = make(folder)
    more = len(list(Path("/proc/self/task").iterdir())) - before
    del kept
    return more


@pytest.mark.parametrize("make", [lambda folder: open_onnx(folder / "det_10g.onnx"), InsightfaceDetector])
def test_a_session_starts_no_threads(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make_first = threads_of(make, tmp_path)  # imports may start some of their own
    assert threads_of(make, tmp_path) == 0, make_first


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core")
def test_onnxruntime_by_itself_starts_one_for_each_core(tmp_path: Path) -> None:
    place = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(place)})
    try:
        assert (
            threads_of(
                lambda folder: onnxruntime.InferenceSession(
                    str(folder / "det_10g.onnx"), providers=["CPUExecutionProvider"]
                ),
                tmp_path,
            )
            > 0
        )
    finally:
        os.sched_setaffinity(0, place)
