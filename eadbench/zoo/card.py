"""The card of an artefact: what it is, how it came to be, and the hashes of its files."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from eadbench.core import seals
from eadbench.core.errors import EadbenchError, FatalError, workflow_command
from eadbench.core.files import sha256_of, write_text

How = Literal["fetched", "trained", "random"]
Dtype = Literal["float32", "bfloat16", "float16"]
ANEW = "have it made anew: run the workflow, or `eadbench zoo fetch ID` for a published one"


class Card(BaseModel):
    """What ``card.json`` holds.

    Attributes:
        artefact: Its name in the config, e.g. ``vae``.
        kind: Module of ``eadbench.zoo.kinds`` that loads it.
        how: ``fetched`` official weights, ``trained`` here on the training split, or
            ``random`` features of a fixed seed.
        id: Short name that tables print, e.g. ``sd-vae-ft-mse`` or ``vae-trained``.
        source: Address or description of the training.
        licence: Licence of the weights.
        files: File name to sha256.
        options: Options of the config that shaped it.
        dtype: Floating-point type in which a network loaded from it computes; its files
            may hold another.
        facts: Results of its training: losses, accuracies, number of clips.
    """

    model_config = ConfigDict(extra="forbid")

    artefact: str
    kind: str
    how: How
    id: str
    source: str
    licence: str
    files: dict[str, str]
    options: dict[str, Any] = {}
    dtype: Dtype = "float32"
    facts: dict[str, Any] = {}

    @property
    def sha256(self) -> str:
        """One hash for all files: the file's own if there is one, else that of the
        sorted list.
        """
        if len(self.files) == 1:
            return next(iter(self.files.values()))
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()


def read_card(folder: str | Path) -> Card:
    """Read ``card.json`` of an artefact's folder.

    Raises:
        EadbenchError: If it is not there or not a card.
        FatalError: If it was changed.
    """
    path = Path(folder) / "card.json"
    try:
        if path.exists():
            seals.check(path)
        return Card.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = (
            f"run the rule that makes it: `{workflow_command(path)}`, or `eadbench zoo fetch ID` "
            "(`zoo list` has the ids)"
        )
        raise EadbenchError(f"artefact {Path(folder).name!r} is not there", path, hint) from error
    except ValueError as error:
        raise EadbenchError(f"not a card: {error}", path, "delete the folder and make it again") from error


def verify(folder: str | Path, card: Card) -> None:
    """Check the files of an artefact against its card.

    Raises:
        FatalError: If a file is missing or was changed.
    """
    for name, expected in card.files.items():
        path = Path(folder) / name
        if not path.exists():
            raise FatalError(
                "weights file is missing",
                path,
                f"delete {Path(folder) / 'card.json'} and {ANEW}",
            )
        if sha256_of(path) != expected:
            raise FatalError(
                "weights file was changed since its card was written",
                path,
                f"delete {folder} and {ANEW}",
            )


def write_card(folder: Path, card: Card) -> None:
    """Write ``card.json`` and its checksum."""
    path = folder / "card.json"
    write_text(path, card.model_dump_json(indent=1) + "\n")
    seals.seal_files(folder, [path], path)
