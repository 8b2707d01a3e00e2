"""The configuration: read, checked as a whole, and cut down to what one command reads.

Each section has a pydantic model in ``eadbench/<section>/config.py``, and each command
a list there of what it reads (``READS``). A command is given exactly that: anything
else raises. So a job depends on what it reads and on nothing else. Pydantic and YAML
are all that this needs; the workflow imports it while it plans.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, field_validator

from eadbench.core import provenance
from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import explained, naming, nearest
from eadbench.core.references import check_references
from eadbench.core.section import NOT_GIVEN, Section, incidental, part_of, shaping
from eadbench.core.unique_yaml import parse

log = logging.getLogger(__name__)
SECTIONS = (
    "corpora",
    "clips",
    "zoo",
    "captions",
    "features",
    "training",
    "samples",
    "scores",
    "tables",
    "study",
    "audit",
)
# `synthetic` has no section: a corpus says under `studio:` how it is drawn.
STAGES = ("synthetic", *SECTIONS)
OPTIONAL = ("study", "audit")  # a configuration without one of these does without its stage
# Mappings whose entries have names of the user's choice.
NAMED = {"corpora": "sets", "zoo": "artefacts", "training": "runs", "samples": "methods"}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
NAME_RULE = (
    "a name starts with a letter and goes on with letters, digits, `_`, `-` and `.`, at most 100 in all"
)
Entry = TypeVar("Entry")
# Names of an earlier version -> those of now; understood, with a warning, for one
# release.
RENAMED = {"judge_syncnet": "syncnet_evaluator", "syncnet_judge": "syncnet_evaluator", "judges": "evaluators"}
VERB = "verb"  # key of settings that hold only what this command reads


class Scalars(Section):
    """Settings beside the sections.

    Attributes:
        seed: Every random choice derives from it.
        device: ``auto``, ``cpu`` or ``cuda``.
        container: Image that all rules run in under ``--use-apptainer``; the workflow
            alone reads it.
        pathvars: Snakemake's: folders that this configuration writes to, so that two of
            them do not share one.
    """

    seed: int
    device: str = Field(pattern="^(auto|cpu|cuda(:[0-9]+)?)$")
    container: str | None = None
    pathvars: dict[Literal["results", "logs", "benchmarks"], str] = Field(default_factory=dict)

    @field_validator("pathvars")
    @classmethod
    def _folders_are_apart(cls, folders: dict[str, str]) -> dict[str, str]:
        for key, folder in folders.items():
            if not folder.strip() or folder.startswith("~"):
                raise ValueError(f"{key}: {folder!r} is no folder; Snakemake takes `~` as a name")
        if len({Path(folder) for folder in folders.values()}) < len(folders):
            raise ValueError("two of them are the same folder")
        return folders


SCALARS = tuple(Scalars.model_fields)


class Settings:
    """What a command was given: ``settings.seed`` and the validated sections, e.g.
    ``settings.clips``.

    Args:
        raw: The configuration as read, or as recorded by an earlier version; with the
            key ``verb`` it holds only what that command reads.

    Raises:
        EadbenchError: If a key is unknown or a value does not fit; all mistakes of a
            section at once.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        valid_keys = (*SCALARS, *SECTIONS)
        for key in raw:
            if key not in (*valid_keys, VERB):
                raise EadbenchError(
                    f"unknown key {key!r} in the configuration{nearest(key, valid_keys)}",
                    key,
                    f"known keys: {', '.join(valid_keys)}",
                )
        self.raw = raw = with_new_names(raw)
        self._values: dict[str, Any] = {}
        scalars = {key: raw[key] for key in SCALARS if key in raw}
        with explained("", Scalars, scalars):
            validated = part_of(Scalars, scalars).__dict__
            self._values |= {key: validated[key] for key in scalars}
        for name in self.given:
            model = section_model(name)
            with explained(name, model, raw[name]):
                if VERB in raw:
                    self._values[name] = part_of(model, raw[name])
                else:
                    self._values[name] = model.model_validate(raw[name])

    def __getattr__(self, name: str) -> Any:
        if name not in (*SCALARS, *SECTIONS):
            raise AttributeError(name)
        if name not in self._values:
            what = "section " if name in SECTIONS else ""
            raise EadbenchError(f"the settings lack {what}{name!r}", name, NOT_GIVEN)
        return self._values[name]

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the sections that were given."""
        return tuple(name for name in SECTIONS if name in self.raw)

    @property
    def results(self) -> Path:
        """The folder of results; by itself ``results``."""
        return Path(self._values.get("pathvars", {}).get("results", "results"))

    def read_by(self, verb: str, **names: str) -> dict[str, Any]:
        """What shapes the result of a command, ready for JSON: what its job depends on.

        Args:
            verb: Stage and verb, e.g. ``clips cut``.
            names: Of the entries in question, e.g. ``corpus="hdtf"``; without, all
                entries are given.
        """
        return {VERB: verb, **self._picked(verb, names, shaping)}

    def incidental_for(self, verb: str, **names: str) -> dict[str, Any]:
        """What a command reads beside that and no result depends on."""
        return self._picked(verb, names, incidental)

    def only(self, verb: str) -> "Settings":
        """These settings as the command gets them: what it does not read raises."""
        raw = merge(self.read_by(verb), self.incidental_for(verb))
        if "pathvars" in self.raw:
            raw["pathvars"] = self.raw["pathvars"]
        return Settings(raw)

    def _picked(self, verb: str, names: dict[str, str], dump: Any) -> dict[str, Any]:
        paths = _paths_of(verb, names)
        picked: dict[str, Any] = {}
        unused_scalars: set[str] = set()
        for path in paths:
            section = path[0]
            if section not in self._values or section in SCALARS:
                continue
            _copy(self._dumped(section, dump), path[1:], picked.setdefault(section, {}))
            if len(path) == 3:
                entries = getattr(self._values[section], NAMED.get(section, ""), {})
                entry = entries.get(path[2])
                if entry is not None:
                    unused_scalars.update(entry.unused_scalars())
        for name in SCALARS:
            if [name] in paths and name in self._values and (name in unused_scalars) is (dump is incidental):
                picked[name] = self._values[name]
        for path in paths:
            if path[0].startswith("-"):
                _drop(picked.get(path[0][1:], {}), path[1:])
        return {name: value for name, value in picked.items() if not _empty(value)}

    def _dumped(self, name: str, dump: Any) -> Any:
        key = f" {dump.__name__} {name}"  # cached: a plan calls this hundreds of times
        if key not in self._values:
            self._values[key] = dump(self._values[name])
        return self._values[key]


@cache
def reads(verb: str) -> tuple[str, ...]:
    """Paths of what a command reads: ``READS`` of its stage. A path that begins with
    ``-`` is left out.
    """
    stage, name = verb.split()
    return import_module(f"eadbench.{stage}.config").READS[name]


def _paths_of(verb: str, names: dict[str, str]) -> list[list[str]]:
    """Keys of each path of :func:`reads`; placeholders become the names, or ``*``."""
    paths = []
    for path in reads(verb):
        keys = path.split(".")
        paths.append([names.get(key[1:-1], "*") if key.startswith("{") else key for key in keys])
    return paths


def section_model(name: str) -> type[Section]:
    """The pydantic model of a section: the class of that name in
    ``eadbench/<name>/config.py``, e.g. ``ClipsConfig``.
    """
    return getattr(import_module(f"eadbench.{name}.config"), f"{name.capitalize()}Config")


def shaping_for(verb: str, section: Section) -> Any:
    """What of a section shapes the result of a command; for the keys under which what
    it has finished is found again.
    """
    name, dump = verb.split()[0], shaping(section)
    paths = _paths_of(verb, {})
    picked: dict[str, Any] = {}
    for path in paths:
        if path[0] == name:
            _copy(dump, path[1:], picked)
    for path in paths:
        if path[0] == f"-{name}":
            _drop(picked, path[1:])
    return picked


def _empty(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_empty, value.values()))


def _copy(tree: dict[str, Any], path: list[str], into: dict[str, Any]) -> None:
    """Copy what stands at a path (``*`` is any key) to the same place of another tree."""
    if not path:
        into |= tree
        return
    keys = list(tree) if path[0] == "*" else [path[0]]
    for key in keys:
        if key not in tree:
            continue
        if len(path) == 1 or not isinstance(tree[key], dict):
            into[key] = dict(tree[key]) if isinstance(tree[key], dict) else tree[key]
        else:
            into[key] = dict(into.get(key, {}))
            _copy(tree[key], path[1:], into[key])


def _drop(tree: dict[str, Any], path: list[str]) -> None:
    for key in list(tree) if path[0] == "*" else [path[0]]:
        if len(path) == 1:
            tree.pop(key, None)
        elif isinstance(tree.get(key), dict):
            tree[key] = dict(tree[key])
            _drop(tree[key], path[1:])


def entry_of(entries: dict[str, Entry], name: str, where: str) -> Entry:
    """An entry of the configuration that an option names.

    Args:
        entries: The mapping, e.g. ``settings.samples.methods``.
        name: Of the entry.
        where: The mapping's place, e.g. ``samples.methods``.

    Raises:
        EadbenchError: If there is none; with the nearest name.
    """
    if name not in entries:
        raise EadbenchError(
            f"the configuration has no {name!r}{nearest(name, entries)}",
            where,
            f"known: {', '.join(entries) or 'none'}",
        )
    return entries[name]


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Overlay one configuration on another, mapping by mapping (as Snakemake merges
    several ``--configfile``).
    """
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


