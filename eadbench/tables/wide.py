"""Tables with one row per method: from long scores to cells with rank, interval and n."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import Table
from eadbench.scores.config import FVD_PROTOCOLS
from eadbench.tables.config import AblationTable, ComparisonTable, TablesConfig, quotations
from eadbench.tables.metrics import MetricLabel, metric
from eadbench.training.card import ancestors, corpora_of

UNRANKED = ("ground_truth", "control")
NOISE = 1e-6  # largest rounding noise of the distance of a set to itself, e.g. FID 7e-18


@dataclass(frozen=True)
class WideRow:
    """A method's row.

    Attributes:
        method: Its name in the config.
        label: Its name in print.
        role: See ``TablesConfig.role``.
        flags: Switches, e.g. the modules of the ablation.
        caption_source: Where its text came from.
        run_hash: Checkpoint or recipe.
        unable: Why it could render no clip under the table's protocol; empty if it did
            or was not asked.
        card: The card of its run (``training.card``); ``None`` if it is no run of this
            workflow.
    """

    method: str
    label: str
    role: str
    flags: dict[str, bool]
    caption_source: str | None
    run_hash: str | None
    unable: str = ""
    card: dict | None = None


@dataclass(frozen=True)
class Cell:
    """A value with its interval, counts, test and warning.

    ``rank`` is 1 for the best, 2 for the second, 0 otherwise; ``short`` where a method
    is not ranked because clips that others have are missing.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_missing: int
    p: float | None
    warning: str
    rank: int = 0
    short: bool = False


@dataclass(frozen=True)
class Ranking:
    """Places of the methods of one column.

    Attributes:
        places: Method -> 1 for the best, 2 for the second.
        short: Methods that are not ranked because they lack clips that others have.
        undecided: Whether nothing is marked because the best cannot be told from any
            other method.
    """

    places: dict[str, int]
    short: tuple[str, ...] = ()
    undecided: bool = False


@dataclass(frozen=True)
class WideColumn:
    """A metric on a corpus. ``quoted`` maps methods to ``value`` and ``printed`` of the
    paper; ``decimals`` is for print.
    """

    metric: MetricLabel
    corpus: str
    corpus_label: str
    decimals: int
    quoted: dict[str, dict]
    quoted_corpus: str | None

    @property
    def key(self) -> str:
        """Its name in the Parquet table."""
        return schemas.wide_key(self.metric.key.replace("@", "_").replace("-", "_"), self.corpus)


@dataclass(frozen=True)
class WideTable:
    """A table ready to be printed.

    Attributes:
        name: File name without suffix.
        title: Heading.
        protocol: Driving protocol of all cells.
        reference: Method that the paired tests compare with.
        flags: Names of the switches in front of the values.
        rows: Methods.
        columns: Metrics on corpora.
        cells: (method, column key) -> cell; lacking where there is no score.
        signatures: Metric key -> text that names its metric signature.
        undecided: Keys of the columns in which nothing is marked, see ``Ranking``.
    """

    name: str
    title: str
    protocol: str
    reference: str
    flags: tuple[str, ...]
    rows: tuple[WideRow, ...]
    columns: tuple[WideColumn, ...]
    cells: dict[tuple[str, str], Cell] = field(repr=False)
    signatures: dict[str, str]
    undecided: tuple[str, ...] = ()

    @cached_property
    def without_scores(self) -> list[WideRow]:
        """Rows that hold no value at all."""
        valued = {method for (method, _), cell in self.cells.items() if cell.value is not None}
        return [row for row in self.rows if row.method not in valued]

    def contract(self) -> Table:
        """Its declared columns."""
        cells = [(c.key.removesuffix(f"_{c.corpus}"), c.corpus) for c in self.columns]
        quoted = [pair for pair, c in zip(cells, self.columns, strict=True) if c.quoted]
        return schemas.wide_table(self.name, cells, quoted, self.flags)

    def records(self) -> list[dict]:
        """Rows of the Parquet table."""
        records = []
        for row in self.rows:
            record = {
                "method": row.method,
                "label": row.label,
                "role": row.role,
                "caption_source": row.caption_source,
                "run_hash": row.run_hash,
            }
            record |= training_columns(row.card) | row.flags
            for column in self.columns:
                cell = self.cells.get((row.method, column.key))
                for name in ("low", "high", "n", "p"):
                    record[f"{column.key}_{name}"] = getattr(cell, name, None)
                record[column.key] = getattr(cell, "value", None)
                if column.quoted:
                    record[f"{column.key}_quoted"] = column.quoted.get(row.method, {}).get("value")
            records.append(record)
        return records


@dataclass(frozen=True)
class Facts:
    """Facts of methods, by their names, from samples and cards of runs; ``unable``, by
    ``method/protocol``: why a method could render no clip.

    ``cards`` holds the entries of the runs' cards that ``training.card.read_run_card``
    explains. ``kinds`` holds the kind of a method, or the recipe of a published one;
    ``corpora`` the kind of a corpus and whether its people are ``drawn`` (and their
    voices synthetic).
    """

    run_hash: dict[str, str]
    caption_source: dict[str, str]
    unable: dict[str, str] = field(default_factory=dict)
    cards: dict[str, dict] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    corpora: dict[str, dict] = field(default_factory=dict)

    @property
    def drawn(self) -> list[str]:
        """Corpora whose people are drawn."""
        return [name for name, facts in self.corpora.items() if facts["drawn"]]


