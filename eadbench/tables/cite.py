"""What to cite with the numbers of a table: BibTeX of its corpora, metrics and methods."""

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from eadbench.scores.metrics import METRICS

OURS = "eadbench"
CORPORA = {"mead": "wang2020mead", "hdtf": "zhang2021hdtf", "ravdess": "livingstone2018ravdess"}  # by kind
METHODS = {  # by kind, or by recipe
    "eadnet": ("li2026eadnet", "li2024latentsync"),
    "wav2lip": ("prajwal2020wav2lip",),
    "ip_lap": ("zhong2023iplap",),
    "musetalk": ("zhang2024musetalk",),
    "latentsync": ("li2024latentsync",),
    "eat": ("gan2023eat",),
    "edtalk": ("tan2024edtalk",),
}
ENTRY = re.compile(r"^@\w+\{([^,\s]+),\n.*?^\}$", re.M | re.S)


@cache
def entries() -> dict[str, str]:
    """Key -> BibTeX entry of ``core/references.bib``."""
    text = resources.files("eadbench.core").joinpath("references.bib").read_text(encoding="utf-8")
    return {match[1]: match[0] for match in ENTRY.finditer(text)}


def keys_of(metrics: Iterable[str], corpora: Iterable[str], methods: Iterable[str]) -> dict[str, list[str]]:
    """Keys by what they are cited for.

    Args:
        metrics: Names of metrics.
        corpora: Kinds of corpora, e.g. ``mead``.
        methods: Kinds of methods, or recipes of published ones, e.g. ``latentsync``.
    """
    keys_for = {
        "Corpora": [CORPORA[kind] for kind in corpora if kind in CORPORA],
        "Methods": [key for kind in methods for key in METHODS.get(kind, ())],
        "Metrics": [key for name in metrics if name in METRICS for key in METRICS[name].cites],
        "This software": [OURS],
    }
    return {what: list(dict.fromkeys(keys)) for what, keys in keys_for.items() if keys}


def bibtex(keys: dict[str, list[str]], drawn: bool = False) -> str:
    """The entries under headings, each once.

    Args:
        keys: As ``keys_of`` gives them.
        drawn: Whether people are drawn: then only the layout of the corpora is used.
    """
    parts, cited = [], set()
    for what, names in keys.items():
        layout = (
            " (their layout; the people here are drawn, the voices synthetic)"
            if drawn and what == "Corpora"
            else ""
        )
        parts += [f"% {what}{layout}", *(entries()[name] for name in names if name not in cited)]
        cited |= set(names)
    return "\n\n".join(parts) + "\n"
