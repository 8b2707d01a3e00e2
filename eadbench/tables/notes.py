"""What a reader must know before trusting a number, derived from the numbers
themselves.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from eadbench.tables.config import TablesConfig
from eadbench.tables.metrics import metric
from eadbench.tables.wide import Cell, Facts, WideRow, WideTable

NOT_OFFICIAL = re.compile(r"(?:^|[^a-z])(trained|random)(?:[^a-z]|$)")
UNOFFICIAL = {"trained": "trained here on the training clips", "random": "fixed random features"}
UNOFFICIAL_WARNINGS = {"trained": "evaluator trained here", "random": "random features"}
BRACKETS = re.compile(r" ?\((?:[^()]|\([^()]*\))*\)")
FEW = 3  # methods or clips that a note names before it counts them
BIBTEX = "`eadbench tables cite --tables PLACE` prints the BibTeX of the tables there."
SYNC = ("sync", "lse_d", "sync_offset")  # metrics in whose tables the AV offset is noted
# Kinds of notes in the order in which they are read, each with its heading.
GROUPS = {
    "data": "People and voices",
    "evaluators": "Evaluators",
    "citing": "What may be cited",
    "missing": "Missing clips",
    "marks": "What is marked as best",
    "emotion": "Emotion",
    "controls": "Against the controls",
    "sync": "Audio and video",
    "training": "Training",
    "text": "Text",
    "warning": "Warnings",
    "input": "Input",
}
# kinds that leave eyes and brows as they are
LOWER_FACE = ("wav2lip", "ip_lap", "musetalk", "latentsync", "shuffled_audio")
UNKNOWN = ("videos", "command", "external", None)  # kinds for which only a measurement shows that
TEXTS = {
    "target": "the target clip itself (leaks the answer)",
    "label": "the emotion label",
    "other_clip": "another speaker's clip of the same label",
    "same_speaker": "another clip of the speaker with the same label",
}
BROWS = 0.05  # brows that move like the real ones up to this share are taken from the input


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
    clips are missing and why, what is not marked as best, where the emotion is that of
    the input, whether audio and video are out of sync, how the runs were trained, which
    text was used, what beats the controls, warnings of the scores.

    Args:
        tables: The tables.
        scores: The long scores.
        config: The section ``tables``.
        facts: Facts of corpora and methods.
        failures: What was not measured and why, see ``gather.failures``.
        offsets: AV offsets, see ``gather.offsets``.
    """
    shown = sorted(set(scores.corpus))
    unofficial = unofficial_evaluators(scores)
    notes = [*drawn(shown, facts, config), *unofficial, citing(shown, facts, not unofficial)]
    for table in tables:
        notes += missing(table, failures)
        notes += marks(table)
        notes += input_emotion(table, scores, facts)
        notes += av_offsets(table, offsets)
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
    table_notes = [n for n in notes if n.table in ("", name)]
    texts_of = {heading: [n.text for n in table_notes if n.kind == kind] for kind, heading in GROUPS.items()}
    return {heading: texts for heading, texts in texts_of.items() if texts}


def drawn(corpora: Iterable[str], facts: Facts, config: TablesConfig) -> list[Note]:
    """Whose people are drawn."""
    drawn_corpora = [corpus for corpus in corpora if corpus in facts.drawn]
    if not drawn_corpora:
        return []
    text = (
        f"The people of {config.listed(drawn_corpora)} are drawn and their voices synthetic. Nobody real is "
        "seen or heard in these clips."
    )
    return [Note("data", "", text)]


def citing(corpora: Iterable[str], facts: Facts, official: bool) -> Note:
    """Which of the numbers may be cited, and how."""
    how = "with its interval, its number of clips, what it was measured with, and the commit"
    objections = []
    if set(corpora) & set(facts.drawn):
        objections.append("the people are drawn")
    if not official:
        objections.append("evaluators marked above are not the published ones")
    if not objections:
        return Note("citing", "", f"A value may be cited {how}. {BIBTEX}")
    text = (
        f"Not as results on published corpora: {' and '.join(objections)}. What may be cited is how the "
        f"methods here compare with each other, as a demonstration of eadbench, {how}. {BIBTEX}"
    )
    return Note("citing", "", text)


def unofficial_evaluators(scores: pd.DataFrame) -> list[Note]:
    """Which extractors are not the official ones: by their id, or by the scores' own
    warning.
    """
    notes = []
    measured = scores[scores.value.notna()]
    for kind, words in UNOFFICIAL.items():
        named = measured.extractor.map(_unofficial_kind) == kind
        warned = measured.warning.fillna("").str.contains(UNOFFICIAL_WARNINGS[kind], regex=False)
        chosen = measured[named | warned]
        if len(chosen):
            metrics = sorted({metric(m).label for m in chosen.metric})
            names = ", ".join(sorted(set(chosen.extractor)))
            text = (
                f"Not the published networks, {words}: {names} (for {', '.join(metrics)}). These numbers "
                "compare the methods here with each other only."
            )
            notes.append(Note("evaluators", "", text))
    return notes


