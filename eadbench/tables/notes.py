"""What a reader must know before believing a number, worked out from the numbers
themselves.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from eadbench.tables.config import TablesConfig
from eadbench.tables.metrics import metric
from eadbench.tables.wide import Cell, Facts, Row, WideTable

NOT_OFFICIAL = re.compile(r"(?:^|[^a-z])(trained|random)(?:[^a-z]|$)")
WORDS = {"trained": "trained here on the training clips", "random": "fixed random features"}
WARNED = {"trained": "evaluator trained here", "random": "random features"}
BRACKETS = re.compile(r" ?\((?:[^()]|\([^()]*\))*\)")
FEW = 3  # methods or clips that a note names before it counts them
BIBTEX = "`eadbench tables cite --tables PLACE` prints the BibTeX of the tables there."
SYNC = ("sync", "lse_d", "sync_offset")  # metrics in whose tables the offset of sound and picture is told
# Kinds of notes in the order in which they are read, each with its heading.
GROUPS = {
    "data": "People and voices",
    "evaluators": "Evaluators",
    "citing": "What may be cited",
    "missing": "Missing clips",
    "marks": "What is marked as best",
    "emotion": "Emotion",
    "controls": "Against the controls",
    "sync": "Sound and picture",
    "training": "Training",
    "text": "Text",
    "warning": "Warnings",
    "input": "Input",
}
# kinds that leave eyes and brows as they are
LOWER_FACE = ("wav2lip", "ip_lap", "musetalk", "latentsync", "shuffled_audio")
UNKNOWN = ("videos", "command", "external", None)  # kinds of which only a measurement can tell that
TEXTS = {
    "target": "the target clip itself (leaks the answer)",
    "label": "the emotion label",
    "other_clip": "another speaker's clip of the same label",
    "same_speaker": "another clip of the speaker with the same label",
}
BROWS = 0.05  # brows whose motion is that of the real ones up to this share are taken from the input


@dataclass(frozen=True)
class Note:
    """A remark.

    Attributes:
        kind: One of ``GROUPS``.
        table: Table that it belongs to; empty for all.
        text: One or two sentences.
    """

    kind: str
    table: str
    text: str


def all_notes(
    tables: Iterable[WideTable],
    scores: pd.DataFrame,
    config: TablesConfig,
    facts: Facts,
    failures: pd.DataFrame | None = None,
    offsets: pd.DataFrame | None = None,
) -> list[Note]:
    """People, evaluators, what may be cited, then per table: what lacks scores, which
    clips are missing and why, what is not marked as best, what the emotion's numbers
    owe to the input, whether sound and picture are apart, how the runs were trained, which
    text was used, what beats the controls, warnings of the scores.

    Args:
        tables: The tables.
        scores: The long scores.
        config: The section ``tables``.
        facts: What is known of corpora and methods.
        failures: What was not measured and why, see ``gather.failures``.
        offsets: Offsets of sound and picture, see ``gather.offsets``.
    """
    shown = sorted(set(scores.corpus))
    unofficial = unofficial_evaluators(scores)
    notes = [*drawn(shown, facts, config), *unofficial, citing(shown, facts, not unofficial)]
    for table in tables:
        notes += missing(table, failures)
        notes += marks(table)
        notes += kept_emotion(table, scores, facts)
        notes += apart(table, offsets)
        notes += training(
            table.name, {r.label: r.card for r in table.rows if r.card}, list(_corpora(table)), config
        )
        notes += texts(table)
        if table.name != "ablation":
            notes += against_controls(table, config)
        notes += warnings(table)
    return notes


def for_table(notes: Iterable[Note], name: str) -> list[str]:
    """Texts of the notes that a table prints."""
    return [n.text for n in notes if n.table in ("", name)]


def grouped(notes: Iterable[Note], name: str) -> dict[str, list[str]]:
    """The same under headings, see ``GROUPS``."""
    mine = [n for n in notes if n.table in ("", name)]
    found = {heading: [n.text for n in mine if n.kind == kind] for kind, heading in GROUPS.items()}
    return {heading: texts for heading, texts in found.items() if texts}


def drawn(corpora: Iterable[str], facts: Facts, config: TablesConfig) -> list[Note]:
    """Whose people are drawn."""
    found = [corpus for corpus in corpora if corpus in facts.drawn]
    if not found:
        return []
    text = (
        f"The people of {config.listed(found)} are drawn and their voices synthetic. Nobody real is "
        "seen or heard in these clips."
    )
    return [Note("data", "", text)]


def citing(corpora: Iterable[str], facts: Facts, official: bool) -> Note:
    """Which of the numbers may be cited, and how."""
    made = set(corpora) & set(facts.drawn)
    how = "with its interval, its number of clips, what it was measured with, and the commit"
    why = " and ".join(
        ["the people are drawn"] * bool(made)
        + ["evaluators marked above are not the published ones"] * (not official)
    )
    if not why:
        return Note(
            "citing",
            "",
            f"A value may be cited {how}. {BIBTEX}",
        )
    text = (
        f"Not as results on published corpora: {why}. What may be cited is how the methods here compare "
        "with each other, as a "
        f"demonstration of eadbench, {how}. {BIBTEX}"
    )
    return Note("citing", "", text)


def unofficial_evaluators(scores: pd.DataFrame) -> list[Note]:
    """Which extractors are not the official ones: by their id, or by the scores' own
    warning.
    """
    notes = []
    measured = scores[scores.value.notna()]
    for how, words in WORDS.items():
        named = measured.extractor.map(
            lambda e, how=how: bool(found := NOT_OFFICIAL.search(e)) and found[1] == how
        ).astype(bool)
        chosen = measured[named | measured.warning.fillna("").str.contains(WARNED[how], regex=False)]
        if len(chosen):
            metrics = sorted({metric(m).label for m in chosen.metric})
            names = ", ".join(sorted(set(chosen.extractor)))
            text = (
                f"Not the published networks, {words}: {names} (for {', '.join(metrics)}). These numbers "
                "compare the methods here "
                "with each other only."
            )
            notes.append(Note("evaluators", "", text))
    return notes


def missing(table: WideTable, failures: pd.DataFrame | None = None) -> list[Note]:
    """Methods without scores, and cells in which clips are missing: which, and why."""
    notes = []
    unable = [row for row in table.without_scores if row.unable]
    notes += [
        Note("missing", table.name, f"{row.label} could not be run: {_shortened(row.unable)}.")
        for row in unable
    ]
    others = [row.label for row in table.without_scores if not row.unable]
    if others:
        notes.append(Note("missing", table.name, f"No scores: {', '.join(others)}."))
    lacking: dict[tuple[str, str], list[str]] = {}  # (corpus, what) -> methods
    for row in table.rows:
        if row in unable:
            continue
        # A cell without a value says for itself why it has none.
        worst = max(
            (c.n_missing for (m, _), c in table.cells.items() if m == row.method and c.value is not None),
            default=0,
        )
        told = (
            []
            if failures is None
            else [(c, text) for c in _corpora(table) for text in _which(table, row, c, failures)]
        )
        for key in told or [("", f"up to {worst} clips are missing")] * (worst > 0):
            lacking.setdefault(key, []).append(row.label)
    for (corpus, text), labels in lacking.items():
        who = (
            "All methods"
            if len(labels) == len(table.rows) - len(table.without_scores) > 1
            else ", ".join(labels)
        )
        where = f" on {_corpora(table)[corpus]}" if corpus and len(_corpora(table)) > 1 else ""
        notes.append(Note("missing", table.name, f"{who}{where}: {text}."))
    if lacking:
        notes.append(Note("missing", table.name, "Paired tests use the clips in common."))
    return notes


def covered(table: WideTable, coverages: dict[str, str]) -> list[Note]:
    """What became of the test lists of a table's corpora, see ``gather.coverages``."""
    return [
        Note("missing", table.name, coverages[corpus]) for corpus in _corpora(table) if corpus in coverages
    ]


