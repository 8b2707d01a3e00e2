"""What a configuration needs that is not on this machine yet: licences, weights,
corpora.

The workflow asks while it plans, so that nothing large is imported here;
:mod:`eadbench.plan.prepare` adds the rest.
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
    """One thing that is missing.

    Attributes:
        step: The one of ``STEPS`` that it belongs to.
        what: It, in a few words.
        todo: Lines that say how to get it; commands stand alone in theirs.
    """

    step: str
    what: str
    todo: tuple[str, ...] = ()


def missing(settings: Settings, results: Path) -> list[Need]:
    """What lacks, in the order in which it is got.

    Args:
        settings: The whole configuration.
        results: Folder of results; what an earlier run fetched to there is not asked
            for again.
    """
    return [*licences(settings, results), *weights(settings, results), *corpora(settings, results)]


def hint(settings: Settings, results: Path) -> str:
    """One sentence for whoever plans a run on a machine that lacks something; empty if
    it lacks nothing.
    """
    found = missing(settings, results)
    if not found:
        return ""
    counts = [
        f"{sum(need.step == step for need in found)} {step.lower()}"
        for step in STEPS
        if any(need.step == step for need in found)
    ]
    return (
        f"not everything that this run needs is on this machine ({', '.join(counts)}): `eadbench "
        "prepare` with the same --config tells what and how"
    )


def published(settings: Settings, results: Path) -> dict[str, tuple[Entry, Path | None]]:
    """Published weights of the configuration by id: the registry's entry, and the
    folder where they are here.
    """
    found = {}
    for name, artefact in settings.zoo.artefacts.items():
        if artefact.how == "fetched":
            made = results / "zoo" / name
            one = entry(artefact.id)
            here = made if _id_of(made / "card.json") == artefact.id else None
            found[artefact.id] = (one, here or cached_folder(artefact.id, one, settings.zoo.cache))
    return found


def _id_of(card: Path) -> str:
    """What the artefact is that lies there: of the same name, a demo has its own."""
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
    """Terms that nobody accepted yet of what is to be downloaded."""
    kinds = sorted(
        {corpus.kind for corpus in to_fetch(settings, results).values()} - {*settings.corpora.accept_licence}
    )
    found = [Need("Licences", f"corpus {kind}", (TERMS[kind],)) for kind in kinds]
    for name, (one, here) in published(settings, results).items():
        if not (here or one.manual or {name, "all"} & set(settings.zoo.accept_licence)):
            found.append(
                Need(
                    "Licences",
                    f"weights {name}",
                    tuple(filter(None, (f"{one.licence} {one.licence_url}".rstrip(), one.note))),
                )
            )
    return found


def weights(settings: Settings, results: Path) -> list[Need]:
    """Published weights that are not here."""
    found = []
    for name, (one, here) in published(settings, results).items():
        if not here and one.manual:
            files = ", ".join(file.name for file in one.files)
            found.append(
                Need(
                    "Weights",
                    f"{name}, by hand",
                    (one.manual, one.note, f"put {files} into {user_cache() / name}"),
                )
            )
        elif not here:
            found.append(Need("Weights", f"{name}, {one.size}", (f"from {one.source}",)))
    return found


def corpora(settings: Settings, results: Path) -> list[Need]:
    """Corpora whose files a person has to bring, and are not where the configuration
    says.
    """
    found = []
    for name, corpus in settings.corpora.sets.items():
        where = f"corpora.sets.{name}"
        if corpus.root and not Path(corpus.root).expanduser().is_dir():
            todo = (
                TERMS.get(corpus.kind, "Your own videos."),
                f"put its files into {corpus.root}, or set {where}.root to the folder that holds them",
            )
            found.append(Need("Corpora", f"{name}: there is no folder {corpus.root}", todo))
        cookies = getattr(corpus, "cookies", None)
        if cookies and not Path(cookies).expanduser().is_file():
            found.append(
                Need(
                    "Corpora",
                    f"{name}: there is no file {cookies}",
                    (f"export the cookies to it, or set {where}.cookies to null",),
                )
            )
    return found
