"""Every pretrained part that the stages use. ``load`` gives any of them from its
folder.
"""

from importlib import import_module
from pathlib import Path
from typing import Any


def load(folder: str | Path, device: Any = "cpu") -> Any:
    """Load an artefact by its card: files verified against their hashes, then handed to
    ``eadbench.zoo.kinds.<kind>.load``.

    Raises:
        EadbenchError: If the artefact is missing, or its files are not what its kind
            needs.
        FatalError: If it was changed.
    """
    # Not above: that would load torch wherever a configuration is checked.
    from eadbench.zoo.card import read_card, verify
    from eadbench.zoo.weights import explained, refuse_broken, refuse_disguised

    card = read_card(folder)
    verify(folder, card)
    for name in card.files:
        refuse_disguised(Path(folder) / name)
    with explained(
        f"artefact {card.artefact!r} (kind {card.kind})",
        Path(folder),
        "make the artefact again, see `eadbench zoo list`",
    ):
        loaded = import_module(f"eadbench.zoo.kinds.{card.kind}").load(Path(folder), card, device)
    refuse_broken(loaded, folder)
    return loaded
