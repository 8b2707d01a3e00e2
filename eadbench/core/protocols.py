"""Who drives: the protocols, and the cells that one of them stands for."""

from typing import Literal, get_args

Protocol = Literal["self", "cross", "cross_emotion", "silent", "dial"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
INTENSITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
# `dial` asks for the same emotion at each of these, in a cell of its own.
DIAL = {f"dial_{intensity:g}": intensity for intensity in INTENSITIES}
CELLS = (*(name for name in PROTOCOLS if name != "dial"), *DIAL)


def cells_of(protocol: str) -> tuple[str, ...]:
    """Names of the cells of a protocol: itself, or one per intensity."""
    return tuple(DIAL) if protocol == "dial" else (protocol,)


def protocol_of(cell: str) -> str:
    """The protocol of a cell's name."""
    return "dial" if cell in DIAL else cell