def _unofficial_kind(extractor: str) -> str:
    """``trained`` or ``random``, by the extractor's id; empty for an official one."""
    match = NOT_OFFICIAL.search(extractor)
    return match[1] if match else ""


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
    methods_lacking: dict[tuple[str, str], list[str]] = {}  # (corpus, what) -> methods
    for row in table.rows:
        if row in unable:
            continue
        gaps = []
        if failures is not None:
            for corpus in _corpora(table):
                gaps += [(corpus, text) for text in _missing_clips(table, row, corpus, failures)]
        # A cell without a value has a warning of its own, which says why.
        method_cells = [cell for (method, _), cell in table.cells.items() if method == row.method]
        most_missing = max((cell.n_missing for cell in method_cells if cell.value is not None), default=0)
        if not gaps and most_missing > 0:
            gaps = [("", f"up to {most_missing} clips are missing")]
        for gap in gaps:
            methods_lacking.setdefault(gap, []).append(row.label)
    n_scored = len(table.rows) - len(table.without_scores)
    for (corpus, text), labels in methods_lacking.items():
        who = "All methods" if len(labels) == n_scored > 1 else ", ".join(labels)
        where = f" on {_corpora(table)[corpus]}" if corpus and len(_corpora(table)) > 1 else ""
        notes.append(Note("missing", table.name, f"{who}{where}: {text}."))
    if methods_lacking:
        notes.append(Note("missing", table.name, "Paired tests use the clips in common."))
    return notes


def list_coverage(table: WideTable, coverages: dict[str, str]) -> list[Note]:
    """How much of the test lists of a table's corpora was used, see
    ``gather.coverages``.
    """
    return [
        Note("missing", table.name, coverages[corpus]) for corpus in _corpora(table) if corpus in coverages
    ]


def _corpora(table: WideTable) -> dict[str, str]:
    """Corpora of a table and their names in print."""
    return {c.corpus: c.corpus_label for c in table.columns}


def _missing_clips(table: WideTable, row: WideRow, corpus: str, failures: pd.DataFrame) -> list[str]:
    """The clips that a method lacks on a corpus, with the reason: first those that it
    lacks altogether, then those that some metrics lack.
    """
    columns = [column for column in table.columns if column.corpus == corpus]
    labels = {column.metric.name: column.metric.label for column in columns}
    cells = {column.metric.name: table.cells.get((row.method, column.key)) for column in columns}
    cells = {name: cell for name, cell in cells.items() if cell is not None}
    valued = [name for name, cell in cells.items() if cell.value is not None]
    in_cell = (
        (failures.method == row.method) & (failures.corpus == corpus) & (failures.protocol == table.protocol)
    )
    cell_failures = failures[in_cell & failures.metric.isin(valued)]
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for clip, clip_failures in cell_failures.groupby("clip_id"):
        metrics: tuple[str, ...] = ()
        if not clip_failures.whole.all():
            metrics = tuple(labels[name] for name in labels if name in set(clip_failures.metric))
        reason = clip_failures.reason.iloc[0] or "no reason given"
        groups.setdefault(metrics, {})[clip] = reason.splitlines()[0]
    total = max((cell.n + cell.n_missing for cell in cells.values()), default=0)
    texts = []
    for metrics, clips in sorted(groups.items()):
        named = "; ".join(f"{clip} ({reason})" for clip, reason in list(clips.items())[:FEW])
        more = f"; and {len(clips) - FEW} more" if len(clips) > FEW else ""
        where = f" from {', '.join(metrics)}" if metrics else ""
        verb = "is" if len(clips) == 1 else "are"
        texts.append(f"{len(clips)} of {total} clips {verb} missing{where}: {named}{more}")
    return texts


def marks(table: WideTable) -> list[Note]:
    """Columns without a best, and methods that are not ranked because they lack clips."""
    names = _column_names(table)
    notes = []
    if table.undecided:
        text = (
            f"No best is marked in {', '.join(names[key] for key in table.undecided)}: the interval of the "
            "best value holds those of all other methods, and no paired test tells it apart."
        )
        notes.append(Note("marks", table.name, text))
    for row in table.rows:
        cells = {key: table.cells.get((row.method, key)) for key in names}
        short = [key for key, cell in cells.items() if cell is not None and cell.short]
        if short:
            text = (
                f"{row.label} is not ranked in {', '.join(names[key] for key in short)}: it lacks clips "
                "that others have."
            )
            notes.append(Note("marks", table.name, text))
    return notes