def _corpora(table: WideTable) -> dict[str, str]:
    """Corpora of a table and their names in print."""
    return {c.corpus: c.corpus_label for c in table.columns}


def _which(table: WideTable, row: Row, corpus: str, failures: pd.DataFrame) -> list[str]:
    """The clips that a method lacks on a corpus, with the reason: first those that it
    lacks altogether, then those that some metrics lack.
    """
    labels = {c.metric.name: c.metric.label for c in table.columns if c.corpus == corpus}
    cells = {c.metric.name: table.cells.get((row.method, c.key)) for c in table.columns if c.corpus == corpus}
    valued = [name for name, cell in cells.items() if cell is not None and cell.value is not None]
    here = (
        (failures.method == row.method) & (failures.corpus == corpus) & (failures.protocol == table.protocol)
    )
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for clip, lost in failures[here & failures.metric.isin(valued)].groupby("clip_id"):
        metrics = () if lost.whole.all() else tuple(labels[m] for m in labels if m in set(lost.metric))
        groups.setdefault(metrics, {})[clip] = (lost.reason.iloc[0] or "no reason given").splitlines()[0]
    total = max((c.n + c.n_missing for c in cells.values() if c is not None), default=0)
    told = []
    for metrics, clips in sorted(groups.items()):
        named = "; ".join(f"{clip} ({reason})" for clip, reason in list(clips.items())[:FEW])
        more = f"; and {len(clips) - FEW} more" if len(clips) > FEW else ""
        lack = f" from {', '.join(metrics)}" if metrics else ""
        told.append(
            f"{len(clips)} of {total} clips {'is' if len(clips) == 1 else 'are'} missing{lack}: {named}{more}"
        )
    return told


