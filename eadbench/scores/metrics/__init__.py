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
MODULES = (distribution, drift, emotion, frames, identity, motion, quality, sequence, sync, theval)
REQUIRED = ("name", "label", "direction", "meaning", "source")


def _offered() -> list[type[Metric]]:
    """Metrics of other packages. One that cannot be imported, or is none, is left out
    with a warning.
    """
    offered = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        try:
            metric = point.load()
        except Exception as error:  # whatever the module of another package raises
            kind = type(error).__name__
            log.warning("metric %s (%s) cannot be loaded: %s: %s", point.name, point.value, kind, error)
            continue
        missing = [name for name in REQUIRED if not getattr(metric, name, "")]
        is_metric = isinstance(metric, type) and issubclass(metric, Metric)
        if missing or not is_metric:
            log.warning(
                "metric %s (%s) is no complete eadbench.scores.metrics.Metric: missing %s",
                point.name,
                point.value,
                missing or "the base class",
            )
            continue
        offered.append(metric)
    return offered


def _collect() -> dict[str, type[Metric]]:
    order = list(OWN)
    own = [metric for module in MODULES for metric in module.METRICS]
    own.sort(key=lambda metric: order.index(metric.name))
    metrics: dict[str, type[Metric]] = {}
    for metric in (*own, *_offered()):
        if metric.name in metrics:
            log.warning("metric %r is defined twice: %s is left out", metric.name, metric)
            continue
        metrics[metric.name] = metric
    return metrics


METRICS: dict[str, type[Metric]] = _collect()
CLIP_METRICS = tuple(name for name, metric in METRICS.items() if metric.kind == "clip")
