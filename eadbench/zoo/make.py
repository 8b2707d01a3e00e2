"""Make an artefact: fetch it, train it or draw its random weights, and write its card."""

import logging
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from eadbench.core import provenance, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.core.seeds import seed_for
from eadbench.core.settings import entry_of
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.config import ArtefactConfig, ZooConfig
from eadbench.zoo.fetch import fetch_files
from eadbench.zoo.registry import entry
from eadbench.zoo.weights import refuse_non_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArtefactInputs:
    """What a training may look at (only rows of the train split that are kept): tables
    of clips, of captions, and other artefacts' folders.
    """

    clips: list[Path] = field(default_factory=list)
    parts: dict[str, Path] = field(default_factory=dict)
    captions: list[Path] = field(default_factory=list)


def make(name: str, config: ZooConfig, seed: int, inputs: ArtefactInputs, folder: Path) -> Card:
    """Make artefact ``name`` in ``folder``.

    A kind's module offers ``load(folder, card, device)`` and, as far as it can,
    ``train(folder, options, inputs, seed) -> facts`` and
    ``random(folder, options, seed) -> facts``; both write their files into ``folder``.

    Raises:
        EadbenchError: If the kind cannot be made that way, or a download fails.
    """
    started = time.time()
    artefact_config = entry_of(config.artefacts, name, "zoo.artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").unlink(missing_ok=True)
    if artefact_config.how == "fetched":
        facts, source, licence, artefact_id = _fetch(artefact_config, config, folder)
    else:
        facts = _build(name, artefact_config, seed, inputs, folder)
        source = f"{artefact_config.how} by eadbench, seed {seed}"
        licence = "that of the training clips" if artefact_config.how == "trained" else "none"
        artefact_id = f"{name}-{artefact_config.how}"
    hashes = {
        p.relative_to(folder).as_posix(): sha256_of(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not _is_side_file(p)
    }
    for file_name in hashes:
        refuse_non_weights(folder / file_name)
    card = Card(
        artefact=name,
        kind=artefact_config.kind,
        how=artefact_config.how,
        id=artefact_id,
        source=source,
        licence=licence,
        files=hashes,
        options=artefact_config.options,
        dtype=artefact_config.dtype,
        facts=facts,
    )
    provenance.write(
        folder, artefact_config.model_dump(), {str(p): "" for p in (*inputs.clips, *inputs.captions)}, started
    )
    write_card(folder, card)
    log.info("artefact %s (%s) is ready: %s", name, card.id, card.sha256[:12])
    return card


def card_of_published(name: str, artefact_id: str, folder: Path) -> Card:
    """Write the card of published weights whose files lie in ``folder``."""
    registry_entry = entry(artefact_id)
    card = Card(
        artefact=name,
        kind=registry_entry.kind,
        how="fetched",
        id=artefact_id,
        source=registry_entry.source,
        licence=registry_entry.licence,
        files={f.name: sha256_of(folder / f.name) for f in registry_entry.files},
        facts={"title": registry_entry.title},
    )
    write_card(folder, card)
    return card


def _is_side_file(path: Path) -> bool:
    """Whether a file lies beside the weights only: a card, a checksum, a table, a log."""
    prefixes = (".part-", "provenance.json", "card.json", seals.NAME)
    return path.name.startswith(prefixes) or path.suffix in (".parquet", ".log")


def _build(
    name: str, artefact_config: ArtefactConfig, seed: int, inputs: ArtefactInputs, folder: Path
) -> dict[str, Any]:
    module = import_module(f"eadbench.zoo.kinds.{artefact_config.kind}")
    build = getattr(module, {"trained": "train", "random": "random"}[artefact_config.how], None)
    if build is None:
        raise EadbenchError(
            f"kind {artefact_config.kind!r} cannot be {artefact_config.how}",
            f"zoo.artefacts.{name}.how",
            "use `how: fetched` with an `id`",
        )
    own_seed = seed_for(seed, "zoo", name)
    if artefact_config.how == "random":
        return build(folder, artefact_config.options, own_seed)
    return build(folder, artefact_config.options, inputs, own_seed)


def _fetch(
    artefact_config: ArtefactConfig, config: ZooConfig, folder: Path
) -> tuple[dict[str, Any], str, str, str]:
    registry_entry = entry(artefact_config.id)
    cache = Path(config.cache) if config.cache else None
    fetch_files(artefact_config.id, registry_entry, folder, config.accept_licence, cache)
    return {"title": registry_entry.title}, registry_entry.source, registry_entry.licence, artefact_config.id