def marks(table: WideTable) -> list[Note]:
    """Columns without a best, and methods that are not ranked because they lack clips."""
    several = len(_corpora(table)) > 1
    names = {c.key: c.metric.label + (f" on {c.corpus_label}" if several else "") for c in table.columns}
    notes = []
    if table.undecided:
        text = (
            f"No best is marked in {', '.join(names[key] for key in table.undecided)}: the interval of the "
            "best value holds "
            "those of all other methods, and no paired test tells it apart."
        )
        notes.append(Note("marks", table.name, text))
    for row in table.rows:
        short = [
            key for key in names if (cell := table.cells.get((row.method, key))) is not None and cell.short
        ]
        if short:
            text = (
                f"{row.label} is not ranked in {', '.join(names[key] for key in short)}: it lacks clips "
                "that others have."
            )
            notes.append(Note("marks", table.name, text))
    return notes


def kept_emotion(table: WideTable, scores: pd.DataFrame, facts: Facts) -> list[Note]:
    """Why a method that keeps the brows of its input may lead in the emotion: under
    ``self`` the input shows the one asked for.
    """
    notes = []
    if table.protocol != "self":
        return notes
    brows = (
        scores[(scores.metric == "brow_motion_ratio") & (scores.protocol == "self")]
        .set_index(["method", "corpus"])
        .value
    )
    for column in (c for c in table.columns if c.metric.name == "acc_emo"):
        cells = {r.method: table.cells.get((r.method, column.key)) for r in table.rows}
        found = {
            method: cell.value
            for method, cell in cells.items()
            if cell is not None and cell.value is not None
        }
        ahead = [
            r
            for r in table.rows
            if r.role in ("other", "control") and found.get(r.method, -1) >= found.get(table.reference, 2)
        ]
        kept = [
            r for r in ahead
            if facts.kinds.get(r.method) in LOWER_FACE
            or (facts.kinds.get(r.method) in UNKNOWN and abs(brows.get((r.method, column.corpus),
            0.0) - 1) <= BROWS)
        ]  # fmt: skip
        if kept:
            told = ", ".join(f"{r.label} ({found[r.method]:.2f})" for r in kept)
            text = (
                f"Acc_emo on {column.corpus_label}: what keeps the eyes and brows of the input, here "
                f"{told}, shows the emotion asked for "
                "without making one, since under the protocol self the input clip shows it already. "
                "Whether a method can make an "
                "emotion, only a protocol tells that asks for that of another clip (cross_emotion)."
            )
            notes.append(Note("emotion", table.name, text))
    return notes