def without_dropped(raw: dict[str, Any]) -> dict[str, Any]:
    """The configuration without the named entries (corpora, artefacts, runs, methods)
    that a later file removed with ``name: null``.
    """
    without = dict(raw)
    for section, key, entries in _named(raw):
        remaining = {name: entry for name, entry in entries.items() if entry is not None}
        without[section] = {**raw[section], key: remaining}
    return without


def _named(raw: dict[str, Any]) -> Iterator[tuple[str, str, dict[Any, Any]]]:
    for section, key in NAMED.items():
        values = raw.get(section)
        if isinstance(values, dict) and isinstance(values.get(key), dict):
            yield section, key, values[key]


@cache
def new_name(name: str) -> str:
    """The present name for one of an earlier version (``RENAMED``), with one warning per
    process; any other as it is.
    """
    if name in RENAMED:
        log.warning("%r is now called %r; the old name will go", name, RENAMED[name])
    return RENAMED.get(name, name)


def with_new_names(raw: dict[str, Any]) -> dict[str, Any]:
    """The configuration in present names, see :func:`new_name`."""

    def new(value: Any) -> Any:
        if isinstance(value, str):
            return new_name(value)
        if isinstance(value, list):
            return [new(item) for item in value]
        if isinstance(value, dict):
            renamed: dict[str, Any] = {}
            for key in sorted(value, key=lambda key: key in RENAMED):  # an overlay's old names win
                renamed = merge(renamed, {new(key): new(value[key])})
            return renamed
        return value

    return raw | {name: new(raw[name]) for name in ("zoo", "scores") if name in raw}


