"""``eadbench prepare``: what a run needs of a machine, in order; weights are fetched, for
the rest the steps are printed.
"""

import importlib.util
import logging
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

import typer

from eadbench.core import settings as core_settings
from eadbench.core.errors import EadbenchError
from eadbench.core.settings import Settings
from eadbench.plan.counts import TYPICAL
from eadbench.plan.disk import file_systems, folder_spaces, free_at, gigabytes, needs_of, summary_lines
from eadbench.plan.missing import STEPS, Need, licences, missing, published, to_fetch
from eadbench.samples.config import ExternalConfig
from eadbench.samples.listing import missing_by_method
from eadbench.samples.methods.external import NO_GPU
from eadbench.zoo.fetch import fetch_files
from eadbench.zoo.make import card_of_published
from eadbench.zoo.registry import user_cache

log = logging.getLogger(__name__)
# Libraries that the jobs import and that are no dependency of another one here.
LIBRARIES = (
    "accelerate",
    "av",
    "cv2",
    "diffusers",
    "duckdb",
    "lpips",
    "matplotlib",
    "mediapipe",
    "snakemake",
    "torch",
    "transformers",
    "yt_dlp",
)
OLDEST_CONDA = (24, 7, 1)
# docs/paper_run.md holds the same text.
LEFT_OUT = (
    "A method of others whose `path:` is not set is left out. Its row stays in every table that names it, "
    "with a dash in each "
    "column and a note that says what was missing. Nothing is put in its place, and the values, intervals "
    "and tests of the "
    "other rows are those that they would have beside it; only the marks of best and second best are given "
    "among fewer rows."
)


def prepare(configs: list[Path], results: Path, accepted: Collection[str] = (), fetch: bool = True) -> bool:
    """Print what is missing, step by step, and fetch the weights whose licence was
    accepted.

    Args:
        configs: Configuration files, later ones over earlier ones.
        results: Folder of results; what lies there is not missing.
        accepted: Ids of weights whose licence the user accepts by this call; ``all``
            for all.
        fetch: Whether to download.

    Returns:
        Whether the run can start.

    Raises:
        EadbenchError: If the configuration is not valid.
    """
    settings = core_settings.load(None, configs, whole=True)
    settings = _accepting(settings, accepted)
    space_needs, space_lines = disk_space(configs, settings, results)
    failed = _fetch_weights(settings, results) if fetch else {}
    left_out, method_needs = methods(settings, results)
    needs = [*space_needs, *missing(settings, results), *method_needs, *libraries(configs, settings, results)]
    for number, step in enumerate(STEPS, 1):
        step_needs = [need for need in needs if need.step == step]
        typer.echo(f"{number}. {step}: {len(step_needs) or 'nothing'} missing")
        for need in step_needs:
            typer.echo(f"   - {need.what}")
            lines = list(need.todo)
            name = need.what.partition(",")[0]
            if step == "Weights" and name in failed:
                lines.append(failed[name])
            for line in lines:
                typer.echo(f"       {line}")
        closing_lines = space_lines
        if step != STEPS[0]:
            closing_lines = _closing_lines(step, step_needs, settings, results, left_out)
        for line in closing_lines:
            typer.echo(f"   {line}")
    if needs:
        open_steps = {need.step for need in needs}
        steps = ", ".join(str(number) for number, step in enumerate(STEPS, 1) if step in open_steps)
        typer.echo(f"\nNot ready: {len(needs)} things remain, in step {steps}. Then run this command again.")
    else:
        typer.echo(f"\nReady: snakemake --cores all {configfile(configs)}")
    return not needs


def disk_space(configs: list[Path], settings: Settings, results: Path) -> tuple[list[Need], list[str]]:
    """File systems with too little space, and lines with the amounts."""
    if set(settings.corpora.drawn) == set(settings.corpora.sets):
        return [], ["Not estimated: the figures are those of the paper's run, and all people here are drawn."]
    try:
        folders = folder_spaces(configs, settings, results)
    except EadbenchError as error:  # without Snakemake; the last step says so, too
        return [], [f"Not estimated: {error.what}."]
    systems = file_systems(folders)
    return needs_of(systems), summary_lines(folders, systems)


def configfile(configs: list[Path]) -> str:
    """The option of Snakemake for these files."""
    return "--configfile " + " ".join(map(str, configs))


def _accepting(settings: Settings, accepted: Collection[str]) -> Settings:
    """The configuration with more licences accepted."""
    raw = core_settings.merge(
        settings.raw, {"zoo": {"accept_licence": sorted({*settings.zoo.accept_licence, *accepted})}}
    )
    return core_settings.check(raw, whole=True)


def _fetch_weights(settings: Settings, results: Path) -> dict[str, str]:
    """Fetch to the user's cache the missing weights whose licence is accepted; returns
    the errors of those that failed, by id.
    """
    refused = {need.what.partition(" ")[2] for need in licences(settings, results)}
    failed = {}
    for name, (registry_entry, folder) in published(settings, results).items():
        if folder or registry_entry.manual or name in refused:
            continue
        typer.echo(f"Fetching {name} ({registry_entry.size}) to {user_cache() / name}")
        try:
            if (free := free_at(user_cache())) < registry_entry.expected_bytes:
                raise EadbenchError(f"too little space: {gigabytes(free)} free", user_cache())
            fetch_files(name, registry_entry, user_cache() / name, [name])
            if registry_entry.files:
                card_of_published(name, name, user_cache() / name)
        except EadbenchError as error:
            failed[name] = str(error)
    return failed


