"""How a metric is called in print and which way is better, as
``eadbench.scores.metrics`` defines it.
"""

from dataclasses import dataclass

from eadbench.scores.metrics import METRICS
from eadbench.scores.metrics.describe import facts

ARROWS = {"up": "↑", "down": "↓"}


@dataclass(frozen=True)
class MetricLabel:
    """What print needs of a metric.

    Attributes:
        key: As the config names it: ``name`` or ``name@variant``.
        name: As the scores name it.
        variant: The protocol asked for; ``None`` takes the only one there is.
        label: Name in print.
        direction: ``up``, ``down`` or ``none``.
        ideal: Value of a perfect method where neither is better.
        meaning: One sentence.
        unit: Of its values; empty for a plain number.
        family: What it measures, as the scores' modules have it; neighbours of one
            family stay together where a table is split.
    """

    key: str
    name: str
    variant: str | None
    label: str
    direction: str
    ideal: float | None
    meaning: str
    unit: str = ""
    family: str = ""

    @property
    def arrow(self) -> str:
        """Arrow towards better, or to the ideal value."""
        return ARROWS.get(self.direction, "" if self.ideal is None else f"→{self.ideal:g}")

    @property
    def heading(self) -> str:
        """Label with arrow."""
        return f"{self.label} {self.arrow}".strip()


def explained(name: str) -> dict[str, str]:
    """What the scores tell of a metric, by heading; nothing of one that they do not
    know.
    """
    return facts(METRICS[name]) if name in METRICS else {}


def metric(key: str) -> MetricLabel:
    """Look a metric up; one that the registry of the scores lacks is a description
    without direction.
    """
    name, _, variant = key.partition("@")
    spec = METRICS.get(name)
    if spec is None:
        return MetricLabel(key, name, variant or None, name.replace("_", " "), "none", None, "")
    return MetricLabel(
        key,
        name,
        variant or None,
        spec.label,
        spec.direction,
        spec.ideal,
        spec.meaning,
        spec.unit,
        spec.__module__,
    )
