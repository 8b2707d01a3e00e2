"""Section ``tables`` of the config: what each table shows."""

import re
from collections.abc import Collection, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from eadbench.core.emotions import EMOTIONS
from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.protocols import CELLS as CELLS_OF_PROTOCOLS
from eadbench.core.section import CorpusName, MethodName, Section
from eadbench.scores.config import check_metric

READS = {
    "build": (
        "seed",
        "tables",
        "scores.few_clips",
        "corpora.sets.*.kind",
        "corpora.sets.*.studio.layout",
        "samples.methods.*.kind",
        "samples.methods.*.recipe",
    ),
    "report": ("tables",),
}


CELLS, TABLES = ".cells", ".tables"  # folders beside the table that `eadbench score` writes
# Placeholders of titles: corpora and modules are filled in, not claimed by hand.
PLACEHOLDERS = ("corpora", "modules", "trained_on")


class ComparisonTable(Section):
    """Methods against metrics on some corpora.

    Attributes:
        title: Heading. ``{corpora}`` stands for the names of the corpora in print,
            ``{trained_on}`` for those that the reference was trained on, by the cards
            of its run and of what that started from, ``{modules}`` (ablation) for the
            modules.
        corpora: Corpora, in the order of the columns.
        metrics: Metrics, in the order of the columns; ``name`` or ``name@variant``
            where a metric was computed by several protocols.
        protocol: Driving protocol, see docs/methods.md.
        methods: Rows. Default: all of ``tables.methods`` but the ablation's.
        reference: Method that the paired tests compare with. Default: the first of
            ``tables.methods``.
        quoted: Corpus here -> corpus of the paper whose quoted values are shown in
            columns of their own.
    """

    title: str
    corpora: list[CorpusName] = Field(min_length=1)
    metrics: list[str] = Field(min_length=1)
    protocol: Literal[CELLS_OF_PROTOCOLS] = "self"
    methods: list[MethodName] | None = Field(None, min_length=1)
    reference: MethodName | None = None
    quoted: dict[CorpusName, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _title_can_be_filled(self) -> "ComparisonTable":
        check_title(self.title, ("corpora", "trained_on"))
        return self

    @model_validator(mode="after")
    def _jitter_beside_motion(self) -> "ComparisonTable":
        check_jitter(self.metrics)
        return self


class AblationTable(Section):
    """The grid of modules.

    Attributes:
        title: Heading.
        corpora: Corpora, as above.
        metrics: Metrics, as above.
        protocol: Driving protocol.
        reference: The run with everything on, which the paired tests compare with.
        modules: The modules in the order of the columns; empty: as the factors name
            them.
        factors: Method -> module -> whether it is on. Methods without scores leave
            their place in the grid empty.
        quoted: As above; the paper's values of the ablation are not known.
    """

    title: str
    corpora: list[CorpusName] = Field(min_length=1)
    metrics: list[str] = Field(min_length=1)
    protocol: Literal[CELLS_OF_PROTOCOLS] = "self"
    reference: MethodName
    modules: list[str] = Field(default_factory=list)
    factors: dict[MethodName, dict[str, bool]] = Field(min_length=1)
    quoted: dict[CorpusName, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _grid_is_consistent(self) -> "AblationTable":
        check_title(self.title, PLACEHOLDERS)
        check_jitter(self.metrics)
        if self.reference not in self.factors:
            raise ValueError(
                f"the reference {self.reference!r} is not among the factors' methods: "
                f"{', '.join(self.factors)}"
            )
        names = set(self.factors[self.reference])
        places: dict[tuple, str] = {}
        for method, states in self.factors.items():
            if set(states) != names:
                raise ValueError(
                    f"{method!r} names the modules {sorted(states)}, {self.reference!r} names {sorted(names)}"
                )
            place = tuple(sorted(states.items()))
            if place in places:
                raise ValueError(f"{method!r} and {places[place]!r} stand at the same place of the grid")
            places[place] = method
        if self.modules:
            if sorted(self.modules) != sorted(names):
                raise ValueError(f"modules are {self.modules}, the factors name {sorted(names)}")
            # settings are passed on as JSON with sorted keys: a mapping keeps no order
            for states in self.factors.values():
                ordered = {module: states[module] for module in self.modules}
                states.clear()
                states.update(ordered)
        return self


class SpeedTable(Section):
    """Time and memory.

    Attributes:
        title: Heading.
        corpora: Corpora, in the order of the columns.
        protocol: Driving protocol.
        methods: Rows. Default: all of ``tables.methods``.
    """

    title: str
    corpora: list[CorpusName] = Field(min_length=1)
    protocol: Literal[CELLS_OF_PROTOCOLS] = "self"
    methods: list[MethodName] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _title_can_be_filled(self) -> "SpeedTable":
        check_title(self.title, ("corpora",))
        return self


class FiguresConfig(Section):
    """Frame strips like the paper's figures 4, 5 and 6: methods in rows, time in
    columns.

    Attributes:
        frames: Columns of a strip.
        comparison_emotion: Emotion of the clip in the strips of the main comparison
            (paper: angry).
        generalisation_emotion: Emotion of the clip in the strips of the generalisation
            (paper: happy).
    """

    frames: int = Field(6, ge=2, le=24)
    comparison_emotion: Literal[EMOTIONS] = "angry"
    generalisation_emotion: Literal[EMOTIONS] = "happy"


# File names of the other tables in the folder.
RESERVED_NAMES = {
    "main", "generalisation", "ablation", "ablation_report", "speed", "scores", "effects", "breakdown",
    "history", "dial", "in_time",
}  # fmt: skip
# Tables that are added without configuration: of long clips, and of protocols that were
# rendered and that no configured table shows (title and metrics by protocol).
DRIFT = ("csim_slope", "sharpness_slope", "sync_slope", "jitter_slope")
AUTOMATIC = {"silent": ("Driven with silence", ("open_mouth", "silence_mouth_motion", "csim"))}

# Columns of the clips table by which clips can be grouped (a test compares).
BY = (
    "emotion", "speaker", "sex", "emotion_raw", "level", "intensity", "view", "sentence", "split", "frames",
    "fps", "size", "detection_rate", "faces", "face_size", "yaw", "jitter", "sharpness", "brightness",
    "occlusion", "av_offset", "sync_confidence", "offset_corrected",
)  # fmt: skip


class BreakdownConfig(Section):
    """Means of the clips' values by group.

    Attributes:
        by: Columns of the clips table, or of ``labels``, beside emotion and speaker,
            which are always shown. Numbers of more than ten distinct values are cut
            into thirds.
        labels: CSV of yours with a column ``clip_id``, optionally ``corpus``, and
            others; null for none.
    """

    by: list[str] = Field(default_factory=list)
    labels: str | None = None

    @model_validator(mode="after")
    def _columns_are_known(self) -> "BreakdownConfig":
        for name in self.by if self.labels is None else ():
            if name not in BY:
                raise ValueError(
                    f"the clips table has no column {name!r}{nearest(name, BY)}; it has {', '.join(BY)}; "
                    "others need `labels`"
                )
        return self


class TablesConfig(Section):
    """What is shown, and in which order.

    Attributes:
        methods: All methods in the order of the rows. The first is the one that paired
            tests compare with.
        ground_truth: The method that shows the test clips themselves; never ranked.
        controls: Methods that no valid metric should prefer (still frame, shuffled
            audio, copied input); never ranked.
        labels: Method, corpus or module -> name in print.
        main: Main comparison (paper: HDTF and MEAD).
        generalisation: Trained on one corpus, run on another (paper: MEAD, RAVDESS).
        ablation: Combinations of STDA, TFRM and text (paper: on HDTF).
        speed: Time and memory.
        more: Further comparisons by name, e.g. one of the protocol ``cross_emotion``.
        breakdown: Means by group.
        figures: Frame strips.
        alpha: Level of the tests.
        bootstrap: Bootstrap replicates of the ablation's intervals.
    """

    methods: list[MethodName] = Field(min_length=1)
    ground_truth: MethodName = "ground_truth"
    controls: list[MethodName] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    main: ComparisonTable
    generalisation: ComparisonTable | None = None
    ablation: AblationTable | None = None
    speed: SpeedTable | None = None
    more: dict[str, ComparisonTable] = Field(default_factory=dict)
    breakdown: BreakdownConfig = BreakdownConfig()
    figures: FiguresConfig = FiguresConfig()
    alpha: float = Field(0.05, gt=0, lt=1)
    bootstrap: int = Field(2000, ge=100)

    @model_validator(mode="after")
    def _names_are_free(self) -> "TablesConfig":
        reserved = RESERVED_NAMES & set(self.more)
        if reserved:
            raise ValueError(f"`more` may not hold a table named {', '.join(sorted(reserved))}")
        invalid = [name for name in self.more if not name.isidentifier()]
        if invalid:
            raise ValueError(
                f"a table's name becomes a file's: letters, digits and _ only, got {invalid[0]!r}"
            )
        return self

    @model_validator(mode="after")
    def _references_are_rows(self) -> "TablesConfig":
        for name, table in self.comparisons().items():
            if table.reference and table.reference not in self.rows_of(table):
                raise ValueError(
                    f"{table.reference!r}, which `{name}` compares with, is not among its rows: "
                    f"{', '.join(self.rows_of(table))}"
                )
        return self

    @property
    def reference(self) -> str:
        """The first-listed method."""
        return self.methods[0]

    def comparisons(self) -> dict[str, ComparisonTable]:
        """All comparison tables by name: main, generalisation, then ``more``."""
        tables = {"main": self.main, "generalisation": self.generalisation, **self.more}
        return {name: table for name, table in tables.items() if table is not None}

    def reference_of(self, table: ComparisonTable | AblationTable) -> str:
        """The method that the paired tests of a table compare with."""
        return table.reference or self.reference

    def title_of(
        self, table: ComparisonTable | AblationTable | SpeedTable, trained_on: Sequence[str] = ()
    ) -> str:
        """Heading of a table, filled in.

        Args:
            table: One of this section.
            trained_on: Corpora that its reference was trained on; none if no card
                names them.
        """
        modules = list(table.factors[table.reference]) if isinstance(table, AblationTable) else []
        names = {"corpora": table.corpora, "modules": modules, "trained_on": trained_on}
        filled = {key: self.listed(values) or "an unknown corpus" for key, values in names.items()}
        return re.sub(r"\{(corpora|modules|trained_on)\}", lambda match: filled[match[1]], table.title)

    def listed(self, names: Sequence[str]) -> str:
        """``HDTF, MEAD and RAVDESS``: names in print."""
        *first, last = [self.label(name) for name in names] or [""]
        return " and ".join(filter(None, [", ".join(first), last]))

    def rows_of(self, table: ComparisonTable | SpeedTable) -> list[str]:
        """Methods of a table, in order."""
        if table.methods is not None:
            return table.methods
        ablated = self.ablated if isinstance(table, ComparisonTable) else set()
        return [m for m in self.methods if m not in ablated]

    @property
    def ablated(self) -> set[str]:
        """Methods that exist for the ablation alone."""
        if self.ablation is None:
            return set()
        return set(self.ablation.factors) - {self.ablation.reference, self.reference}

    def role(self, method: str) -> str:
        """``ours``, ``other``, ``ablation``, ``control`` or ``ground_truth``."""
        if method == self.ground_truth:
            return "ground_truth"
        if method in self.controls:
            return "control"
        if method in {self.reference, *(table.reference for table in self.comparisons().values())}:
            return "ours"
        return "ablation" if method in self.ablated else "other"

    def label(self, name: str) -> str:
        """Name in print."""
        return self.labels.get(name, name)


def with_automatic_tables(
    config: TablesConfig, cells: Iterable[tuple[str, str, str]], measured: Collection[str]
) -> TablesConfig:
    """The section with the automatic tables: of protocols (``AUTOMATIC``) and of long
    clips (``DRIFT``) that no table of the configuration shows.

    Args:
        config: The section of the configuration.
        cells: Method, corpus and protocol of all that was scored.
        measured: Metrics that have values.
    """
    more, scored, tables = dict(config.more), set(cells), config.comparisons().values()
    protocols_shown = {table.protocol for table in tables}
    candidates = {name: (name, *spec) for name, spec in AUTOMATIC.items() if name not in protocols_shown}
    if not any(set(table.metrics) & set(DRIFT) for table in tables):
        candidates["drift"] = ("self", "Change per second in the course of long clips", DRIFT)
    for name, (protocol, title, candidate_metrics) in candidates.items():
        cells_shown = [
            (method, corpus) for method, corpus, cell_protocol in scored if cell_protocol == protocol
        ]
        scored_methods = {method for method, _ in cells_shown}
        methods = [method for method in config.methods if method in scored_methods]
        metrics = [metric for metric in candidate_metrics if metric in measured]
        if name not in more and methods and metrics:
            more[name] = ComparisonTable(
                title=title,
                corpora=sorted({corpus for _, corpus in cells_shown}),
                metrics=metrics,
                protocol=protocol,
                methods=methods,
                reference=config.reference if config.reference in methods else methods[0],
            )
    return config.model_copy(update={"more": more})


def check_title(title: str, placeholders: Sequence[str]) -> None:
    """Braces in a title are placeholders.

    Raises:
        ValueError: If one is not known.
    """
    for name in re.findall(r"\{([^{}]*)\}", title):
        if name not in placeholders:
            hint = f"{nearest(name, placeholders)}; known: {', '.join(placeholders)}"
            raise ValueError(f"title: unknown placeholder {{{name}}}{hint}")


def check_jitter(metrics: list[str]) -> None:
    """A method that moves less has less jitter: refuse a list that shows jitter without
    the motion energy right after it.

    Raises:
        ValueError: If it does.
    """
    for index, name in enumerate(metrics):
        follower = next((later for later in metrics[index + 1 :] if "jitter" not in later), "")
        if "jitter" in name and "motion_energy" not in follower:
            raise ValueError(
                f"list the motion energy right after {name!r}: a still image has no jitter either"
            )


def quotations() -> list[dict]:
    """The entries of ``quoted.yaml``."""
    return yaml.safe_load(
        resources.files("eadbench.tables").joinpath("quoted.yaml").read_text(encoding="utf-8")
    )


def check(settings: Any) -> None:
    """Verify that the metrics and quoted values of the tables exist, and that no run of
    the table of generalisation was trained on a corpus that it shows.

    Raises:
        EadbenchError: If a metric is unknown, with the nearest name; or with the run
            and the corpus.
    """
    _check_generalisation(settings)
    labels = settings.tables.breakdown.labels
    if labels and not Path(labels).is_file():
        raise EadbenchError("the file does not exist", f"tables.breakdown.labels: {labels}", "correct it")
    tables = settings.tables.comparisons()
    if settings.tables.ablation:
        tables = tables | {"ablation": settings.tables.ablation}
    for name, table in tables.items():
        for metric in table.metrics:
            check_metric(metric, settings.scores, f"tables.{name}.metrics")
        known = sorted({entry["corpus"] for entry in quotations()})
        for corpus, quoted in table.quoted.items():
            if quoted not in known:
                raise EadbenchError(
                    f"the paper has no values on {quoted!r}{nearest(quoted, known)}",
                    f"tables.{name}.quoted.{corpus}",
                    f"known: {', '.join(known)}",
                )


def _check_generalisation(settings: Any) -> None:
    spec = settings.tables.generalisation
    for name in settings.tables.rows_of(spec) if spec else ():
        run = getattr(settings.samples.methods.get(name), "run", None)
        shared = sorted(settings.training.seen_by(run) & set(spec.corpora)) if run else []
        if shared:
            raise EadbenchError(
                f"run {run!r} of method {name!r}, or what it starts from, was trained on {', '.join(shared)}",
                "tables.generalisation.corpora",
                "show a corpus that it was not trained on, or another run (training.runs.NAME.train_on)",
            )
