"""Which networks measure: the published ones, those of a demo, or a folder's; never any
but those chosen.
"""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
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
class PublishedNetwork:
    """A published network that the chosen metrics need.

    Attributes:
        role: What it measures, e.g. ``sync``.
        name: Name of the role's network in the configuration.
        id: Its id in the registry.
        entry: Its entry there.
        folder: Where its files are, or go.
        metrics: Labels of the metrics that need it.
    """

    role: str
    name: str
    id: str
    entry: Entry
    folder: Path
    metrics: tuple[str, ...]

    @property
    def is_local(self) -> bool:
        """Whether its files are all there."""
        return all((self.folder / file.name).exists() for file in self.entry.files)

    @property
    def must_be_fetched(self) -> bool:
        """Whether it is to be fetched, and can be."""
        return not self.is_local and not self.entry.manual

    @property
    def state(self) -> str:
        """``here``, ``by hand`` or what a download takes."""
        if self.is_local:
            return "here"
        return "by hand" if self.entry.manual else f"to fetch, {self.entry.size}"


def needed_networks(config: ScoresConfig, part_names: Collection[str] = ()) -> list[PublishedNetwork]:
    """Published networks for the chosen metrics, but for those whose configured name is
    in ``part_names``.
    """
    networks = []
    for role in config.roles():
        name, official_id = config.evaluators.get(role, role), OFFICIAL[role]
        if name in part_names:
            continue
        metrics = [METRICS[metric_name] for metric_name in config.metrics]
        labels = tuple(metric.label for metric in metrics if metric.evaluator == role)
        folder = user_cache() / official_id
        networks.append(PublishedNetwork(role, name, official_id, entry(official_id), folder, labels))
    return networks


def choose(
    choice: str | None,
    config: ScoresConfig,
    parts: dict[str, Path],
    accepted: Collection[str],
    ask: Callable[[PublishedNetwork], bool] | None = None,
) -> EvaluatorFolders:
    """Folders of the networks that the chosen metrics need; published ones are fetched
    first.

    Args:
        choice: ``official``, ``demo`` or a folder; ``None``: the published ones, if
            they are here already.
        config: Names the networks by role.
        parts: Folders of networks given with ``--part``, which need no choice.
        accepted: Ids of published weights whose licence the user accepted; ``all`` for
            all.
        ask: Asks whether a licence is accepted; ``None`` where nobody can be asked.

    Raises:
        EadbenchError: If nothing was chosen and networks are missing, a part has a name
            that the configuration does not give, a folder is not there, a package is
            not installed, a licence is refused or a download fails.
    """
    _refuse_unknown_parts(parts, config)
    if not set(config.roles()).isdisjoint(OPTIONAL):
        from eadbench.zoo.kinds.image_quality import refuse_without_package

        refuse_without_package()
    networks = needed_networks(config, parts)
    if not networks:
        return EvaluatorFolders(dict(parts))
    if choice is None:
        unfetched = [network for network in networks if network.must_be_fetched]
        if unfetched:
            raise _no_choice_error(config, unfetched)
    if choice in (None, "official"):
        return _choose_official(config, networks, parts, accepted, ask)
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
    network_folders = dict(parts)
    absent = []
    for network in networks:
        candidates = [folder / network.name, folder / network.id]
        with_card = [path for path in candidates if (path / "card.json").exists()]
        network_folders[network.name] = with_card[0] if with_card else candidates[0]
        if not with_card:
            absent.append(network)
    if len(absent) == len(config.roles()) and choice != "demo":
        names = ", ".join(f"{network.name} or {network.id}" for network in absent)
        raise EadbenchError(
            f"the folder holds none of the networks: {names}",
            folder,
            "--evaluators official fetches the published ones",
        )
    missing = {
        network.role: f"{folder} holds no {network.name}; --evaluators official fetches {network.id}"
        for network in absent
    }
    return EvaluatorFolders(network_folders, missing)


def _refuse_unknown_parts(parts: dict[str, Path], config: ScoresConfig) -> None:
    """Refuse parts under a name that no metric asks for: another network would measure
    in their place.
    """
    known = [config.evaluators.get(role, role) for role in OFFICIAL]
    for name, folder in parts.items():
        if name not in known:
            raise EadbenchError(
                f"no network has the name {name!r}{nearest(name, known)}",
                f"--part {name}={folder}",
                f"known: {', '.join(known)}",
            )


def load_chosen(config: ScoresConfig, chosen: EvaluatorFolders, device: Any = "cpu") -> "Evaluators":
    """Load the networks chosen; roles without one leave their metrics empty, with the
    reason.
    """
    from eadbench.scores.evaluators import load_evaluators

    evaluators = load_evaluators(config, chosen.parts, device, allow_missing=True)
    evaluators.missing |= chosen.missing
    return evaluators