def check(raw: dict[str, Any], whole: bool = False) -> Settings:
    """Check a configuration: every value, every name, and that all that is named is
    there.

    Args:
        raw: As read; ``name: null`` removes an entry.
        whole: Whether all sections must be there, as the workflow needs them.

    Raises:
        EadbenchError: For the first kind of mistake, listing all of its kind.
    """
    for section, key, entries in _named(raw):
        for name in entries:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise EadbenchError(f"{name!r} cannot be a name", f"{section}.{key}", NAME_RULE)
    raw = with_new_names(raw)  # before what an overlay drops by an old name is taken out
    settings = Settings(without_dropped(raw))
    if whole:
        for name in ("seed", "device", *(section for section in SECTIONS if section not in OPTIONAL)):
            getattr(settings, name)
    dropped = {
        f"{section}.{key}": {name for name, entry in entries.items() if entry is None}
        for section, key, entries in _named(raw)
    }
    check_references(settings, dropped)
    for section in settings.given if whole else ():
        if hasattr(module := import_module(f"eadbench.{section}.config"), "check"):
            module.check(settings)
    return settings


def load(
    settings_json: str | list[str] | None,
    config_files: list[Path] | None,
    verb: str | None = None,
    defaults: dict[str, Any] | None = None,
    whole: bool = False,
) -> Settings:
    """Read what a command was given, and check it before anything else is done.

    Args:
        settings_json: JSON text with some sections (what a rule passes), or ``@file``
            to read it from a file; several are merged.
        config_files: YAML files, later ones over earlier ones. Default ``config.yaml``.
        verb: The command, e.g. ``clips cut``, which is then given what it reads and
            nothing else.
        defaults: Values where nothing was given and the working folder has no
            ``config.yaml``; for commands that people call anywhere.
        whole: Whether all sections must be there.

    Raises:
        EadbenchError: If a file cannot be read, a key is unknown, a value does not fit,
            or a name is not there.
    """
    texts = [settings_json] if isinstance(settings_json, str) else settings_json or []
    raw: dict[str, Any] = {}
    for text in texts:
        raw = merge(raw, _from_json(text))
    if not texts and not config_files and defaults and not Path("config.yaml").exists():
        raw = defaults
    elif not texts:
        for path in config_files or [Path("config.yaml")]:
            raw = merge(raw, _from_yaml(path))
    provenance.record_config(without_dropped(raw))
    if VERB in raw:
        if verb and raw[VERB] != verb:
            raise EadbenchError(
                f"these settings are those of `{raw[VERB]}`",
                "--settings",
                f"give those of `{verb}`, or whole sections",
            )
        return Settings(raw)
    with naming([] if texts else config_files or [Path("config.yaml")]):
        settings = check(raw, whole)
    return settings.only(verb) if verb else settings


