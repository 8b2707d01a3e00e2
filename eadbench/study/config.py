"""Section ``study`` of the config: cells of a factorial grid, each trained with several
seeds, and the hypotheses about them.
"""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.section import CorpusName, MethodName, Section
from eadbench.scores.config import check_metric

# The corpora for whether their people are drawn.
READS = dict.fromkeys(
    ("analyse", "readings"), ("study", "corpora.sets.*.kind", "corpora.sets.*.studio.layout")
)


class CellConfig(Section):
    """One cell of the grid.

    Attributes:
        modules: Modules that are on; the others are off.
        methods: Its methods, one per seed, in the same order in every cell: the first
            of each were trained with the same seed.
    """

    modules: list[str]
    methods: list[MethodName] = Field(min_length=2)


class ReadingConfig(Section):
    """Another reading of a module (another way to build it), everything else on; compared
    with the complete cell, seed by seed, without a verdict.

    Attributes:
        module: The module that is built in another way.
        methods: Its methods, one per seed.
        against: Methods of the complete cell, the first trained with the seed of the
            first of ``methods``, and so on; empty: the complete cell's first ones.
    """

    module: str
    methods: list[MethodName] = Field(min_length=2)
    against: list[MethodName] = []


class HypothesisConfig(Section):
    """One confirmatory hypothesis: the main effect of a module on a metric.

    Attributes:
        effect: The module.
        metric: Name of a metric, ``name@variant`` where it has several.
        claim: ``up`` or ``down``: where the module is said to move the metric.
        smallest: Smallest effect that would matter, in the metric's unit; the claim is
            refuted when the interval leaves out every effect as large as this.
        protocol: Driving protocol.
        source: Who claims it, in words.
    """

    effect: str
    metric: str
    claim: Literal["up", "down"]
    smallest: float = Field(ge=0)
    protocol: Literal["self", "cross", "cross_emotion"] = "self"
    source: str = ""