def _column_names(table: WideTable) -> dict[str, str]:
    """Column keys -> metric in print, with the corpus where a table has several."""
    if len(_corpora(table)) == 1:
        return {column.key: column.metric.label for column in table.columns}
    return {column.key: f"{column.metric.label} on {column.corpus_label}" for column in table.columns}


def input_emotion(table: WideTable, scores: pd.DataFrame, facts: Facts) -> list[Note]:
    """Why a method that keeps the brows of its input may lead in the emotion: under
    ``self`` the input shows the one asked for.
    """
    notes = []
    if table.protocol != "self":
        return notes
    brow_rows = scores[(scores.metric == "brow_motion_ratio") & (scores.protocol == "self")]
    brow_motion = brow_rows.set_index(["method", "corpus"]).value
    for column in table.columns:
        if column.metric.name != "acc_emo":
            continue
        cells = {r.method: table.cells.get((r.method, column.key)) for r in table.rows}
        accuracy = {
            method: cell.value
            for method, cell in cells.items()
            if cell is not None and cell.value is not None
        }
        leaders = []
        for row in table.rows:
            is_ahead = accuracy.get(row.method, -1) >= accuracy.get(table.reference, 2)
            if row.role not in ("other", "control") or not is_ahead:
                continue
            kind = facts.kinds.get(row.method)
            moves_like_real = abs(brow_motion.get((row.method, column.corpus), 0.0) - 1) <= BROWS
            if kind in LOWER_FACE or (kind in UNKNOWN and moves_like_real):
                leaders.append(f"{row.label} ({accuracy[row.method]:.2f})")
        if leaders:
            text = (
                f"Acc_emo on {column.corpus_label}: what keeps the eyes and brows of the input, here "
                f"{', '.join(leaders)}, shows the emotion asked for without making one, since under the "
                "protocol self the input clip shows it already. Whether a method can make an emotion, only "
                "a protocol tells that asks for that of another clip (cross_emotion)."
            )
            notes.append(Note("emotion", table.name, text))
    return notes


def av_offsets(table: WideTable, offsets: pd.DataFrame | None) -> list[Note]:
    """Methods whose audio and video are more than a frame apart, with the direction in
    words.
    """
    if offsets is None or not any(c.metric.name in SYNC for c in table.columns):
        return []
    notes = []
    for corpus, corpus_label in _corpora(table).items():
        cell_offsets = offsets[(offsets.corpus == corpus) & (offsets.protocol == table.protocol)]
        cell_offsets = cell_offsets.set_index("method")[["values", "clips"]]
        where = f" on {corpus_label}" if len(_corpora(table)) > 1 else ""
        unsteady = []
        for row in (r for r in table.rows if r.method in cell_offsets.index):
            values, clips = cell_offsets.loc[row.method]
            is_far = np.abs(values) > 1
            far = values[is_far]
            if len(far) and far.min() < 0 < far.max():
                unsteady.append(row.label)
            elif len(far):
                named = ", ".join(np.asarray(clips)[is_far][:FEW])
                more = f" and {len(far) - FEW} more" if len(far) > FEW else ""
                text = (
                    f"{row.label}{where}: {_direction(far)} in {len(far)} of {len(values)} clips, "
                    f"{named}{more} (AV offset, positive where the audio is early)."
                )
                notes.append(Note("sync", table.name, text))
        if unsteady:
            text = (
                f"No steady offset{where}: {', '.join(unsteady)}. SyncNet finds the audio early in some "
                "clips and late in others, as where lips and audio do not belong together; their mean AV "
                "offset says nothing."
            )
            notes.append(Note("sync", table.name, text))
    return notes


def _direction(far: np.ndarray) -> str:
    """``audio late by 5 frames``, of offsets of one sign; where clips differ, from
    which to which.
    """
    word = "early" if far.min() > 0 else "late"
    smallest, largest = np.abs(far).min(), np.abs(far).max()
    largest_text = f" to {largest:.4g}" if smallest != largest else ""
    return f"audio {word} by {smallest:.4g}{largest_text} frames"


