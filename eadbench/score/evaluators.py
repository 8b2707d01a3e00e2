"""Which networks measure: the published ones, those of a demo, or a folder's; never any
but those asked for.
"""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eadbench.core.errors import EadbenchError
from eadbench.scores.config import ScoresConfig
from eadbench.scores.metrics import METRICS
from eadbench.zoo.fetch import ALL, check_file, fetch_files, manual_hint, user_cache
from eadbench.zoo.registry import Entry, entry, megabytes

if TYPE_CHECKING:
    from eadbench.scores.evaluators import Evaluators

# The customary network of each role, by its id in the registry.
OFFICIAL = {
    "sync": "syncnet-v2",
    "emotion": "emotion-fan-mead",
    "fid": "inception-fid",
    "fvd": "i3d-torchscript",
    "lpips": "lpips-alex",
    "face_id": "arcface-w600k-r50",
    "sync2": "stable-syncnet",
    "cdfvd": "videomae-v2-giant-ssv2",
    "jedi": "vjepa-huge-ssv2",
    "aesthetics": "topiq-iaa-swin",
    "mouth_quality": "musiq-koniq",
    "face_quality": "topiq-face-res50",
}
OPTIONAL = ("aesthetics", "mouth_quality", "face_quality")  # of a package that no other extra brings
DEMO = Path("results/zoo")
FORMULAS = "The chosen metrics are formulas: no network is needed and nothing is fetched."


