"""All metrics by name: the package's own and those that other packages offer under the
entry point ``eadbench.metrics``.
"""

import logging
from importlib.metadata import entry_points

from eadbench.scores.metrics import (
    distribution,
    drift,
    emotion,
    frames,
    identity,
    motion,
    quality,
    sequence,
    sync,
    theval,
)
from eadbench.scores.metrics.base import Chunk, Metric, Part, Value
from eadbench.scores.names import OWN

__all__ = ["CLIP_METRICS", "METRICS", "Chunk", "Metric", "Part", "Value"]

log = logging.getLogger(__name__)
GROUP = "eadbench.metrics"


def _offered() -> list[type[Metric]]:
    """Metrics of other packages. One that cannot be imported, or is none, is told of
    and left out.
    """
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        try:
            metric = point.load()
        except Exception as error:  # whatever a stranger's module raises
            log.warning(
                "metric %s (%s) cannot be loaded: %s: %s",
                point.name,
                point.value,
                type(error).__name__,
                error,
            )
            continue
        missing = [
            a for a in ("name", "label", "direction", "meaning", "source") if not getattr(metric, a, "")
        ]
        if not (isinstance(metric, type) and issubclass(metric, Metric)) or missing:
            log.warning(
                "metric %s (%s) is no complete eadbench.scores.metrics.Metric: lacks %s",
                point.name,
                point.value,
                missing or "the base class",
            )
            continue
        found.append(metric)
    return found


def _collect() -> dict[str, type[Metric]]:
    order = list(OWN)
    modules = (
        distribution,
        drift,
        emotion,
        frames,
        identity,
        motion,
        quality,
        sequence,
        sync,
        theval,
    )
    own = sorted((one for module in modules for one in module.METRICS), key=lambda one: order.index(one.name))
    found: dict[str, type[Metric]] = {}
    for metric in (*own, *_offered()):
        if metric.name in found:
            log.warning("metric %r is defined twice: %s is left out", metric.name, metric)
            continue
        found[metric.name] = metric
    return found


METRICS: dict[str, type[Metric]] = _collect()
CLIP_METRICS = tuple(name for name, metric in METRICS.items() if metric.kind == "clip")
