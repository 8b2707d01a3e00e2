"""Every pretrained part that the stages use. ``load`` gives any of them from its
folder.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest


def load(folder: str | Path, device: Any = "cpu") -> Any:
    """Load an artefact by its card: verify its files against their hashes, then call
    ``eadbench.zoo.kinds.<kind>.load``.

    Raises:
        EadbenchError: If the artefact is missing, its kind is unknown, or its files are
            not what the kind needs.
        FatalError: If it was changed.
    """
    # Not at the top: that would load torch wherever a configuration is checked.
    from eadbench.zoo.card import read_card, verify
    from eadbench.zoo.config import Kind
    from eadbench.zoo.weights import explained, refuse_non_weights, refuse_not_finite_parameters

    card = read_card(folder)
    kinds = get_args(Kind)
    if card.kind not in kinds:
        raise EadbenchError(
            f"artefact {card.artefact!r} is of a kind that is unknown here: {card.kind!r}"
            f"{nearest(card.kind, kinds)}",
            Path(folder) / "card.json",
            f"known: {', '.join(kinds)}",
        )
    verify(folder, card)
    for name in card.files:
        refuse_non_weights(Path(folder) / name)
    with explained(
        f"artefact {card.artefact!r} (kind {card.kind})",
        Path(folder),
        "make the artefact again, see `eadbench zoo list`",
    ):
        loaded = import_module(f"eadbench.zoo.kinds.{card.kind}").load(Path(folder), card, device)
    refuse_not_finite_parameters(loaded, folder)
    return loaded