def apart(table: WideTable, offsets: pd.DataFrame | None) -> list[Note]:
    """Whose sound and picture are more than a frame apart, with the direction in words."""
    if offsets is None or not any(c.metric.name in SYNC for c in table.columns):
        return []
    notes = []
    for corpus, corpus_label in _corpora(table).items():
        here = offsets[(offsets.corpus == corpus) & (offsets.protocol == table.protocol)].set_index("method")[
            ["values", "clips"]
        ]
        where = f" on {corpus_label}" if len(_corpora(table)) > 1 else ""
        unsteady = []
        for row in (r for r in table.rows if r.method in here.index):
            values, clips = here.loc[row.method]
            beyond = np.abs(values) > 1
            far = values[beyond]
            if len(far) and far.min() < 0 < far.max():
                unsteady.append(row.label)
            elif len(far):
                named = ", ".join([clip for clip, told in zip(clips, beyond, strict=True) if told][:FEW])
                more = f" and {len(far) - FEW} more" if len(far) > FEW else ""
                text = (
                    f"{row.label}{where}: {_direction(far)} in {len(far)} of {len(values)} clips, "
                    f"{named}{more} (AV offset, positive where the audio is early)."
                )
                notes.append(Note("sync", table.name, text))
        if unsteady:
            text = (
                f"No steady offset{where}: {', '.join(unsteady)}. SyncNet finds the audio early in some "
                "clips and late in others, as "
                "where lips and sound do not belong together; their mean AV offset says nothing."
            )
            notes.append(Note("sync", table.name, text))
    return notes


def _direction(far: np.ndarray) -> str:
    """``audio late by 5 frames``, of offsets of one sign; where clips differ, from
    which to which.
    """
    word, ends = ("early", (far.min(), far.max())) if far.min() > 0 else ("late", (-far.max(), -far.min()))
    return f"audio {word} by {ends[0]:.4g}" + (f" to {ends[1]:.4g}" if ends[0] != ends[1] else "") + " frames"


def _shortened(reason: str) -> str:
    """A reason without what stands in brackets (where to get it), and of several things
    missing the first; ``eadbench methods list`` has them all.
    """
    first, *more = BRACKETS.sub("", reason).split("; ")
    return f"{first}, and {len(more)} more (`eadbench methods list` names them)" if more else first


def training(table: str, cards: dict[str, dict], corpora: list[str], config: TablesConfig) -> list[Note]:
    """What the methods that are runs of this workflow were trained on, for how long and
    from what, and what is shown.

    Args:
        table: Name of the table.
        cards: Name in print of such a method -> the card of its run.
        corpora: Corpora whose clips the table shows.
        config: The section ``tables``.
    """
    told: dict[str, list[str]] = {}
    for label, card in cards.items():
        told.setdefault(
            f"{_trained(card, config)}{_started(card, config)}{_sync_loss(card, config)}", []
        ).append(label)
    return [
        Note("training", table, f"{', '.join(labels)}: {how}. Rendered: {config.listed(corpora)}.")
        for how, labels in told.items()
    ]


def _trained(card: dict, config: TablesConfig) -> str:
    """``trained on HDTF and MEAD for 50,000 steps``, as far as the card tells."""
    on = (
        config.listed(card["trained_on"]) if card.get("trained_on") else "corpora that its card does not name"
    )
    return f"trained on {on}" + (f" for {card['steps']:,} steps" if card.get("steps") else "")


def _started(card: dict, config: TablesConfig) -> str:
    first = card.get("initialised_from")
    if not first:
        return ", from random weights" if "initialised_from" in card else ""
    inner = f" ({_trained(first, config)}{_started(first, config)})" if first.get("trained_on") else ""
    return f", initialised from {first['name']}{inner}"


def _sync_loss(card: dict, config: TablesConfig) -> str:
    evaluator = card.get("sync_loss_from")
    return f"; its sync loss is by {evaluator['name']} ({_trained(evaluator, config)})" if evaluator else ""


def texts(table: WideTable) -> list[Note]:
    """Where the text of the methods that use one came from."""
    used: dict[str, list[str]] = {}
    for row in table.rows:
        if row.caption_source:
            used.setdefault(row.caption_source, []).append(row.label)
    sources = {source: " or ".join(TEXTS.get(one, one) for one in source.split("+")) for source in used}
    told = "; ".join(f"{sources[source]}: {', '.join(labels)}" for source, labels in sorted(used.items()))
    return [Note("text", table.name, f"Text conditions were written from {told}.")] if told else []