def methods(settings: Settings, results: Path) -> tuple[list[str], list[Need]]:
    """Methods of others that are left out (their ``path:`` is not set), and what the
    other ones lack, except a GPU.
    """
    left_out, needs = [], []
    for method, missing_parts in missing_by_method(settings, results):
        if isinstance(method.options, ExternalConfig) and not method.options.path:
            left_out.append(method.name)
        elif not hasattr(method.options, "run"):  # runs of this workflow are made by it
            needs += [
                Need("Methods of others", f"{method.name}: {part.what}", (str(part),))
                for part in missing_parts
                if part.what != NO_GPU
            ]
    return left_out, needs


def libraries(configs: list[Path], settings: Settings, results: Path) -> list[Need]:
    """Libraries and programs that this Python lacks and ``--use-conda`` does not
    install.
    """
    needs = []
    missing_libraries = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing_libraries and (conda := _conda()) < OLDEST_CONDA:
        conda_state = f"conda {'.'.join(map(str, conda))} is too old" if conda else "conda is not here"
        todo = (
            "pip install 'eadbench[all]' in this environment; or, for --use-conda, install conda 24.7.1 or "
            "later",
        )
        needs.append(
            Need(
                "Libraries and programs",
                f"this Python lacks {', '.join(missing_libraries)}, and {conda_state}",
                todo,
            )
        )
    kinds = {corpus.kind for corpus in to_fetch(settings, results).values()}
    if "hdtf" in kinds and "yt_dlp" not in missing_libraries:
        from eadbench.corpora.hdtf import check_javascript

        try:
            check_javascript()
        except EadbenchError as error:
            needs.append(Need("Libraries and programs", error.what, (error.hint,)))
    return needs


def _conda() -> tuple[int, ...]:
    """Version of the conda on the path; empty without one."""
    try:
        output = subprocess.run(
            ["conda", "--version"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(map(int, re.findall(r"\d+", output)[:3]))


def _closing_lines(
    step: str, step_needs: list[Need], settings: Settings, results: Path, left_out: list[str]
) -> list[str]:
    """Lines at the end of a step."""
    if step == "Licences" and step_needs:
        names = {
            kind: [need.what.split()[1] for need in step_needs if need.what.startswith(kind)]
            for kind in ("corpus", "weights")
        }
        lines = [
            "Read them. What you accept goes into a file of yours, e.g. mine.yaml, to be named after the "
            "other ones everywhere:"
        ]
        for section, kind in (("corpora", "corpus"), ("zoo", "weights")):
            lines += [f"    {section}: {{accept_licence: [{', '.join(names[kind])}]}}"] if names[kind] else []
        return lines
    if step == "Weights":
        fetchable = [need.what for need in step_needs if not need.what.endswith("by hand")]
        if not fetchable:
            return []
        return [f"Those with an accepted licence are fetched by this command, to {user_cache()}."]
    if step == "Corpora":
        corpora = to_fetch(settings, results)
        sizes = [
            f"{name} (about {TYPICAL[corpus.kind, ''][3]:g} GB)"
            for name, corpus in corpora.items()
            if (corpus.kind, "") in TYPICAL
        ]
        return [f"The workflow downloads {', '.join(sizes)} by itself."] if sizes else []
    if step == "Methods of others":
        if not left_out:
            return []
        return [f"Left out: {', '.join(left_out)}. {LEFT_OUT}", *_commands(settings, left_out)]
    if settings.device == "cuda" and not shutil.which("nvidia-smi"):
        return [
            "No GPU is visible here, and `device: cuda` asks for one; on a cluster's head node that is as "
            "it should be."
        ]
    return []


def _commands(settings: Settings, left_out: list[str]) -> list[str]:
    """How to get the methods that are left out: a checkout at its commit, the
    environment, the weights.
    """
    from eadbench.samples.recipe import load_recipe
    from eadbench.samples.sources import weights_of

    lines = []
    for name in left_out:
        options = settings.samples.methods[name]
        recipe, _ = load_recipe(options.recipe)
        lines += [
            f"{name}: code {recipe.licence}, weights {recipe.weights_licence}",
            f"    git clone {recipe.repository} {name} && git -C {name} checkout {recipe.commit}",
            f"    conda env create -p {name}/env -f envs/{recipe.environment}.yaml",
            *(
                f"    weights: {weight.path} from {weight.source}"
                for weight, _ in weights_of(options, recipe)
            ),
            *([f"    {recipe.prepared}"] if recipe.prepared else []),
            f"    samples: {{methods: {{{name}: {{path: {name}, python: {name}/env/bin/python, weights: "
            f"{name}}}}}}}",
        ]
    return lines
