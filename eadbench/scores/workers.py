"""Processes that measure clips side by side, each with networks of its own."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from eadbench.core import children
from eadbench.core.errors import FatalError
from eadbench.scores.clip import Measurer
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import Evaluators
from eadbench.scores.measure import Item, measure_item
from eadbench.scores.reference import References

_worker: dict[str, Any] = {}  # of this process: what it was started with, and its measurer


class Workers:
    """A pool of processes; use it in a ``with`` block.

    Args:
        count: How many. The cores are shared among them.
        config: What to measure.
        load: Loads the networks; called once in each process, so it must be picklable.
    """

    def __init__(self, count: int, config: ScoresConfig, load: Callable[[], Evaluators]) -> None:
        self.count = count
        threads = 1
        if hasattr(os, "sched_getaffinity"):
            threads = max(1, len(os.sched_getaffinity(0)) // count)
        context = multiprocessing.get_context("spawn")  # a fork would share locks of the libraries' threads
        self._pool = ProcessPoolExecutor(count, context, _start, (config, load, threads))

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def measure(
        self, items: Sequence[Item], references: Sequence[Path]
    ) -> Iterator[tuple[Item, dict[str, Any]]]:
        """Measure clips into their parts.

        Yields each when it is done, with what :func:`measure_item` gives.

        Args:
            items: The clips.
            references: Folders of cells that hold reference clips.

        Raises:
            FatalError: If a process was ended from outside, e.g. for lack of memory, or a
                clip raised it.
        """
        item_of = {self._pool.submit(_measure, item, tuple(references)): item for item in items}
        try:
            for future in as_completed(item_of):
                yield item_of[future], future.result()
        except BrokenProcessPool as error:
            hint = "memory may not suffice for so many: give a smaller --jobs; finished clips are kept"
            raise FatalError("a process that measures was ended from outside", "--jobs", hint) from error
        finally:
            for future in item_of:
                future.cancel()


def _start(config: ScoresConfig, load: Callable[[], Evaluators], threads: int) -> None:
    children.die_with_parent()
    import cv2

    cv2.setNumThreads(threads)
    evaluators = load()
    if evaluators.nets:
        import torch

        torch.set_num_threads(threads)
    _worker.update(config=config, evaluators=evaluators, references=None, measurer=None)


def _measure(item: Item, references: tuple[Path, ...]) -> dict[str, Any]:
    if _worker["references"] != references:
        if _worker["measurer"] is not None:
            _worker["measurer"].close()
        cells = References(list(references))
        measurer = Measurer(_worker["config"], _worker["evaluators"], cells, show_progress=False)
        _worker.update(measurer=measurer, references=references)
    return measure_item(item, _worker["measurer"])
