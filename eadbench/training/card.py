"""The card of a run: what the weights are, what they were trained on and what they
started from. Without torch, for the tables.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eadbench.core import seals
from eadbench.core.errors import EadbenchError, workflow_command

# Of a card, what those of the runs that start from it repeat.
ORIGIN = ("name", "trained_on", "steps", "initialised_from")


def read_run_card(folder: Path) -> dict[str, Any]:
    """``card.json`` of a run.

    ``trained_on`` holds the corpora of its own training clips, ``steps`` its optimiser
    steps, ``initialised_from`` the same of what it started from (``name``,
    ``trained_on``, ``steps``, ``initialised_from``; ``null`` for random weights),
    ``sync_loss_from`` that of the SyncNet of its loss.

    Raises:
        EadbenchError: If it is not there or not a card.
    """
    path = Path(folder) / "card.json"
    try:
        if path.exists():
            seals.check(path)
        card = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise EadbenchError(
            f"run {path.parent.name!r} is not trained", path, f"`{workflow_command(path)}` trains it"
        ) from error
    except ValueError as error:
        raise EadbenchError(f"not the card of a run: {error}", path, "train the run again") from error
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise EadbenchError(
            "not the card of a run: it lacks the sha256 of the weights", path, "train the run again"
        )
    return card


def origin(card: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the card of a run repeats of the run or published artefact that it starts
    from.
    """
    if card is None:
        return None
    return {key: {**card, "name": card.get("run") or card.get("id")}.get(key) for key in ORIGIN}


def ancestors(card: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a run started from, what that started from, and so on."""
    while card := card.get("initialised_from"):
        yield card


def corpora_of(card: dict[str, Any]) -> list[str]:
    """Corpora that a run and all that it started from were trained on, sorted; those of
    published weights are not known.
    """
    return sorted(
        {corpus for ancestor in (card, *ancestors(card)) for corpus in ancestor.get("trained_on") or ()}
    )


def hash_of_run(folder: Path | None) -> str:
    """sha256 of a run's weights, from its card; empty without a run."""
    if not folder or not (Path(folder) / "card.json").exists():
        return ""
    return read_run_card(folder)["sha256"]
