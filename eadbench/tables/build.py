"""``tables build``: from the stages' tables to the tables for readers, in all formats."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from eadbench.core import provenance, schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, sha256_of, write_text
from eadbench.core.tables import DROPPED, KEPT, write_table
from eadbench.corpora.config import DRAWN
from eadbench.tables import ablation, gather, latex, render
from eadbench.tables.breakdown import breakdown, groups_of
from eadbench.tables.config import SpeedTable, TablesConfig, with_automatic_tables
from eadbench.tables.dial import LEGEND as DIAL_LEGEND
from eadbench.tables.dial import TITLE as DIAL_TITLE
from eadbench.tables.dial import dial, dial_text
from eadbench.tables.in_time import LEGEND as IN_TIME_LEGEND
from eadbench.tables.in_time import in_time
from eadbench.tables.metrics import metric
from eadbench.tables.notes import Note, all_notes, for_table, grouped, list_coverage, to_json, training
from eadbench.tables.wide import Facts, WideTable, ablation_grid, comparison, decimals_for
from eadbench.training.card import corpora_of, read_run_card

CELL = gather.CELL
# what the tables show of a run's card
CARD_KEYS = ("run", "trained_on", "steps", "initialised_from", "sync_loss_from")
OPTIONAL = ("speed", "dial", "in_time", "ablation_report")  # tables that not every run has
SUFFIXES = ("csv", "md", "tex", "parquet")
DETECTED = ("better", "worse", "changed")  # verdicts of effects that were detected


@dataclass(frozen=True)
class TableInputs:
    """Tables of the stages before, and remarks for below the main table; ``kinds`` and
    ``corpora`` as in ``Facts``.

    ``clips`` and ``measured`` decide, where results are merged, whether values compare:
    ``corpus/protocol`` -> a hash of its test clips (of their ids, if nothing is given),
    and settings that no metric signature holds. The groups of clips come from
    ``clip_tables`` and ``labels`` (``breakdown.groups_of``), unless ``groups`` holds
    them.
    """

    summary: Sequence[Path]
    per_clip: Sequence[Path]
    samples: Sequence[Path] = ()
    history: Sequence[Path] = ()
    run_card: Sequence[Path] = ()
    coverage: Sequence[Path] = ()
    clip_tables: Sequence[Path] = ()
    labels: Path | None = None
    remarks: Sequence[str] = ()
    groups: pd.DataFrame | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    corpora: Mapping[str, dict] = field(default_factory=dict)
    clips: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)


def build(inputs: TableInputs, config: TablesConfig, seed: int, out: Path, few_clips: int = 0) -> None:
    """Write ``out`` (the long scores) and all other tables beside it.

    Args:
        inputs: What to read.
        config: The section ``tables``.
        seed: The run's seed.
        out: ``scores.parquet``.
        few_clips: Values of fewer clips carry a warning.

    Raises:
        EadbenchError: If there is no score at all, an input is damaged or of another
            version, or signatures are mixed in one column.
    """
    started = time.time()
    folder = out.parent
    if not inputs.summary:
        raise EadbenchError("no summary was given", out, "run the scores first, or give --summary FILE")
    remove_optional(folder)
    samples = gather.read_all(inputs.samples, schemas.SAMPLES)
    groups = inputs.groups
    if groups is None:
        groups = groups_of(inputs.clip_tables, config.breakdown.by, inputs.labels)
    with gather.open_per_clip(inputs.per_clip, folder) as base:
        scores = long_scores(
            gather.read_summaries(inputs.summary, few_clips),
            gather.paired_tests(base, config.reference),
            samples,
            seed,
        )
        measured_metrics = set(scores.metric[scores.value.notna()])
        config = with_automatic_tables(
            config, scores[CELL].itertuples(index=False, name=None), measured_metrics
        )
        facts = replace(
            facts_of(samples, inputs.run_card), kinds=dict(inputs.kinds), corpora=dict(inputs.corpora)
        )

        @cache
        def against(reference: str) -> pd.DataFrame:
            return scores if reference == config.reference else _against(base, scores, reference)

        tables = [
            comparison(name, spec, config, against(config.reference_of(spec)), facts)
            for name, spec in config.comparisons().items()
        ]
        effects = pd.DataFrame(columns=schemas.EFFECTS.names)
        if config.ablation is not None:
            tables.append(ablation_grid(config.ablation, config, against(config.ablation.reference), facts))
            effects = ablation.effects(base, scores, config.ablation, config, seed)
        breakdown_rows = breakdown(base, groups, few_clips)
        offsets = gather.offsets(base)
        clips = inputs.clips or gather.clip_sets(base, config.ground_truth)
        response = dial(base)
    notes = all_notes(tables, scores, config, facts, gather.failures(inputs.per_clip), offsets)
    coverages = gather.coverages(inputs.coverage)
    notes += [note for table in tables for note in list_coverage(table, coverages)]
    notes += [Note("input", "main", text) for text in inputs.remarks]

    for table in tables:
        write_wide(folder, table, grouped(notes, table.name), config)
    if config.speed is not None:
        write_speed(folder, gather.speed(samples), config.speed, config, facts)
    write_table(
        folder / "breakdown.parquet", breakdown_rows, schemas.BREAKDOWN, [*CELL, "metric", "by", "level"]
    )
    if len(response):
        write_dial(folder, response, config)
    if bins := in_time(scores, config):
        parts = [
            f"### {render.escape_markdown(title)}\n\n{render.frame_to_markdown(table)}"
            for title, table in bins.items()
        ]
        text = "\n".join(["## Over time\n", *parts, render.escape_markdown(IN_TIME_LEGEND) + "\n"])
        write_text(folder / "in_time.md", text)
    write_table(folder / "effects.parquet", effects, schemas.EFFECTS)
    history = gather.read_all(inputs.history, schemas.HISTORY)
    write_table(folder / "history.parquet", history, schemas.HISTORY, ["run", "quantity", "split", "step"])
    curves = training_curves(history, folder / "training_curves", config.labels, mark_of_runs(facts))
    write_ablation_report(folder, effects, curves, tables, notes, config)
    write_record(out, config, seed, tables, facts, clips, notes, inputs.measured, few_clips)
    files = [
        *inputs.summary,
        *inputs.per_clip,
        *inputs.samples,
        *inputs.history,
        *inputs.run_card,
        *inputs.coverage,
        *inputs.clip_tables,
        *([inputs.labels] if inputs.labels else []),
    ]
    write_table(out, scores, schemas.SCORES, [*CELL, "metric", "variant"])
    provenance.write(folder, config.model_dump(mode="json"), {str(p): sha256_of(p) for p in files}, started)


def remove_optional(folder: Path) -> None:
    """Remove what an earlier build may have left and this one may not make."""
    for name, suffix in product(OPTIONAL, SUFFIXES):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)


def write_record(
    out: Path,
    config: TablesConfig,
    seed: int,
    tables: Sequence[WideTable],
    facts: Facts,
    clips: Mapping[str, str],
    notes: Sequence[Note],
    measured: Mapping[str, Any],
    few_clips: int = 0,
) -> None:
    """``tables.json`` beside ``out``: what ``load.load_built`` needs to make the tables
    again.
    """
    record = {
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "tables": [t.name for t in tables],
        "signatures": {t.name: t.signatures for t in tables},
        "facts": asdict(facts),
        "clips": dict(clips),
        "measured": dict(measured),
        "few_clips": few_clips,
        "notes": to_json(notes),
    }
    write_text(out.parent / "tables.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    seals.seal_files(out.parent, [out.parent / "tables.json"], out)


def long_scores(summary: pd.DataFrame, tests: pd.DataFrame, samples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Summaries with direction, paired test, seed, run hash and commit
    (``schemas.SCORES``).
    """
    scores = summary.merge(tests, on=[*CELL, "metric"], how="left", validate="many_to_one")
    scores = scores.merge(run_hashes(samples), on=CELL, how="left", validate="many_to_one")
    scores["n_common"] = scores.n_common.astype("Int64")
    scores["direction"] = [metric(name).spec.direction for name in scores.metric]
    scores["seed"], scores["commit"] = seed, provenance.git_commit()
    return scores


