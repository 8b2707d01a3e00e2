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

_own: dict[str, Any] = {}  # of a worker: what it was begun with, and its measurer


class Workers:
    """A pool of processes; use it in a ``with`` block.

    Args:
        count: How many. The cores are shared among them.
        config: What to measure.
        load: Loads the networks; called once in each process, so it must be picklable.
    """

    def __init__(self, count: int, config: ScoresConfig, load: Callable[[], Evaluators]) -> None:
        self.count = count
        threads = max(1, len(os.sched_getaffinity(0)) // count) if hasattr(os, "sched_getaffinity") else 1
        context = multiprocessing.get_context("spawn")  # a fork would share what the libraries' threads hold
        self._pool = ProcessPoolExecutor(count, context, _begin, (config, load, threads))

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
            references: Folders of cells that know reference clips.

        Raises:
            FatalError: If a process was ended from outside, e.g. for want of memory, or
                a clip raised it.
        """
        waiting = {self._pool.submit(_measure, item, tuple(references)): item for item in items}
        try:
            for one in as_completed(waiting):
                yield waiting[one], one.result()
        except BrokenProcessPool as error:
            hint = "the memory may not do for so many: give a smaller --jobs; what is finished is kept"
            raise FatalError("a process that measures was ended from outside", "--jobs", hint) from error
        finally:
            for one in waiting:
                one.cancel()


def _begin(config: ScoresConfig, load: Callable[[], Evaluators], threads: int) -> None:
    children.die_with_parent()
    import cv2

    cv2.setNumThreads(threads)
    evaluators = load()
    if evaluators.nets:
        import torch

        torch.set_num_threads(threads)
    _own.update(config=config, evaluators=evaluators, references=None, measurer=None)


def _measure(item: Item, references: tuple[Path, ...]) -> dict[str, Any]:
    if _own["references"] != references:
        if _own["measurer"] is not None:
            _own["measurer"].close()
        known = References(list(references))
        measurer = Measurer(_own["config"], _own["evaluators"], known, shows=False)
        _own.update(measurer=measurer, references=references)
    return measure_item(item, _own["measurer"])
