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
from eadbench.zoo.weights import refuse_disguised

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
    wanted = entry_of(config.artefacts, name, "zoo.artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").unlink(missing_ok=True)
    if wanted.how == "fetched":
        facts, source, licence, artefact_id = _fetch(wanted, config, folder)
    else:
        facts = _build(name, wanted, seed, inputs, folder)
        source = f"{wanted.how} by eadbench, seed {seed}"
        licence = "that of the training clips" if wanted.how == "trained" else "none"
        artefact_id = f"{name}-{wanted.how}"
    hashes = {
        p.relative_to(folder).as_posix(): sha256_of(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not _aside(p)
    }
    for file in hashes:
        refuse_disguised(folder / file)
    card = Card(
        artefact=name,
        kind=wanted.kind,
        how=wanted.how,
        id=artefact_id,
        source=source,
        licence=licence,
        files=hashes,
        options=wanted.options,
        dtype=wanted.dtype,
        facts=facts,
    )
    provenance.write(
        folder, wanted.model_dump(), {str(p): "" for p in (*inputs.clips, *inputs.captions)}, started
    )
    write_card(folder, card)
    log.info("artefact %s (%s) is ready: %s", name, card.id, card.sha256[:12])
    return card


def card_of_published(name: str, artefact_id: str, folder: Path) -> Card:
    """Write the card of published weights whose files lie in ``folder``."""
    found = entry(artefact_id)
    card = Card(
        artefact=name,
        kind=found.kind,
        how="fetched",
        id=artefact_id,
        source=found.source,
        licence=found.licence,
        files={f.name: sha256_of(folder / f.name) for f in found.files},
        facts={"title": found.title},
    )
    write_card(folder, card)
    return card


def _aside(path: Path) -> bool:
    return path.name.startswith((".part-", "provenance.json", "card.json", seals.NAME)) or path.suffix in (
        ".parquet",
        ".log",
    )


def _build(
    name: str, wanted: ArtefactConfig, seed: int, inputs: ArtefactInputs, folder: Path
) -> dict[str, Any]:
    module = import_module(f"eadbench.zoo.kinds.{wanted.kind}")
    build = getattr(module, {"trained": "train", "random": "random"}[wanted.how], None)
    if build is None:
        raise EadbenchError(
            f"kind {wanted.kind!r} cannot be {wanted.how}",
            f"zoo.artefacts.{name}.how",
            "use `how: fetched` with an `id`",
        )
    own_seed = seed_for(seed, "zoo", name)
    if wanted.how == "random":
        return build(folder, wanted.options, own_seed)
    return build(folder, wanted.options, inputs, own_seed)


def _fetch(wanted: ArtefactConfig, config: ZooConfig, folder: Path) -> tuple[dict[str, Any], str, str, str]:
    found = entry(wanted.id)
    fetch_files(wanted.id, found, folder, config.accept_licence, Path(config.cache) if config.cache else None)
    return {"title": found.title}, found.source, found.licence, wanted.id