def run_hashes(samples: pd.DataFrame) -> pd.DataFrame:
    """The checkpoint or recipe behind each cell.

    Raises:
        EadbenchError: If a cell holds clips of two checkpoints.
    """
    hashed = samples[samples.run_hash.notna()]
    mixed = hashed.groupby(CELL).run_hash.nunique()
    if (mixed > 1).any():
        raise EadbenchError(
            "samples of one cell come from different checkpoints",
            ", ".join(mixed.index[mixed > 1][0]),
            "render the cell again",
        )
    return hashed.drop_duplicates(CELL)[[*CELL, "run_hash"]]


def facts_of(samples: pd.DataFrame, run_cards: Sequence[Path] = ()) -> Facts:
    """Run hash, source of the text and card of the run of every method, and why one
    could not be run.
    """
    hashes, sources = {}, {}
    for method, group in samples[samples.status == KEPT].groupby("method"):
        hashes[method] = "+".join(sorted(set(group.run_hash.dropna()))) or None
        sources[method] = "+".join(sorted(set(group.caption_source.dropna()))) or None
    unable = {}
    for (method, protocol), group in samples.groupby(["method", "protocol"]):
        if (group.status == DROPPED).all():
            unable[f"{method}/{protocol}"] = group.reason.iloc[0]
    cards = {
        card["sha256"]: {key: card[key] for key in CARD_KEYS if key in card}
        for card in map(read_run_card, (path.parent for path in run_cards))
    }
    cards_of_methods = {method: cards[run_hash] for method, run_hash in hashes.items() if run_hash in cards}
    return Facts(hashes, sources, unable, cards_of_methods)


