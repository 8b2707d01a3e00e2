"""A metric in print: what ``eadbench.scores.metrics`` defines, as a table names it."""

from dataclasses import dataclass

from eadbench.scores.metrics import METRICS, Metric
from eadbench.scores.metrics.describe import facts

ARROWS = {"up": "↑", "down": "↓"}


class NotInstalled(Metric):
    """Placeholder for a metric of a package that is not installed, where a table of
    others shows it: without description or direction.
    """

    name = label = meaning = source = ""
    direction = "none"


@dataclass(frozen=True)
class MetricLabel:
    """A metric as a table names it.

    Attributes:
        key: As the config names it: ``name`` or ``name@variant``.
        spec: Its class, which has direction, ideal, unit and meaning.
        label: Name in print; with the variant where several stand side by side.
    """

    key: str
    spec: type[Metric]
    label: str

    @property
    def name(self) -> str:
        """As the scores name it."""
        return self.key.partition("@")[0]

    @property
    def variant(self) -> str | None:
        """The protocol asked for; ``None`` takes the only one there is."""
        return self.key.partition("@")[2] or None

    @property
    def arrow(self) -> str:
        """Arrow towards better, or to the ideal value."""
        ideal = "" if self.spec.ideal is None else f"→{self.spec.ideal:g}"
        return ARROWS.get(self.spec.direction, ideal)

    @property
    def heading(self) -> str:
        """Label with arrow."""
        return f"{self.label} {self.arrow}".strip()


def explained(name: str) -> dict[str, str]:
    """Explanation of a metric, by heading; empty for one that is not installed."""
    return facts(METRICS[name]) if name in METRICS else {}


def metric(key: str) -> MetricLabel:
    """Look a metric up."""
    name = key.partition("@")[0]
    spec = METRICS.get(name, NotInstalled)
    return MetricLabel(key, spec, spec.label or name.replace("_", " "))
