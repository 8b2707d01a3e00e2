"""``eadbench methods list``."""

import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from eadbench.core.errors import EadbenchError
from eadbench.samples.config import SamplesConfig
from eadbench.samples.methods import make_method
from eadbench.samples.methods.base import Context, Lack, Method


def listed(config: SamplesConfig, seed: int, device: str, results: Path) -> list[tuple[Method, list[Lack]]]:
    """Every method of the config and what it lacks here."""
    found = []
    for name, options in config.methods.items():
        run = results / "training" / options.run if hasattr(options, "run") else None
        parts = {folder.name: folder for folder in sorted((results / "zoo").glob("*")) if (folder / "card.json").exists()}
        context = Context(seed, device, config, results / "features", run, parts, Path(tempfile.gettempdir()))
        method = make_method(name, options, context)
        try:
            lacks = method.lacks()
        except EadbenchError as error:
            lacks = [Lack(error.what, error.where, error.mend)]
        found.append((method, lacks))
    return found


def show(config: SamplesConfig, seed: int, device: str, results: Path) -> None:
    """Print the methods, what each needs, and below them everything that is missing."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table("method", "kind", "protocols", "told of the emotion", "here", "licence", title="Methods")
    methods = listed(config, seed, device, results)
    for method, lacks in methods:
        options = method.options
        asked = [p if p in method.protocols else f"{p} (cannot)" for p in options.protocols]
        ready = "ready" if not lacks else f"{len(lacks)} missing"
        table.add_row(method.name, options.kind, ", ".join(asked), method.emotion_control, ready, method.licence)
    console.print(table)
    plain = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    for method, _ in methods:
        if needs := method.needs():
            plain(f"{method.name} needs")
            plain("\n".join(f"  {need}" for need in needs))
        for line in method.notes():
            plain(f"  note: {line}")
    missing = [(method.name, lack) for method, lacks in methods for lack in lacks]
    plain("\nMissing on this machine:" if missing else "\nNothing is missing on this machine.")
    for name, lack in missing:
        plain(f"  {name}: {lack}")