def _against(base, scores: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The scores with their paired tests made against another method."""
    tests = gather.paired_tests(base, reference)
    return scores.drop(columns=["reference_method", "p_value", "n_common"]).merge(
        tests, on=[*CELL, "metric"], how="left"
    )


def write_wide(folder: Path, table: WideTable, notes: dict[str, list[str]], config: TablesConfig) -> None:
    """One wide table as Parquet, CSV, Markdown and LaTeX, with its notes under
    headings.
    """
    notes |= {
        "Measured with": [f"{metric(key).label}: {signature}." for key, signature in table.signatures.items()]
    }
    records = pd.DataFrame(table.records())
    write_table(folder / f"{table.name}.parquet", records, table.contract())
    write_csv(folder / f"{table.name}.csv", records.reindex(columns=table.contract().names))
    write_text(folder / f"{table.name}.md", render.to_markdown(table, notes, config.labels, config.alpha))
    write_text(folder / f"{table.name}.tex", latex.to_latex(table, notes, config.labels, config.alpha))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """CSV with full precision."""
    with atomic_path(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n")


def speed_rows(speed: pd.DataFrame, spec: SpeedTable, config: TablesConfig) -> pd.DataFrame:
    """The rows of the speed table in order; a method that was not timed has a row of
    its own.
    """
    chosen = speed[(speed.protocol == spec.protocol) & speed.corpus.isin(spec.corpora)].set_index(
        ["method", "corpus"]
    )
    row_index = pd.MultiIndex.from_product([config.rows_of(spec), spec.corpora], names=["method", "corpus"])
    rows = chosen.reindex(row_index).reset_index()
    rows["protocol"] = spec.protocol
    rows[["n", "n_missing"]] = rows[["n", "n_missing"]].fillna(0).astype(int)
    return rows[schemas.SPEED.names]


def speed_text(rows: pd.DataFrame, config: TablesConfig) -> pd.DataFrame:
    """The speed table for print."""
    shown = pd.DataFrame(
        {"Method": rows.method.map(config.label), "Corpus": rows.corpus.map(config.label), "n": rows.n}
    )
    for name, title in (
        ("seconds", "Seconds per clip ↓"),
        ("realtime_factor", "Seconds per second of video ↓"),
    ):
        d = decimals_for(rows[name].dropna())
        values = zip(rows[name], rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
        shown[title] = [render.estimate(*bounds, d) for bounds in values]
    shown["Peak MiB ↓"] = [render.number(v, 0) for v in rows.peak_mb]
    return shown


SPEED_LEGEND = (
    "Medians over clips with their 95 % interval (binomial order statistics; none below 6 "
    "clips). Times are of the machine named in provenance.json."
)


def write_speed(
    folder: Path, speed: pd.DataFrame, spec: SpeedTable, config: TablesConfig, facts: Facts
) -> None:
    """The speed table in all formats."""
    rows = speed_rows(speed, spec, config)
    write_table(folder / "speed.parquet", rows, schemas.SPEED)
    write_csv(folder / "speed.csv", rows)
    shown = speed_text(rows, config)
    title = config.title_of(spec)
    trained_methods = [method for method in config.rows_of(spec) if method in facts.cards]
    cards = {config.label(method): facts.cards[method] for method in trained_methods}
    below = [SPEED_LEGEND, *(note.text for note in training("speed", cards, spec.corpora, config))]
    text = "\n\n".join(map(render.escape_markdown, below))
    write_text(
        folder / "speed.md",
        f"## {render.escape_markdown(title)}\n\n{render.frame_to_markdown(shown)}\n{text}\n",
    )
    write_text(folder / "speed.tex", latex.frame_to_latex(shown, title, below))


def write_dial(folder: Path, response: pd.DataFrame, config: TablesConfig) -> None:
    """The response to the intensity in all formats."""
    write_table(folder / "dial.parquet", response, schemas.DIAL)
    write_csv(folder / "dial.csv", response)
    shown, title = dial_text(response, config), render.escape_markdown(DIAL_TITLE)
    text = f"## {title}\n\n{render.frame_to_markdown(shown)}\n{render.escape_markdown(DIAL_LEGEND)}\n"
    write_text(folder / "dial.md", text)
    write_text(folder / "dial.tex", latex.frame_to_latex(shown, DIAL_TITLE, [DIAL_LEGEND]))


def write_ablation_report(
    folder: Path,
    effects: pd.DataFrame,
    curves: bool,
    tables: list[WideTable],
    notes: list[Note],
    config: TablesConfig,
) -> None:
    """``ablation_report.md``: findings first, then effects, emotions, speakers and,
    where they were drawn, the training curves.
    """
    if config.ablation is None:
        return
    grid = next(t for t in tables if t.name == "ablation")
    lines, absent = [f"# {render.escape_markdown(grid.title)}", ""], grid.without_scores
    if absent:
        lines += [
            "Not run, so that the grid has gaps: "
            f"{render.escape_markdown(', '.join(r.label for r in absent))}.",
            "",
        ]
    lines += [render.escape_markdown(t) + "\n" for t in for_table(notes, "ablation")]
    parts = (
        ("Main effects", "main", "all"),
        ("Interactions", "interaction", "all"),
        ("Each module with the others in a fixed state", "given", "all"),
        ("By emotion", None, "emotion"),
        ("By speaker", None, "speaker"),
    )
    for title, kind, by in parts:
        chosen = effects[effects.by == by]
        if kind:
            chosen = chosen[chosen.kind == kind]
        lines += [f"## {title}", ""]
        if chosen.empty:
            lines += [
                "The grid is not complete." if kind in ("main", "interaction") else "Nothing to show.",
                "",
            ]
            continue
        if by == "all":
            lines += [render.frame_to_markdown(effects_text(chosen, config)), ""]
        detected = chosen[chosen.verdict.isin(DETECTED)]
        lines += [f"- {render.escape_markdown(s)}" for s in detected.sentence]
        rest = chosen[~chosen.verdict.isin(DETECTED)]
        if by == "all":
            lines += [f"- {render.escape_markdown(s)}" for s in rest.sentence]
        elif len(rest):
            lines += [
                f"- In {len(rest)} of {len(chosen)} combinations there is no detectable effect, or too few "
                "clips; effects.parquet holds them all."
            ]
        lines += [""]
    if curves:
        lines += ["## Training curves", "", "![Training curves](training_curves.png)", ""]
    write_text(folder / "ablation_report.md", "\n".join(lines))


def effects_text(chosen: pd.DataFrame, config: TablesConfig) -> pd.DataFrame:
    """Effects in rows, metrics in columns (jitter next to motion energy, as the config
    orders them): change, interval, and the verdict.
    """
    rows: dict[tuple, dict[str, str]] = {}
    for effect in chosen.itertuples(index=False):
        name = ablation.effect_name(effect, config)
        d = decimals_for([v for v in (effect.value, effect.low, effect.high) if pd.notna(v)])
        row = rows.setdefault((effect.corpus, name), {"Corpus": config.label(effect.corpus), "Effect": name})
        verdict = f" {effect.verdict}" if effect.verdict in DETECTED else ""
        change = render.estimate(effect.value, effect.low, effect.high, d)
        row[metric(effect.metric).heading] = change + verdict
    return pd.DataFrame(list(rows.values())).fillna("–")


def mark_of_runs(facts: Facts) -> str:
    """What figures of training say where the people are drawn."""
    trained_on = {corpus for card in facts.cards.values() for corpus in corpora_of(card)}
    # without a card that names corpora, drawn people cannot be ruled out
    is_drawn = set(facts.drawn) & trained_on or (facts.drawn and not trained_on)
    return DRAWN if is_drawn else ""


def training_curves(history: pd.DataFrame, stem: Path, labels: Mapping[str, str], mark: str) -> bool:
    """Validation quality of all runs as PNG and PDF; one panel per quantity."""
    if history.empty:
        return False
    from eadbench.tables.figures import history_figure, save

    save(history_figure(history, labels), stem, mark)
    return True
