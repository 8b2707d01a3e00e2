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
from eadbench.samples.methods.base import Method, MethodContext, MissingItem
from eadbench.samples.methods.videos import VideosMethod


def missing_by_method(settings: Settings, results: Path) -> list[tuple[Method, list[MissingItem]]]:
    """Every method of the config and what is missing for it on this machine. A run or an
    artefact that was made with other settings, e.g. by a demo, counts as missing.
    """
    methods = []
    parts = {card.parent.name: card.parent for card in (results / "zoo").glob("*/card.json")}
    for name, options in settings.samples.methods.items():
        run = results / "training" / options.run if hasattr(options, "run") else None
        context = MethodContext(settings.seed, settings.device, settings.samples, run=run, parts=parts)
        method = make_method(name, options, context)
        missing_items = method.missing_items()
        if isinstance(method, VideosMethod) and not missing_items:
            missing_items = _no_matching_video(method, settings, results)
        if run:
            missing_items += _made_with_other_settings(run, settings, "training run", run=run.name)
            for part in options.artefacts:
                missing_items += _made_with_other_settings(
                    results / "zoo" / part, settings, "zoo make", artefact=part
                )
        methods.append((method, missing_items))
    return methods


def _no_matching_video(method: VideosMethod, settings: Settings, results: Path) -> list[MissingItem]:
    """An item for each cell of which the folder holds no video; none where the clips are
    not cut yet.
    """
    missing_items = []
    for name, corpus, protocol in settings.samples.cells():
        table = results / "clips" / corpus / "clips.parquet"
        if name != method.name or not table.is_file():
            continue
        clips = [clip.clip_id for clip in chosen_clips(table, settings.samples, settings.seed)[2]]
        if clips and not any(_has_video(method, clip, corpus, protocol) for clip in clips):
            what = f"no video there is of a test clip of {corpus} ({protocol})"
            missing_items.append(
                MissingItem(what, method.options.path, f"{len(clips)} clips, the first is {clips[0]}")
            )
    return missing_items


def _has_video(method: VideosMethod, *clip: str) -> bool:
    try:
        return method.file_of(*clip).is_file()
    except EadbenchError:
        return False


def _made_with_other_settings(folder: Path, settings: Settings, verb: str, **names: str) -> list[MissingItem]:
    """An item if a run or artefact was made with other settings than those of the
    configuration.
    """
    try:
        recorded = json.loads((folder / provenance.NAME).read_text(encoding="utf-8"))["config"]
        if VERB not in recorded:  # a job started by hand records whole sections
            recorded = Settings(recorded).read_by(verb, **names)
        expected = json.loads(json.dumps(secrets.masked(settings.read_by(verb, **names))))
    except (OSError, ValueError, KeyError, TypeError, EadbenchError):
        return []  # no readable record; Snakemake compares again before it uses the files
    change = _first_change(recorded, expected)
    hint = (
        "the workflow would make it again; to keep both, give this configuration folders of its own "
        "(pathvars)"
    )
    return [MissingItem("made with other settings", f"{folder}: {change}", hint)] if change else []


def _first_change(recorded: Any, expected: Any, place: str = "") -> str:
    """The first value that differs, in words; keys that only the record holds change no
    result.
    """
    if isinstance(recorded, dict) and isinstance(expected, dict):
        changes = (
            _first_change(recorded.get(key), value, f"{place}.{key}".lstrip("."))
            for key, value in expected.items()
        )
        return next(filter(None, changes), "")
    return "" if recorded == expected else f"{place} is {recorded!r} there, {expected!r} here"


def show(settings: Settings, results: Path) -> None:
    """Print what each method can do and needs, and below that everything that is
    missing, each once.

    What is missing is printed without line breaks of our own, so that commands can be
    copied.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    methods = missing_by_method(settings, results)
    console.print(_overview(methods))
    print_plain = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    for method, _ in methods:
        console.print(Text(method.name, style="bold"))
        for line in (
            f"licence: {method.licence}",
            f"drives: {method.options.drives}",
            *(f"needs: {need}" for need in method.needs()),
            *(f"note: {note}" for note in method.notes()),
        ):
            print_plain(f"  {line}")
    methods_by_item: dict[str, list[str]] = {}
    for method, missing_items in methods:
        for item in missing_items:
            methods_by_item.setdefault(str(item), []).append(method.name)
    print_plain("\nMissing on this machine:" if methods_by_item else "\nNothing is missing on this machine.")
    for item, names in methods_by_item.items():
        print_plain(f"  {', '.join(names)}: {item}")


def _overview(methods: list[tuple[Method, list[MissingItem]]]) -> Table:
    """A line per method that fits 80 columns."""
    table = Table(
        Column("method", overflow="fold"),
        Column("kind", overflow="fold"),
        "can do",
        "emotion control",
        "here",
        title="Methods",
    )
    for method, missing_items in methods:
        configured = method.options.protocols
        cannot = [f"{protocol} (cannot)" for protocol in configured if protocol not in method.protocols]
        can = [protocol for protocol in PROTOCOLS if protocol in method.protocols]
        table.add_row(
            method.name,
            method.options.kind,
            ", ".join(can + cannot),
            method.emotion_control,
            _state(method, missing_items),
        )
    return table


def _state(method: Method, missing_items: list[MissingItem]) -> str:
    if missing_items:
        return f"{len(missing_items)} missing"
    can_any = any(protocol in method.protocols for protocol in method.options.protocols)
    return "ready" if can_any else "cannot"
