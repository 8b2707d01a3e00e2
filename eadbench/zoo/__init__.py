"""Every pretrained part that the stages use. ``load`` gives any of them from its folder."""

from importlib import import_module
from pathlib import Path
from typing import Any

from eadbench.zoo.card import read_card, verify


def load(folder: str | Path, device: Any = "cpu") -> Any:
    """Load an artefact by its card: files verified against their hashes, then handed to ``eadbench.zoo.<kind>.load``.

    Raises:
        EadbenchError: If the artefact is missing.
        FatalError: If it was changed.
    """
    card = read_card(folder)
    verify(folder, card)
    return import_module(f"eadbench.zoo.{card.kind}").load(Path(folder), card, device)
