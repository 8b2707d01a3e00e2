"""``eadbench methods list``."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from eadbench.core import provenance, secrets
from eadbench.core.errors import EadbenchError
from eadbench.core.protocols import PROTOCOLS
from eadbench.core.settings import VERB, Settings
from eadbench.samples.manifest import chosen_clips
from eadbench.samples.methods import make_method
from eadbench.samples.methods.base import Lack, Method, MethodContext
from eadbench.samples.methods.videos import VideosMethod


def listed(settings: Settings, results: Path) -> list[tuple[Method, list[Lack]]]:
    """Every method of the config and what it lacks here. A run or an artefact of other
    settings, as a demo leaves them, is not its own.
    """
    found = []
    parts = {card.parent.name: card.parent for card in (results / "zoo").glob("*/card.json")}
    for name, options in settings.samples.methods.items():
        run = results / "training" / options.run if hasattr(options, "run") else None
        context = MethodContext(settings.seed, settings.device, settings.samples, run=run, parts=parts)
        method = make_method(name, options, context)
        lacks = method.lacks()
        if isinstance(method, VideosMethod) and not lacks:
            lacks = _unmatched(method, settings, results)
        if run:
            lacks += _made_otherwise(run, settings, "training run", run=run.name)
            for part in options.artefacts:
                lacks += _made_otherwise(results / "zoo" / part, settings, "zoo make", artefact=part)
        found.append((method, lacks))
    return found


def _unmatched(method: VideosMethod, settings: Settings, results: Path) -> list[Lack]:
    """Says of a folder of videos that none of them is of a test clip; nothing where the
    clips are not cut yet.
    """
    lacks = []
    for name, corpus, protocol in settings.samples.cells():
        table = results / "clips" / corpus / "clips.parquet"
        if name != method.name or not table.is_file():
            continue
        clips = [clip.clip_id for clip in chosen_clips(table, settings.samples, settings.seed)[2]]
        if clips and not any(_has(method, clip, corpus, protocol) for clip in clips):
            what = f"no video there is of a test clip of {corpus} ({protocol})"
            lacks.append(Lack(what, method.options.path, f"{len(clips)} clips, the first is {clips[0]}"))
    return lacks


def _has(method: VideosMethod, *clip: str) -> bool:
    try:
        return method.file_of(*clip).is_file()
    except EadbenchError:
        return False


def _made_otherwise(folder: Path, settings: Settings, verb: str, **names: str) -> list[Lack]:
    """Says of a run or artefact that is here whether it was made with other settings
    than those of the configuration.
    """
    try:
        made = json.loads((folder / provenance.NAME).read_text(encoding="utf-8"))["config"]
        if VERB not in made:  # by hand, with whole sections
            made = Settings(made).read_by(verb, **names)
        wanted = json.loads(json.dumps(secrets.masked(settings.read_by(verb, **names))))
    except (OSError, ValueError, KeyError, TypeError, EadbenchError):
        return []  # nothing tells; Snakemake compares again before it uses it
    change = _first_change(made, wanted)
    hint = (
        "the workflow would make it anew; to keep both, give this configuration folders of its own (pathvars)"
    )
    return [Lack("made with other settings", f"{folder}: {change}", hint)] if change else []


def _first_change(made: Any, wanted: Any, place: str = "") -> str:
    """The first value that differs; what only the record holds shapes no result."""
    if isinstance(made, dict) and isinstance(wanted, dict):
        found = (
            _first_change(made.get(key), value, f"{place}.{key}".lstrip(".")) for key, value in wanted.items()
        )
        return next(filter(None, found), "")
    return "" if made == wanted else f"{place} is {made!r} there, {wanted!r} here"


def show(settings: Settings, results: Path) -> None:
    """Print what each method can do and needs, and below that everything that is
    missing, each once.

    What is missing is printed without line breaks of our own, so that commands can be
    copied.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    methods = listed(settings, results)
    console.print(_overview(methods))
    plain = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    for method, _ in methods:
        console.print(Text(method.name, style="bold"))
        for line in (
            f"licence: {method.licence}",
            f"drives: {method.options.drives}",
            *(f"needs: {need}" for need in method.needs()),
            *(f"note: {note}" for note in method.notes()),
        ):
            plain(f"  {line}")
    wanting: dict[str, list[str]] = {}
    for method, lacks in methods:
        for lack in lacks:
            wanting.setdefault(str(lack), []).append(method.name)
    plain("\nMissing on this machine:" if wanting else "\nNothing is missing on this machine.")
    for lack, names in wanting.items():
        plain(f"  {', '.join(names)}: {lack}")


def _overview(methods: list[tuple[Method, list[Lack]]]) -> Table:
    """A line per method that fits 80 columns."""
    table = Table(
        Column("method", overflow="fold"),
        Column("kind", overflow="fold"),
        "can do",
        "told of emotion",
        "here",
        title="Methods",
    )
    for method, lacks in methods:
        cannot = [f"{p} (cannot)" for p in method.options.protocols if p not in method.protocols]
        can = [p for p in PROTOCOLS if p in method.protocols]
        table.add_row(
            method.name,
            method.options.kind,
            ", ".join(can + cannot),
            method.emotion_control,
            _state(method, lacks),
        )
    return table


def _state(method: Method, lacks: list[Lack]) -> str:
    if lacks:
        return f"{len(lacks)} missing"
    return "ready" if any(p in method.protocols for p in method.options.protocols) else "cannot"