@dataclass(frozen=True)
class EvaluatorFolders:
    """Folders of the networks by the name that the configuration gives them, and why
    some roles have none.
    """

    parts: dict[str, Path]
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A published network that the chosen metrics need; ``name`` is what the
    configuration calls its role's.
    """

    role: str
    name: str
    id: str
    entry: Entry
    folder: Path
    metrics: tuple[str, ...]

    @property
    def here(self) -> bool:
        """Whether its files are all there."""
        return all((self.folder / file.name).exists() for file in self.entry.files)

    @property
    def fetchable(self) -> bool:
        """Whether it is to be fetched, and can be."""
        return not self.here and not self.entry.manual

    @property
    def state(self) -> str:
        """``here``, ``by hand`` or what a download takes."""
        return "here" if self.here else "by hand" if self.entry.manual else f"to fetch, {self.entry.size}"


def needed(config: ScoresConfig, given: Collection[str] = ()) -> list[Published]:
    """Published networks for the chosen metrics, but for those whose configured name is
    in ``given``.
    """
    found = []
    for role in config.roles():
        name, official = config.evaluators.get(role, role), OFFICIAL[role]
        if name not in given:
            metrics = tuple(METRICS[one].label for one in config.metrics if METRICS[one].evaluator == role)
            found.append(Published(role, name, official, entry(official), user_cache() / official, metrics))
    return found


def choose(
    choice: str | None,
    config: ScoresConfig,
    parts: dict[str, Path],
    accepted: Collection[str],
    ask: Callable[[Published], bool] | None = None,
) -> EvaluatorFolders:
    """Folders of the networks that the chosen metrics need; published ones are fetched
    first.

    Args:
        choice: ``official``, ``demo`` or a folder; ``None``: the published ones, if
            they are here already.
        config: Names the networks by role.
        parts: Networks handed over one by one, which need no choice.
        accepted: Ids of published weights whose licence the user accepted; ``all`` for
            all.
        ask: Asks whether a licence is accepted; ``None`` where nobody can be asked.

    Raises:
        EadbenchError: If nothing was chosen and networks are missing, a folder is not
            there, a package is not installed, a licence is refused or a download fails.
    """
    if not set(config.roles()).isdisjoint(OPTIONAL):
        from eadbench.zoo.kinds.image_quality import refuse_without_package

        refuse_without_package()
    wanted = needed(config, parts)
    if not wanted:
        return EvaluatorFolders(dict(parts))
    if choice is None:
        lacking = [one for one in wanted if one.fetchable]
        if lacking:
            raise _no_choice(config, lacking)
    if choice in (None, "official"):
        return _official(config, wanted, parts, accepted, ask)
    if choice == "demo" and not DEMO.is_dir():
        raise EadbenchError(
            "no networks of a demo are here",
            DEMO.resolve(),
            "start it in a checkout with a finished `make demo`, or give --evaluators "
            "CHECKOUT/results/zoo; official fetches the published ones",
        )
    folder = DEMO if choice == "demo" else Path(choice)
    if not folder.is_dir():
        raise EadbenchError(
            "no such folder",
            f"--evaluators {choice}",
            "give official, demo, or a folder with one folder per network",
        )
    found = dict(parts)
    for one in wanted:
        found[one.name] = next(
            (folder / n for n in (one.name, one.id) if (folder / n / "card.json").exists()), folder / one.name
        )
    lacking = [one for one in wanted if not (found[one.name] / "card.json").exists()]
    if len(lacking) == len(config.roles()) and choice != "demo":
        names = ", ".join(f"{one.name} or {one.id}" for one in lacking)
        raise EadbenchError(
            f"the folder holds none of the networks: {names}",
            folder,
            "--evaluators official fetches the published ones",
        )
    missing = {
        one.role: f"{folder} holds no {one.name}; --evaluators official fetches {one.id}" for one in lacking
    }
    return EvaluatorFolders(found, missing)


def load_chosen(config: ScoresConfig, chosen: EvaluatorFolders, device: Any = "cpu") -> "Evaluators":
    """Load the networks chosen; roles without one leave their metrics empty, with the
    reason.
    """
    from eadbench.scores.evaluators import load_evaluators

    evaluators = load_evaluators(config, chosen.parts, device, allow_missing=True)
    evaluators.missing |= chosen.missing
    return evaluators


def _no_choice(config: ScoresConfig, lacking: list[Published]) -> EadbenchError:
    metrics = ", ".join(label for one in lacking for label in one.metrics)
    without = ",".join(name for name in config.metrics if not METRICS[name].evaluator)
    what = (
        "add --evaluators official, which fetches the published networks that are not on this machine "
        f"yet (for {metrics})"
    )
    hint = "add --dry-run to see sizes and licences first; or give --evaluators demo|FOLDER"
    return EadbenchError(
        what, user_cache(), hint + (f"; or measure without them: --metrics {without}" if without else "")
    )


def _official(
    config: ScoresConfig,
    wanted: list[Published],
    parts: dict[str, Path],
    accepted: Collection[str],
    ask: Callable[[Published], bool] | None,
) -> EvaluatorFolders:
    fetch = [one for one in wanted if one.fetchable]
    if fetch:
        describe(wanted)
    refused = [
        one for one in fetch if not {one.id, ALL} & set(accepted) and not (ask is not None and ask(one))
    ]
    if refused:
        ids = " ".join(f"--accept-licence {one.id}" for one in refused)
        metrics = ", ".join(label for one in refused for label in one.metrics)
        what = (
            f"licences not accepted: {', '.join(one.id for one in refused)} (for {metrics}); nothing "
            "was fetched"
        )
        where = " ".join(one.entry.licence_url for one in refused)
        raise EadbenchError(
            what,
            where,
            f"read them, then add {ids} (or --accept-licence {ALL}); or leave these metrics out of --metrics",
        )
    found, missing = dict(parts), {}
    for one in wanted:
        found[one.name] = one.folder
        if not one.here and one.entry.manual:
            missing[one.role] = (
                f"{one.id} has no direct download: {one.entry.manual}; {manual_hint(one.id, one.entry)}"
            )
            typer.echo(f"{', '.join(one.metrics)} left out: {missing[one.role]}", err=True)
            continue
        if one in fetch:
            fetch_files(one.id, one.entry, one.folder, [one.id])
        if not (one.folder / "card.json").exists():
            for file in one.entry.files:
                check_file(one.id, file, one.folder / file.name)
            from eadbench.zoo.make import card_of_published

            card_of_published(one.id, one.id, one.folder)
    if len(missing) == len(wanted) and not any(not METRICS[name].evaluator for name in config.metrics):
        raise EadbenchError(
            next(iter(missing.values())), user_cache(), "or choose other metrics with --metrics"
        )
    return EvaluatorFolders(found, missing)


def describe_choice(
    choice: str | None, config: ScoresConfig, parts: dict[str, Path], accepted: Collection[str]
) -> None:
    """Print which networks a run would measure with, and what it would fetch.

    Raises:
        EadbenchError: Where the run would refuse its evaluators, too.
    """
    wanted = needed(config, parts)
    if not wanted:
        typer.echo("The chosen metrics need no network but those of --part." if parts else FORMULAS)
    elif choice in (None, "official"):
        describe(wanted)
    else:
        chosen = choose(choice, config, parts, accepted)
        typer.echo("Networks for the chosen metrics (nothing to fetch):")
        for name, folder in chosen.parts.items():
            typer.echo(f"  {name}: {folder}")
        for role, reason in chosen.missing.items():
            typer.echo(f"  {role}: none, so its metrics stay empty; {reason}")


def describe(wanted: list[Published]) -> None:
    """Print what is needed: for what, how large, under which licence, from where."""
    fetch = [one for one in wanted if one.fetchable]
    total = sum(one.entry.expected_bytes for one in fetch)
    typer.echo(
        f"Published networks for the chosen metrics, kept in {user_cache()} "
        f"({megabytes(total) if fetch else 'nothing'} to fetch):"
    )
    for one in wanted:
        typer.echo(f"  {one.id} ({one.state}): {', '.join(one.metrics)}")
        typer.echo(f"      {one.entry.title}")
        typer.echo(f"      licence: {one.entry.licence} {one.entry.licence_url}".rstrip())
        typer.echo(f"      from:    {one.entry.source}")
        if one.entry.manual and not one.here:
            typer.echo(f"      by hand: {manual_hint(one.id, one.entry)}")


def ask_on_terminal() -> Callable[[Published], bool] | None:
    """A question about a licence, where somebody sits at a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda one: typer.confirm(
        f"Do you accept the licence of {one.id} ({one.entry.licence}, {one.entry.licence_url})?", err=True
    )