def comparison(
    name: str, spec: ComparisonTable, config: TablesConfig, scores: pd.DataFrame, facts: Facts
) -> WideTable:
    """A table of methods against metrics.

    Raises:
        EadbenchError: If one metric was measured with different metric signatures.
    """
    return _wide_table(name, spec, config, scores, facts, config.rows_of(spec), config.reference_of(spec), {})


def ablation_grid(spec: AblationTable, config: TablesConfig, scores: pd.DataFrame, facts: Facts) -> WideTable:
    """The table of the ablation's runs; its paired tests are against the ablation's own
    reference.

    Raises:
        EadbenchError: As for :func:`comparison`.
    """
    methods = sorted(
        spec.factors,
        key=lambda m: (sum(spec.factors[m].values()), [not on for on in spec.factors[m].values()]),
    )
    return _wide_table("ablation", spec, config, scores, facts, methods, spec.reference, spec.factors)


def _wide_table(
    name,
    spec,
    config,
    scores,
    facts,
    methods: Sequence[str],
    reference: str,
    flags: dict[str, dict[str, bool]],
) -> WideTable:
    labels = _with_variant_labels([metric(key) for key in spec.metrics])
    cell_scores = scores[
        scores.method.isin(methods) & scores.corpus.isin(spec.corpora) & (scores.protocol == spec.protocol)
    ]
    rows = tuple(
        WideRow(
            m,
            config.label(m),
            config.role(m),
            flags.get(m, {}),
            facts.caption_source.get(m),
            facts.run_hash.get(m),
            facts.unable.get(f"{m}/{spec.protocol}", ""),
            facts.cards.get(m),
        )
        for m in dict.fromkeys(methods)
    )
    ranked_methods = [row.method for row in rows if row.role not in UNRANKED]
    columns, cells, signatures, undecided = [], {}, {}, []
    for label in labels:
        chosen = cell_scores[cell_scores.metric == label.name]
        if label.variant is not None:
            chosen = chosen[chosen.variant == label.variant]
        measured = chosen[chosen.value.notna()]
        signatures[label.key] = common_signature(measured, label, name)
        for corpus in spec.corpora:
            quoted = quoted_values(spec.quoted.get(corpus), label.name, reference)
            corpus_scores = measured[measured.corpus == corpus]
            # a clip's SSIM with itself is 1, which takes a digit of all others
            values = corpus_scores.value[corpus_scores.method != config.ground_truth]
            decimals = decimals_for(values if len(values) else corpus_scores.value, label.spec.unit)
            column = WideColumn(
                label, corpus, config.label(corpus), decimals, quoted, spec.quoted.get(corpus)
            )
            columns.append(column)
            # A summary without a value may stand beside one of another variant: the one
            # with the value counts.
            method_rows = (
                chosen[chosen.corpus == corpus]
                .sort_values("value", na_position="last", kind="stable")
                .drop_duplicates("method")
            )
            compared = method_rows[method_rows.value.notna() & method_rows.method.isin(ranked_methods)]
            ranking = rank(compared, label.spec.direction, reference, config.alpha)
            undecided += [column.key] * ranking.undecided
            cells |= _cells(method_rows, column, ranking)
    columns.sort(key=lambda c: spec.corpora.index(c.corpus))
    title = config.title_of(spec, corpora_of(facts.cards.get(reference, {})))
    return WideTable(
        name,
        title,
        spec.protocol,
        reference,
        tuple(next(iter(flags.values()), {})),
        rows,
        tuple(columns),
        cells,
        signatures,
        tuple(undecided),
    )


def training_columns(card: dict | None) -> dict[str, object]:
    """The training by a run's card, as columns of ``schemas.WIDE_ROW``."""
    card = card or {}
    names = " < ".join(ancestor["name"] for ancestor in ancestors(card))
    return {
        "trained_on": "+".join(corpora_of(card)) or None,
        "steps": card.get("steps"),
        "initialised_from": names or None,
    }


def _with_variant_labels(labels: list[MetricLabel]) -> list[MetricLabel]:
    """Metrics with their variant in the label where a table has several variants of
    one.
    """
    names = [label.name for label in labels]
    return [
        replace(label, label=f"{label.label} ({label.variant})")
        if label.variant and names.count(label.name) > 1
        else label
        for label in labels
    ]