class StudyConfig(Section):
    """The hypotheses, and the methods that they are tested on.

    Attributes:
        title: Heading of the page.
        corpus: Corpus whose clips were rendered.
        modules: The modules of the grid, in order.
        cells: Name -> cell. The grid must be complete: all 2^k combinations.
        complete: The cell with everything on.
        readings: Name -> another reading of one module.
        hypotheses: Name -> hypothesis; together they are the family that Holm's
            correction is over.
        explore: Metrics whose effects are shown without being tested against a claim.
        overall: Metrics by which all cells are ranked under protocol ``self``.
        alpha: Level of the tests.
        power: Power for the smallest effect that the design can detect.
    """

    title: str
    corpus: CorpusName
    modules: list[str] = Field(min_length=1)
    cells: dict[str, CellConfig] = Field(min_length=2)
    complete: str
    readings: dict[str, ReadingConfig] = {}
    hypotheses: dict[str, HypothesisConfig] = Field(min_length=1)
    explore: list[str] = []
    overall: list[str] = []
    alpha: float = Field(0.05, gt=0, lt=1)
    power: float = Field(0.8, gt=0, lt=1)

    @field_validator("cells")
    @classmethod
    def _complete_cell_first(
        cls, cells: dict[str, CellConfig], info: ValidationInfo
    ) -> dict[str, CellConfig]:
        """One order of the cells, since a job gets them sorted by name."""
        modules = info.data.get("modules", [])
        return dict(sorted(cells.items(), key=lambda cell: [m not in cell[1].modules for m in modules]))

    @model_validator(mode="after")
    def _grid_is_complete(self) -> "StudyConfig":
        places: dict[frozenset[str], str] = {}
        for name, cell in self.cells.items():
            if unknown := sorted(set(cell.modules) - set(self.modules)):
                raise ValueError(
                    f"cells.{name}.modules: {unknown[0]!r} is not in "
                    f"modules{nearest(unknown[0], self.modules)}"
                )
            if (place := frozenset(cell.modules)) in places:
                raise ValueError(f"cells {places[place]!r} and {name!r} have the same modules on")
            places[place] = name
        if len(places) != 2 ** len(self.modules):
            raise ValueError(
                f"a complete grid of {len(self.modules)} modules has {2 ** len(self.modules)} cells, here "
                f"are {len(places)}"
            )
        if places[frozenset(self.modules)] != self.complete:
            raise ValueError(
                f"complete: the cell with every module on is {places[frozenset(self.modules)]!r}"
            )
        counts = {name: len(cell.methods) for name, cell in self.cells.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"each cell has one method per seed, but they have {counts}")
        for part, groups in (("cells", self.cells), ("readings", self.readings)):
            places_of: dict[str, str] = {}
            for name, group in groups.items():
                for method in group.methods:
                    if (first := places_of.setdefault(method, name)) != name:
                        raise ValueError(f"{part}.{name}.methods: {method!r} stands in {part}.{first}, too")
        for name, hypothesis in self.hypotheses.items():
            if hypothesis.effect not in self.modules:
                raise ValueError(
                    f"hypotheses.{name}.effect: {hypothesis.effect!r} is not in "
                    f"modules{nearest(hypothesis.effect, self.modules)}"
                )
        for name, reading in self.readings.items():
            if reading.module not in self.modules:
                raise ValueError(
                    f"readings.{name}.module: {reading.module!r} is not in "
                    f"modules{nearest(reading.module, self.modules)}"
                )
            if name in self.cells or name in self.modules:
                raise ValueError(f"readings.{name}: a cell or module has this name already")
            complete = self.cells[self.complete].methods
            if unknown := [method for method in reading.against if method not in complete]:
                raise ValueError(
                    f"readings.{name}.against: {unknown[0]!r} is not a method of {self.complete!r}"
                    f"{nearest(unknown[0], complete)}"
                )
            if len(reading.methods) != len(self.partners(name)):
                raise ValueError(
                    f"readings.{name}.methods: {len(reading.methods)} methods for "
                    f"{len(self.partners(name))} seeds of {self.complete!r}"
                )
        return self

    @property
    def factors(self) -> dict[str, dict[str, bool]]:
        """Cell -> module -> whether it is on."""
        return {
            name: {module: module in cell.modules for module in self.modules}
            for name, cell in self.cells.items()
        }

    @property
    def methods(self) -> list[str]:
        """All methods of the grid."""
        return [method for cell in self.cells.values() for method in cell.methods]

    @property
    def rendered(self) -> list[tuple[str, str]]:
        """Pairs of method and protocol that the grid's analysis reads: all of its methods
        under every protocol asked for.
        """
        protocols = dict.fromkeys(protocol for protocol, _ in self.metrics)
        return [(method, protocol) for method in self.methods for protocol in protocols]

    def partners(self, reading: str) -> list[str]:
        """Methods of the complete cell that a reading's are compared with, in order."""
        other = self.readings[reading]
        return other.against or self.cells[self.complete].methods[: len(other.methods)]

    @property
    def rendered_readings(self) -> list[tuple[str, str]]:
        """Pairs of method and protocol that the comparison of the readings reads: theirs
        and those of the complete cell that they are compared with, under ``self``.
        """
        complete = [method for name in self.readings for method in self.partners(name)]
        others = [method for reading in self.readings.values() for method in reading.methods]
        return [(method, "self") for method in dict.fromkeys([*complete, *others])]

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """Pairs of protocol and metric that the analysis looks at, hypotheses first."""
        tested = [(hypothesis.protocol, hypothesis.metric) for hypothesis in self.hypotheses.values()]
        ranked = [("self", metric) for metric in self.overall]
        explored = [(protocol, metric) for protocol, _ in tested for metric in self.explore]
        return list(dict.fromkeys([*tested, *ranked, *explored]))


def check(settings: Any) -> None:
    """Verify that every metric exists, and that each method of the study renders the
    corpus under the protocols asked for.

    Raises:
        EadbenchError: If not; with the nearest name.
    """
    study = settings.study
    for _, metric in study.metrics:
        check_metric(metric, settings.scores, "study")
        if metric.split("@")[0] not in settings.scores.metrics:
            raise EadbenchError(
                f"the study asks for {metric!r}, which is not measured",
                "scores.metrics",
                f"add {metric.split('@')[0]}, or take it out of the section study",
            )
    for name, protocol in dict.fromkeys([*study.rendered, *study.rendered_readings]):
        method = settings.samples.methods[name]
        if study.corpus not in method.corpora or protocol not in method.protocols:
            raise EadbenchError(
                f"method {name!r} is not rendered on {study.corpus!r} under {protocol!r}",
                f"samples.methods.{name}",
                "add the corpus and the protocol, or take the method out of the section study",
            )
