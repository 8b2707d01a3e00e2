"""What a configuration needs that is not on this machine yet: licences, weights,
corpora.

The workflow calls this while it plans, so that nothing large is imported here;
:mod:`eadbench.plan.prepare` adds the other steps.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from eadbench.core.settings import Settings
from eadbench.corpora.config import TERMS, CorpusConfig
from eadbench.zoo.registry import Entry, cached_folder, entry, user_cache

STEPS = ("Disk space", "Licences", "Weights", "Corpora", "Methods of others", "Libraries and programs")


@dataclass(frozen=True)
class Need:
    """One missing item.

    Attributes:
        step: The one of ``STEPS`` that it belongs to.
        what: The item, in a few words.
        todo: Lines that say how to get it; a command has a line of its own.
    """

    step: str
    what: str
    todo: tuple[str, ...] = ()


def missing(settings: Settings, results: Path) -> list[Need]:
    """Missing items, in the order in which to get them.

    Args:
        settings: The whole configuration.
        results: Folder of results; what an earlier run fetched there is not missing.
    """
    return [*licences(settings, results), *weights(settings, results), *corpora(settings, results)]


def hint(settings: Settings, results: Path) -> str:
    """One sentence for a plan on a machine that lacks something; empty if it lacks
    nothing.
    """
    needs = missing(settings, results)
    if not needs:
        return ""
    counts = [
        f"{sum(need.step == step for need in needs)} {step.lower()}"
        for step in STEPS
        if any(need.step == step for need in needs)
    ]
    return (
        f"not everything that this run needs is on this machine ({', '.join(counts)}): `eadbench "
        "prepare` with the same --config lists what is missing and how to get it"
    )


def published(settings: Settings, results: Path) -> dict[str, tuple[Entry, Path | None]]:
    """Published weights of the configuration by id: the registry's entry, and their
    folder; ``None`` where they are not on this machine.
    """
    weights = {}
    for name, artefact in settings.zoo.artefacts.items():
        if artefact.how == "fetched":
            registry_entry = entry(artefact.id)
            folder: Path | None = results / "zoo" / name
            if _id_of(folder / "card.json") != artefact.id:
                folder = cached_folder(artefact.id, registry_entry, settings.zoo.cache)
            weights[artefact.id] = (registry_entry, folder)
    return weights


def _id_of(card: Path) -> str:
    """Id of the artefact in a folder: a demo has another artefact of the same name."""
    try:
        return json.loads(card.read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def to_fetch(settings: Settings, results: Path) -> dict[str, CorpusConfig]:
    """Corpora of the configuration that the workflow will download and has not yet, by
    name.
    """
    return {
        name: corpus
        for name, corpus in settings.corpora.sets.items()
        if not (corpus.root or corpus.studio or (results / "corpora" / name / "fetch.json").exists())
    }


def licences(settings: Settings, results: Path) -> list[Need]:
    """Licences of downloads that are not accepted yet."""
    kinds = {corpus.kind for corpus in to_fetch(settings, results).values()}
    kinds = sorted(kinds - {*settings.corpora.accept_licence})
    needs = [Need("Licences", f"corpus {kind}", (TERMS[kind],)) for kind in kinds]
    for name, (registry_entry, folder) in published(settings, results).items():
        if not (folder or registry_entry.manual or {name, "all"} & set(settings.zoo.accept_licence)):
            licence = f"{registry_entry.licence} {registry_entry.licence_url}".rstrip()
            lines = tuple(filter(None, (licence, registry_entry.note)))
            needs.append(Need("Licences", f"weights {name}", lines))
    return needs


def weights(settings: Settings, results: Path) -> list[Need]:
    """Published weights that are not on this machine."""
    needs = []
    for name, (registry_entry, folder) in published(settings, results).items():
        if not folder and registry_entry.manual:
            files = ", ".join(file.name for file in registry_entry.files)
            needs.append(
                Need(
                    "Weights",
                    f"{name}, by hand",
                    (registry_entry.manual, registry_entry.note, f"put {files} into {user_cache() / name}"),
                )
            )
        elif not folder:
            needs.append(
                Need("Weights", f"{name}, {registry_entry.size}", (f"from {registry_entry.source}",))
            )
    return needs


def corpora(settings: Settings, results: Path) -> list[Need]:
    """Corpora whose files a person has to provide, and are not where the configuration
    says.
    """
    needs = []
    for name, corpus in settings.corpora.sets.items():
        setting = f"corpora.sets.{name}"
        if corpus.root and not Path(corpus.root).expanduser().is_dir():
            todo = (
                TERMS.get(corpus.kind, "Your own videos."),
                f"put its files into {corpus.root}, or set {setting}.root to the folder that holds them",
            )
            needs.append(Need("Corpora", f"{name}: there is no folder {corpus.root}", todo))
        cookies = getattr(corpus, "cookies", None)
        if cookies and not Path(cookies).expanduser().is_file():
            needs.append(
                Need(
                    "Corpora",
                    f"{name}: there is no file {cookies}",
                    (f"export the cookies to it, or set {setting}.cookies to null",),
                )
            )
    return needs
