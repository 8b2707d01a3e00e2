"""Progress in a log file."""

import logging

import pytest

from eadbench.core import progress


def test_a_log_tells_units_rate_and_what_is_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO):
        stretches = [[0] * 40, [0] * 40, [0] * 20]
        assert list(progress.track(stretches, "a clip", 100, "frame", len)) == stretches
    assert caplog.messages == [
        "a clip: 40/100 frame, 2.00 frame/s, 30 s left",
        "a clip: 80/100 frame, 2.00 frame/s, 10 s left",
        "a clip: 100/100 frame, 1.67 frame/s, 0 s left",
    ]
