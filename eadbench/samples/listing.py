"""``eadbench methods list``."""

from functools import partial
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from eadbench.samples.config import Protocol, SamplesConfig
from eadbench.samples.methods import make_method
from eadbench.samples.methods.base import Context, Lack, Method

PROTOCOLS = get_args(Protocol)


def listed(config: SamplesConfig, seed: int, device: str, results: Path) -> list[tuple[Method, list[Lack]]]:
    """Every method of the config and what it lacks here."""
    found = []
    parts = {card.parent.name: card.parent for card in (results / "zoo").glob("*/card.json")}
    for name, options in config.methods.items():
        run = results / "training" / options.run if hasattr(options, "run") else None
        context = Context(seed, device, config, run=run, parts=parts)
        method = make_method(name, options, context)
        found.append((method, method.lacks()))
    return found


def show(config: SamplesConfig, seed: int, device: str, results: Path) -> None:
    """Print what each method can do and needs, and below that everything that is missing, each once.

    What is missing is printed without line breaks of our own, so that commands can be copied.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    methods = listed(config, seed, device, results)
    console.print(_overview(methods))
    for method, _ in methods:
        _details(console, method)
    wanting: dict[str, list[str]] = {}
    for method, lacks in methods:
        for lack in lacks:
            wanting.setdefault(str(lack), []).append(method.name)
    plain = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    plain("\nMissing on this machine:" if wanting else "\nNothing is missing on this machine.")
    for lack, names in wanting.items():
        plain(f"  {', '.join(names)}: {lack}")


def _overview(methods: list[tuple[Method, list[Lack]]]) -> Table:
    """A line per method that fits 80 columns."""
    table = Table(Column("method", overflow="fold"), Column("kind", overflow="fold"), "can do", "told of emotion", "here", title="Methods")
    for method, lacks in methods:
        cannot = [f"{p} (cannot)" for p in method.options.protocols if p not in method.protocols]
        can = [p for p in PROTOCOLS if p in method.protocols]
        table.add_row(method.name, method.options.kind, ", ".join(can + cannot), method.emotion_control, _state(method, lacks))
    return table


def _state(method: Method, lacks: list[Lack]) -> str:
    if lacks:
        return f"{len(lacks)} missing"
    return "ready" if any(p in method.protocols for p in method.options.protocols) else "cannot"


def _details(console: Console, method: Method) -> None:
    console.print(Text(method.name, style="bold"))
    lines = [f"licence: {method.licence}", *(f"needs: {need}" for need in method.needs()), *(f"note: {note}" for note in method.notes())]
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, 2)))