def rank(rows: pd.DataFrame, direction: str, reference: str, alpha: float) -> Ranking:
    """Best and second best of the methods that are ranked.

    Methods are compared on the same clips: one that lacks some that others have
    (perhaps the hardest) is not ranked. Nothing is marked where the interval of the
    best holds the values of all others and no paired test tells it apart, as with one
    clip, which has neither.

    Args:
        rows: Scores of one metric on one corpus, a row per method, all with a value.
        direction: ``up``, ``down`` or ``none``.
        reference: Method that the paired tests compare with.
        alpha: Level of the tests.
    """
    short = tuple(rows.method[_lacks_clips(rows, reference)])
    whole = rows[~rows.method.isin(short)]
    if direction == "none" or len(whole) < 2:
        return Ranking({}, short)
    levels = sorted(set(whole.value), reverse=direction == "up")[:2]
    best, others = whole[whole.value == levels[0]], whole[whole.value != levels[0]]
    if not _differs_from_any(best, others, reference, alpha):
        return Ranking({}, short, undecided=True)
    ranked = whole[whole.value.isin(levels)]
    places = {m: levels.index(v) + 1 for m, v in zip(ranked.method, ranked.value, strict=True)}
    return Ranking(places, short)


def _lacks_clips(rows: pd.DataFrame, reference: str) -> pd.Series:
    """Which rows rest on fewer clips than the most, or on as many others than the
    reference.
    """
    most = rows.n.max()
    others = (
        rows.n_common.notna()
        & (rows.n_common < rows.n)
        & bool((rows.n[rows.method == reference] == most).any())
    )
    return (rows.n < most) | others


def _differs_from_any(best: pd.DataFrame, others: pd.DataFrame, reference: str, alpha: float) -> bool:
    """Whether an interval of the best leaves out the value of another method, or a
    paired test tells the two apart.
    """
    for row in best.itertuples():
        if row.n > 1 and ((others.value < row.low) | (others.value > row.high)).any():
            return True
    tested = others if reference in set(best.method) else best
    return bool((tested.p_value.astype(float) < alpha).any())


def _cells(rows: pd.DataFrame, column: WideColumn, ranking: Ranking) -> dict[tuple[str, str], Cell]:
    """Cells of one column."""
    cells = {}
    for row in rows.itertuples(index=False):
        optional = {
            name: None if pd.isna(v := getattr(row, name)) else v
            for name in ("value", "low", "high", "p_value")
        }
        cells[row.method, column.key] = Cell(
            value=optional["value"],
            low=optional["low"],
            high=optional["high"],
            n=int(row.n),
            n_missing=int(row.n_missing),
            p=optional["p_value"],
            warning=row.warning or "",
            rank=ranking.places.get(row.method, 0),
            short=row.method in ranking.short,
        )
    return cells


def common_signature(measured: pd.DataFrame, label: MetricLabel, table: str) -> str:
    """Name the one metric signature of a metric in a table: extractor, hash of its
    weights, resolution, variant.

    Raises:
        EadbenchError: If there are several; each is named with its methods.
    """
    marks = measured.assign(
        resolution=measured.resolution.astype("Int64").astype(str).replace("<NA>", "")
    ).fillna({"weights_sha256": "", "variant": ""})
    groups = {
        signature: sorted(set(g.method))
        for signature, g in marks.groupby(["extractor", "weights_sha256", "resolution", "variant"], sort=True)
    }
    if len(groups) > 1:
        lines = "\n".join(
            f"    {describe_signature(*signature)}: {', '.join(methods)}"
            for signature, methods in groups.items()
        )
        hint = (
            "score them all with one metric signature; where only the variant differs, name one in the "
            f"config, e.g. {label.name}@VARIANT"
        )
        raise EadbenchError(
            f"{label.name} was measured with different metric signatures, which may not share a "
            f"column:\n{lines}",
            f"table {table!r}",
            hint,
        )
    return describe_signature(*next(iter(groups))) if groups else "not measured"


def describe_signature(extractor: str, sha256: str, resolution: str, variant: str) -> str:
    """``i3d-trained (sha256 1234abcd) at 64 px, protocol stylegan-v``. A variant that the
    extractor's name ends with is not repeated.
    """
    text = (
        extractor
        + (f" (sha256 {sha256[:12]})" if sha256 else "")
        + (f" at {resolution} px" if resolution else "")
    )
    if not variant or extractor.endswith(f"[{variant}]"):
        return text
    return f"{text}, {'protocol ' * variant.startswith(FVD_PROTOCOLS)}{variant}"


def quoted_values(paper_corpus: str | None, name: str, method: str) -> dict[str, dict]:
    """Values quoted from the paper for a metric, shown in the row of ``method``."""
    if paper_corpus is None:
        return {}
    quotes = [
        entry["values"][name]
        for entry in quotations()
        if entry["corpus"] == paper_corpus and name in entry["values"]
    ]
    return {method: quotes[0]} if quotes else {}


def decimals_for(values: Sequence[float], unit: str = "") -> int:
    """Decimals that leave three or four digits of the largest value; a tenth of a frame
    is enough for ``frames``.

    What is below ``NOISE`` counts, and hence is printed, as zero.
    """
    if unit == "frames":
        return 1
    largest = max((abs(v) for v in values), default=0.0)
    if largest < NOISE:
        return 2
    for bound, decimals in ((100, 1), (1, 2), (0.01, 3)):
        if largest >= bound:
            return decimals
    return 5