def _no_choice_error(config: ScoresConfig, unfetched: list[PublishedNetwork]) -> EadbenchError:
    metrics = _metric_labels(unfetched)
    without = ",".join(name for name in config.metrics if not METRICS[name].evaluator)
    what = (
        "add --evaluators official, which fetches the published networks that are not on this machine "
        f"yet (for {metrics})"
    )
    hint = "add --dry-run to see sizes and licences first; or give --evaluators demo|FOLDER"
    if without:
        hint += f"; or measure without them: --metrics {without}"
    return EadbenchError(what, user_cache(), hint)


def _metric_labels(networks: list[PublishedNetwork]) -> str:
    return ", ".join(label for network in networks for label in network.metrics)


def _choose_official(
    config: ScoresConfig,
    networks: list[PublishedNetwork],
    parts: dict[str, Path],
    accepted: Collection[str],
    ask: Callable[[PublishedNetwork], bool] | None,
) -> EvaluatorFolders:
    to_fetch = [network for network in networks if network.must_be_fetched]
    if to_fetch:
        describe_networks(networks)
    refused = [network for network in to_fetch if not _licence_accepted(network, accepted, ask)]
    if refused:
        raise _licence_error(refused)
    network_folders, missing = dict(parts), {}
    for network in networks:
        name, folder = network.id, network.folder
        network_folders[network.name] = folder
        if not network.is_local and network.entry.manual:
            hint = manual_hint(name, network.entry)
            reason = f"{name} has no direct download: {network.entry.manual}; {hint}"
            missing[network.role] = reason
            typer.echo(f"{', '.join(network.metrics)} left out: {reason}", err=True)
            continue
        if network in to_fetch:
            fetch_files(name, network.entry, folder, [name])
        if not (folder / "card.json").exists():
            for file in network.entry.files:
                check_file(name, file, folder / file.name)
            from eadbench.zoo.make import card_of_published

            card_of_published(name, name, folder)
    need_a_network = all(METRICS[name].evaluator for name in config.metrics)
    if len(missing) == len(networks) and need_a_network:
        raise EadbenchError(
            next(iter(missing.values())), user_cache(), "or choose other metrics with --metrics"
        )
    return EvaluatorFolders(network_folders, missing)


def _licence_accepted(
    network: PublishedNetwork, accepted: Collection[str], ask: Callable[[PublishedNetwork], bool] | None
) -> bool:
    if network.id in accepted or ALL in accepted:
        return True
    return ask is not None and ask(network)


def _licence_error(refused: list[PublishedNetwork]) -> EadbenchError:
    ids = ", ".join(network.id for network in refused)
    options = " ".join(f"--accept-licence {network.id}" for network in refused)
    return EadbenchError(
        f"licences not accepted: {ids} (for {_metric_labels(refused)}); nothing was fetched",
        " ".join(network.entry.licence_url for network in refused),
        f"read them, then add {options} (or --accept-licence {ALL}); or leave these metrics out of --metrics",
    )


def describe_choice(
    choice: str | None, config: ScoresConfig, parts: dict[str, Path], accepted: Collection[str]
) -> None:
    """Print which networks a run would measure with, and what it would fetch.

    Raises:
        EadbenchError: Where the run would refuse its evaluators, too.
    """
    _refuse_unknown_parts(parts, config)
    networks = needed_networks(config, parts)
    if not networks:
        typer.echo("The chosen metrics need no network but those of --part." if parts else FORMULAS)
    elif choice in (None, "official"):
        describe_networks(networks)
    else:
        chosen = choose(choice, config, parts, accepted)
        typer.echo("Networks for the chosen metrics (nothing to fetch):")
        for name, folder in chosen.parts.items():
            typer.echo(f"  {name}: {folder}")
        for role, reason in chosen.missing.items():
            typer.echo(f"  {role}: none, so its metrics stay empty; {reason}")


def describe_networks(networks: list[PublishedNetwork]) -> None:
    """Print what is needed: for what, how large, under which licence, from where."""
    to_fetch = [network.entry.expected_bytes for network in networks if network.must_be_fetched]
    size = megabytes(sum(to_fetch)) if to_fetch else "nothing"
    typer.echo(f"Published networks for the chosen metrics, kept in {user_cache()} ({size} to fetch):")
    for network in networks:
        typer.echo(f"  {network.id} ({network.state}): {', '.join(network.metrics)}")
        typer.echo(f"      {network.entry.title}")
        typer.echo(f"      licence: {network.entry.licence} {network.entry.licence_url}".rstrip())
        typer.echo(f"      from:    {network.entry.source}")
        if network.entry.manual and not network.is_local:
            typer.echo(f"      by hand: {manual_hint(network.id, network.entry)}")


def ask_on_terminal() -> Callable[[PublishedNetwork], bool] | None:
    """A function that asks whether a licence is accepted; ``None`` without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(network: PublishedNetwork) -> bool:
        licence = f"{network.entry.licence}, {network.entry.licence_url}"
        return typer.confirm(f"Do you accept the licence of {network.id} ({licence})?", err=True)

    return ask