def warnings(table: WideTable) -> list[Note]:
    """Warnings of the scores, each once, with where it holds. What
    ``unofficial_evaluators`` and ``missing`` say is not said again.
    """
    valued = [place for place, cell in table.cells.items() if cell.value is not None]
    places: dict[str, list[tuple[str, str]]] = {}
    for place, cell in table.cells.items():
        for warning in filter(None, (w.strip() for w in cell.warning.split(";"))):
            if not any(told in warning for told in (*WARNED.values(), "clips are missing")):
                places.setdefault(warning, []).append(place)
    return [
        Note("warning", table.name, f"{w[0].upper()}{w[1:].rstrip('.')} ({_where(table, found, valued)}).")
        for w, found in places.items()
    ]


def _where(table: WideTable, places: list[tuple[str, str]], valued: list[tuple[str, str]]) -> str:
    """The cells in few words."""
    if set(places) >= set(valued):
        return "all values"
    several = len(_corpora(table)) > 1
    columns = {c.key: c.metric.label + (f" on {c.corpus_label}" if several else "") for c in table.columns}
    names = {r.method: r.label for r in table.rows}
    methods = list(dict.fromkeys(m for m, _ in places))
    keys = list(dict.fromkeys(k for _, k in places))
    who = (
        ", ".join(names[m] for m in methods)
        if len(methods) <= FEW
        else f"{len(methods)} of {len(table.rows)} methods"
    )
    what = (
        ", ".join(columns[k] for k in keys)
        if len(keys) <= FEW
        else ", ".join(dict.fromkeys(c.metric.label for c in table.columns if c.key in keys))
    )
    return f"{what}; {who}"


def against_controls(table: WideTable, config: TablesConfig) -> list[Note]:
    """Whether the table's reference beats each control, metric by metric."""
    notes = []
    for (corpus, control), found in control_verdicts(table, config).items():
        verdicts = {
            verdict: [label for label, v in found.items() if v == verdict]
            for verdict in ("beats", "worse", "open")
        }
        notes.append(
            Note(
                "controls",
                table.name,
                _control_sentence(config.label(table.reference), control, corpus, verdicts),
            )
        )
    return notes


def control_verdicts(table: WideTable, config: TablesConfig) -> dict[tuple[str, str], dict[str, str]]:
    """(corpus, control) -> metric -> ``beats``, ``worse`` or ``open``, all by their
    names in print; only what was measured.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for column in (c for c in table.columns if c.metric.spec.direction != "none"):
        mine = table.cells.get((table.reference, column.key))
        for control in (r for r in table.rows if r.role == "control"):
            theirs = table.cells.get((control.method, column.key))
            if mine is None or theirs is None or mine.value is None or theirs.value is None:
                continue
            verdict = compare_cells(mine, theirs, column.metric.spec.direction, config.alpha)
            found.setdefault((column.corpus_label, control.label), {})[column.metric.label] = verdict
    order = [
        (label, r.label) for label in dict.fromkeys(c.corpus_label for c in table.columns) for r in table.rows
    ]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))


def compare_cells(mine: Cell, theirs: Cell, direction: str, alpha: float) -> str:
    """``beats``, ``worse`` or ``open``: by the paired test where there is one, else by
    intervals that do not touch.
    """
    if theirs.p is not None:
        told_apart = theirs.p < alpha
    else:
        ends = (mine.low, mine.high, theirs.low, theirs.high)
        told_apart = None not in ends and (mine.low > theirs.high or theirs.low > mine.high)
    if not told_apart or mine.value == theirs.value:
        return "open"
    return "beats" if (mine.value > theirs.value) == (direction == "up") else "worse"


def _control_sentence(ours: str, control: str, corpus: str, verdicts: dict[str, list[str]]) -> str:
    if verdicts["beats"]:
        head = f"On {corpus} {ours} beats the control {control} in {', '.join(verdicts['beats'])}"
    else:
        head = f"On {corpus} {ours} does not beat the control {control} in any metric"
    tail = []
    if verdicts["worse"]:
        tail.append(f"is worse in {', '.join(verdicts['worse'])}")
    if verdicts["open"]:
        tail.append(f"cannot be told from it in {', '.join(verdicts['open'])}")
    return "; ".join([head, *tail]) + "."


def to_json(notes: Iterable[Note]) -> list[dict]:
    """Plain mappings."""
    return [asdict(n) for n in notes]
