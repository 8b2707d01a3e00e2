"""Progress that suits a terminal and a log file alike."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 15.0


def track(items: Iterable[T], what: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Yield ``items``; show a bar on a terminal, else log a line with rate and time left every 15 s."""
    total = len(items) if total is None and hasattr(items, "__len__") else total
    bar = tqdm(items, desc=what, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False)
    start = last = time.monotonic()
    for done, item in enumerate(bar, 1):
        yield item
        now = time.monotonic()
        if bar.disable and now - last > SECONDS_BETWEEN_LINES:
            last = now
            rate = done / (now - start)
            left = f", {max(total - done, 0) / rate:.0f} s left" if total else ""
            log.info("%s: %d/%s %s, %.2f %s/s%s", what, done, total or "?", unit, rate, unit, left)