def _from_json(text: str) -> dict[str, Any]:
    where = text[1:] if text.startswith("@") else "--settings"
    if text.startswith("@"):
        text = _read(Path(where))
    try:
        values = json.loads(text)
    except ValueError as error:
        raise EadbenchError(
            f"not valid JSON: {error}", where, "--settings takes a JSON object, or @FILE with one"
        ) from error
    return _mapping(values, where)


def _from_yaml(path: Path) -> dict[str, Any]:
    try:
        values = parse(_read(path))
    except yaml.YAMLError as error:
        raise EadbenchError(
            f"not valid YAML: {' '.join(str(error).split())}",
            path,
            "check the keys, indentation and quotes there",
        ) from error
    return _mapping({} if values is None else values, path)


def refuse_doubled_keys(files: Iterable[Path]) -> None:
    """Read files that Snakemake has read, which keeps the last of two equal keys.

    Raises:
        EadbenchError: If a mapping has a key twice.
    """
    for path in files:
        _from_yaml(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise EadbenchError(
            "no such configuration", path, "run from the checkout's root or give --config FILE"
        ) from error
    except UnicodeDecodeError as error:
        raise EadbenchError(
            f"the configuration is not UTF-8 text ({error.reason} at byte {error.start})",
            path,
            "save it as UTF-8",
        ) from error
    except OSError as error:
        raise EadbenchError(
            f"the configuration cannot be read: {error.strerror}", path, "give a file"
        ) from error


def _mapping(values: Any, where: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        kind = {list: "a list", str: "a text"}.get(type(values), f"a {type(values).__name__}")
        raise EadbenchError(
            f"the configuration is {kind}, not a mapping",
            where,
            "its top level holds sections, e.g. `scores:`",
        )
    return values
