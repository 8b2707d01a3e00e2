"""Progress that suits a terminal and a log file alike."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 15.0


def track(
    items: Iterable[T],
    what: str,
    total: int | None = None,
    unit: str = "it",
    size: Callable[[T], int] = lambda _: 1,
) -> Iterator[T]:
    """Yield ``items``; show a bar on a terminal, else log a line with rate and time
    left every 15 s.

    Args:
        items: What to work on.
        what: Words for it.
        total: Units in all, where ``len(items)`` is not their number.
        unit: What is counted.
        size: Units that an item holds.
    """
    total = len(items) if total is None and hasattr(items, "__len__") else total
    start = last = time.monotonic()
    done = 0
    with tqdm(desc=what, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False) as bar:
        for item in items:
            yield item
            done += size(item)
            bar.update(size(item))
            now = time.monotonic()
            if bar.disable and now - last > SECONDS_BETWEEN_LINES:
                last = now
                rate = done / (now - start)
                remaining = f", {max(total - done, 0) / rate:.0f} s left" if total else ""
                log.info("%s: %d/%s %s, %.2f %s/s%s", what, done, total or "?", unit, rate, unit, remaining)