def _shortened(reason: str) -> str:
    """A reason without its text in brackets (where to get it), and of several missing
    parts the first; ``eadbench methods list`` has them all.
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
    labels_of: dict[str, list[str]] = {}
    for label, card in cards.items():
        training_text = _trained(card, config) + _initialised_from(card, config) + _sync_loss(card, config)
        labels_of.setdefault(training_text, []).append(label)
    return [
        Note("training", table, f"{', '.join(labels)}: {training_text}. Rendered: {config.listed(corpora)}.")
        for training_text, labels in labels_of.items()
    ]


def _trained(card: dict, config: TablesConfig) -> str:
    """``trained on HDTF and MEAD for 50,000 steps``, as far as the card says."""
    corpora = "corpora that its card does not name"
    if card.get("trained_on"):
        corpora = config.listed(card["trained_on"])
    return f"trained on {corpora}" + (f" for {card['steps']:,} steps" if card.get("steps") else "")


def _initialised_from(card: dict, config: TablesConfig) -> str:
    first = card.get("initialised_from")
    if not first:
        return ", from random weights" if "initialised_from" in card else ""
    history = ""
    if first.get("trained_on"):
        history = f" ({_trained(first, config)}{_initialised_from(first, config)})"
    return f", initialised from {first['name']}{history}"


def _sync_loss(card: dict, config: TablesConfig) -> str:
    expert = card.get("sync_loss_from")
    return f"; its sync loss is by {expert['name']} ({_trained(expert, config)})" if expert else ""


def texts(table: WideTable) -> list[Note]:
    """Where the text of the methods that use one came from."""
    used: dict[str, list[str]] = {}
    for row in table.rows:
        if row.caption_source:
            used.setdefault(row.caption_source, []).append(row.label)
    if not used:
        return []
    parts = []
    for source, labels in sorted(used.items()):
        source_text = " or ".join(TEXTS.get(part, part) for part in source.split("+"))
        parts.append(f"{source_text}: {', '.join(labels)}")
    return [Note("text", table.name, f"Text conditions were written from {'; '.join(parts)}.")]


def warnings(table: WideTable) -> list[Note]:
    """Warnings of the scores, each once, with the cells that it is about; without those
    that ``unofficial_evaluators`` and ``missing`` state.
    """
    valued = [key for key, cell in table.cells.items() if cell.value is not None]
    stated = (*UNOFFICIAL_WARNINGS.values(), "clips are missing")
    keys_of: dict[str, list[tuple[str, str]]] = {}
    for key, cell in table.cells.items():
        for warning in filter(None, (text.strip() for text in cell.warning.split(";"))):
            if not any(text in warning for text in stated):
                keys_of.setdefault(warning, []).append(key)
    notes = []
    for warning, cell_keys in keys_of.items():
        sentence = f"{warning[0].upper()}{warning[1:].rstrip('.')}"
        notes.append(Note("warning", table.name, f"{sentence} ({_where(table, cell_keys, valued)})."))
    return notes


def _where(table: WideTable, cell_keys: list[tuple[str, str]], valued: list[tuple[str, str]]) -> str:
    """The cells in few words."""
    if set(cell_keys) >= set(valued):
        return "all values"
    columns = _column_names(table)
    names = {r.method: r.label for r in table.rows}
    methods = list(dict.fromkeys(method for method, _ in cell_keys))
    keys = list(dict.fromkeys(key for _, key in cell_keys))
    who = f"{len(methods)} of {len(table.rows)} methods"
    if len(methods) <= FEW:
        who = ", ".join(names[method] for method in methods)
    if len(keys) <= FEW:
        return f"{', '.join(columns[key] for key in keys)}; {who}"
    metrics = dict.fromkeys(column.metric.label for column in table.columns if column.key in keys)
    return f"{', '.join(metrics)}; {who}"


def against_controls(table: WideTable, config: TablesConfig) -> list[Note]:
    """Whether the table's reference beats each control, metric by metric."""
    notes = []
    for (corpus, control), verdict_of in control_verdicts(table, config).items():
        verdicts = {
            verdict: [label for label, v in verdict_of.items() if v == verdict]
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
    verdicts_of: dict[tuple[str, str], dict[str, str]] = {}
    for column in (c for c in table.columns if c.metric.spec.direction != "none"):
        own = table.cells.get((table.reference, column.key))
        for control in (r for r in table.rows if r.role == "control"):
            control_cell = table.cells.get((control.method, column.key))
            if own is None or control_cell is None or own.value is None or control_cell.value is None:
                continue
            verdict = compare_cells(own, control_cell, column.metric.spec.direction, config.alpha)
            verdicts_of.setdefault((column.corpus_label, control.label), {})[column.metric.label] = verdict
    corpus_labels = dict.fromkeys(column.corpus_label for column in table.columns)
    order = [(corpus_label, row.label) for corpus_label in corpus_labels for row in table.rows]
    return dict(sorted(verdicts_of.items(), key=lambda item: order.index(item[0])))


def compare_cells(own: Cell, control: Cell, direction: str, alpha: float) -> str:
    """``beats``, ``worse`` or ``open``: by the paired test where there is one, else by
    intervals that do not touch.
    """
    if control.p is not None:
        differs = control.p < alpha
    else:
        ends = (own.low, own.high, control.low, control.high)
        differs = None not in ends and (own.low > control.high or control.low > own.high)
    if not differs or own.value == control.value:
        return "open"
    return "beats" if (own.value > control.value) == (direction == "up") else "worse"


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
