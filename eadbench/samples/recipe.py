"""Recipes: how a published repository is run. Data in ``recipes/*.yaml``."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from eadbench.core.errors import EadbenchError
from eadbench.core.protocols import Protocol
from eadbench.core.unique_yaml import parse


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weight(Strict):
    """A file that the method needs.

    Attributes:
        path: Where it must be, relative to the folder of weights.
        source: Where to get it.
        sha256: Its hash; null where none is known to us, the hash found is then written
            to the log.
        size: Its size in bytes, where known.
        note: Anything to know.
        when: Options of the recipe under which it is needed, e.g. ``{faces: own}``;
            empty means always.
    """

    path: str
    source: str
    sha256: str | None = None
    size: int | None = None
    note: str = ""
    when: dict[str, str] = {}


class Jpeg(Strict):
    """An image encoded as JPEG of the best quality.

    Attributes:
        source: A PNG; template.
        size: Side in pixels; null keeps it.
    """

    source: str
    size: int | None = None


class Workdir(Strict):
    """What the private working folder holds before the run.

    Attributes:
        folders: Folders to make.
        links: Name to target; targets are templates. Missing targets are an error.
        jpegs: Name to image.
        files: Name to text; texts are templates (write ``{{`` for a brace).
        landmarks: Write our landmarks there as ``.npy``: ``(T, 478, 2)`` float32 in
            pixels of ``{video}``, MediaPipe's numbering.
    """

    folders: list[str] = []
    links: dict[str, str] = {}
    jpegs: dict[str, Jpeg] = {}
    files: dict[str, str] = {}
    landmarks: str | None = None


class Output(Strict):
    """Where the result appears and how its frames map to those of the clip.

    Attributes:
        path: Template of a path or of a pattern with ``*``, relative to the working
            folder; exactly one file must fit.
        region: Part of the frame that is the result.
        skip: Leading frames that are not part of it.
        missing: Frames that may be missing at its end.
        resample: Whether its own frame rate is accepted.
        note: Frames as observed, and where.
    """

    path: str
    region: Literal["full", "left_half", "right_half"] = "full"
    skip: int = 0
    missing: int = 0
    resample: bool = False
    note: str = ""


class Persistent(Strict):
    """How the program stays loaded from clip to clip (``recipes/worker.py`` runs it).

    Attributes:
        keep: Functions and classes of the program, ``module:name``, that are called
            once per arguments: what loads weights.
        adapter: A Python file of ours beside the recipe, whose ``install(options)``
            prepares the program's process: another face detector, no GPU.
    """

    keep: list[str] = []
    adapter: str | None = None


class Recipe(Strict):
    """One published method.

    Attributes:
        title, paper, repository, commit, licence, weights_licence: What it is.
        ran: How far this recipe was run in practice, when and with what.
        environment: Name in ``envs/``.
        protocols: What it can do. Lip editors keep the source's emotion, so
            ``cross_emotion`` is not theirs.
        drives: ``video`` (edits the clip) or ``image`` (animates the reference; head and
            framing are not the clip's, frame by frame).
        emotion_control: How it can be given the emotion.
        emotions: Our names to its own; clips of others are refused. Empty: it is given
            no emotion.
        gpu: Whether it cannot run without a GPU.
        prepared: Whether it needs the user's ``prepared/{clip_id}`` folder, and what
            must be in it; empty if not.
        reference: Clip that shows it the identity, for the column ``reference_clip``:
            ``current`` or ``reference``.
        weights: Files needed.
        workdir: The working folder.
        options: Defaults of the recipe's own placeholders. ``faces``, where there is
            one: ``own`` detector of the program, or ``given`` by us.
        worker: How it stays loaded; null means a new process per clip.
        env: Environment variables; templates.
        command: Words of the command; templates. No shell. With a worker the first must
            be ``{python}``.
        cwd: Folder in which it is run; template.
        output: Where the result appears.
        traps: Known pitfalls; shown by ``methods list``.
    """

    title: str
    paper: str
    repository: str
    commit: str
    licence: str
    weights_licence: str = "not stated"
    ran: str
    environment: str
    protocols: list[Protocol]
    drives: Literal["video", "image"] = "video"
    emotion_control: Literal["none", "label", "text", "reference"] = "none"
    emotions: dict[str, str] = {}
    gpu: bool = False
    prepared: str = ""
    reference: Literal["current", "reference"] = "current"
    weights: list[Weight] = []
    workdir: Workdir = Workdir()
    options: dict[str, str | int | float] = {}
    env: dict[str, str] = {}
    worker: Persistent | None = None
    command: list[str]
    cwd: str = "{work}"
    output: Output
    traps: list[str] = []

    @model_validator(mode="after")
    def _worker_is_python(self) -> "Recipe":
        if self.worker and self.command[:1] != ["{python}"]:
            raise ValueError("with a worker, the first word of the command must be {python}")
        return self


def shipped_recipes() -> list[str]:
    """Names of the recipes in the package."""
    names = [path.name for path in files("eadbench.samples").joinpath("recipes").iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def folder_of(name: str) -> Path:
    """The folder of a recipe and its adapter."""
    if name.endswith((".yaml", ".yml")):
        return Path(name).parent
    return Path(str(files("eadbench.samples").joinpath("recipes")))


@cache  # a plan asks for the recipe of every cell
def _parsed(text: str) -> Recipe:
    return Recipe.model_validate(parse(text))


def load_recipe(name: str) -> tuple[Recipe, str]:
    """A shipped recipe by name, or a YAML file by path; with its text.

    Raises:
        EadbenchError: If there is none, or it is not valid.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.exists():
            raise EadbenchError("no such recipe", path, f"shipped ones: {', '.join(shipped_recipes())}")
    elif name in shipped_recipes():
        path = files("eadbench.samples").joinpath("recipes", f"{name}.yaml")
    else:
        raise EadbenchError(
            f"no recipe {name!r}",
            "samples.methods.*.recipe",
            f"shipped: {', '.join(shipped_recipes())}; or give the path of a YAML file",
        )
    text = path.read_text(encoding="utf-8")
    try:
        recipe = _parsed(text)
    except (yaml.YAMLError, ValidationError) as error:
        raise EadbenchError(f"not a valid recipe: {error}", path) from error
    adapter = recipe.worker and recipe.worker.adapter
    if adapter and not (folder_of(name) / adapter).exists():
        raise EadbenchError(
            "the adapter of the recipe is missing",
            folder_of(name) / adapter,
            "`worker: adapter:` is relative to the recipe",
        )
    return recipe, text
