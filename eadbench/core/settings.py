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
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from eadbench.core import provenance
from eadbench.core.errors import EadbenchError
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
WHOLE = "compare with config.yaml; docs/reference.md explains every key"
OVERLAY = "a file that goes over another one is named after it (config.yaml config/smoke.yaml)"
NOT_GIVEN = "pass it with --settings, or use --config"
Entry = TypeVar("Entry")
INNER = re.compile(r"Value error, ([A-Za-z_]\w*(?:\.\w+)*): ")  # our own messages that name a key
# Names of an earlier version -> those of now; understood, with a warning, for one
# release.
RENAMED = {"judge_syncnet": "syncnet_evaluator", "syncnet_judge": "syncnet_evaluator", "judges": "evaluators"}
VERB = "verb"  # key of settings that hold only what this command reads
# For `Field(json_schema_extra=...)`: the command reads it, but no result depends on it
# (logging, workers, caches, licences).
SHAPES_NOTHING: dict[str, Any] = {"shapes": False}


@dataclass(frozen=True)
class Ref:
    """Marks a field that names an entry of a mapping of the configuration, e.g.
    ``Ref("training.runs")``.
    """

    mapping: str


CorpusName = Annotated[str, Ref("corpora.sets")]
ArtefactName = Annotated[str, Ref("zoo.artefacts")]
RunName = Annotated[str, Ref("training.runs")]
MethodName = Annotated[str, Ref("samples.methods")]


@dataclass(frozen=True)
class Requires:
    """What an output needs of the stages before, by the names in the configuration.

    Attributes:
        artefacts: Of the zoo.
        clips, captions, features: Corpora whose tables it reads.
        runs: Role (``init``, ``syncnet``, ``run``) to the run that has it.
        after: Method whose results it reads.
    """

    artefacts: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    after: str | None = None


class Section(BaseModel):
    """Base of all section models: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_slips(cls, values: Any) -> Any:
        for key in cls.model_fields.keys() & values.keys() if isinstance(values, dict) else ():
            try:
                refuse_slips(cls.model_fields[key].annotation, values[key])
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from error
        return values

    def trim(self, dump: dict[str, Any]) -> None:
        """Remove from a dump of these values what they make irrelevant, e.g. the
        captioners that are not chosen.
        """

    def in_use(self) -> dict[str, Any]:
        """The fields whose names of other entries must be there; all by default."""
        return self.__dict__

    def unused_scalars(self) -> tuple[str, ...]:
        """Of ``seed`` and ``device``, what this entry of a named mapping does not use."""
        return ()

    def __getattr__(self, name: str) -> Any:
        if name in type(self).model_fields:
            raise EadbenchError(f"the settings lack {name!r} ({type(self).__name__})", name, NOT_GIVEN)
        return super().__getattr__(name)


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
        with _explained("", Scalars, scalars):
            validated = part_of(Scalars, scalars).__dict__
            self._values |= {key: validated[key] for key in scalars}
        for name in self.given:
            model = section_model(name)
            with _explained(name, model, raw[name]):
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


def shaping(value: Any) -> Any:
    """What of some settings shapes a result, as JSON can hold it; for jobs' parameters
    and for the keys of what may be resumed.
    """
    if isinstance(value, Section):
        dump = {key: shaping(item) for key, item in value.__dict__.items() if _shapes(type(value), key)}
        value.trim(dump)
        return dump
    if isinstance(value, dict):
        return {key: shaping(item) for key, item in value.items()}
    return [shaping(item) for item in value] if isinstance(value, (list, tuple)) else value


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


def incidental(value: Any) -> dict[str, Any]:
    """The rest: what a command reads and no result depends on."""
    if not isinstance(value, (Section, dict)):
        return {}
    is_section = isinstance(value, Section)
    rest = {}
    for key, item in (value.__dict__ if is_section else value).items():
        if is_section and not _shapes(type(value), key):
            rest[key] = shaping(item)
        elif inner := incidental(item):
            rest[key] = inner
    return rest


def _shapes(model: type[Section], key: str) -> bool:
    extra = model.model_fields[key].json_schema_extra
    return not (isinstance(extra, dict) and extra.get("shapes") is False)


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


def models_in(annotation: Any) -> list[type[Section]]:
    """Section models that a field's type is made of."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, Section) else []
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def checked_type(field: FieldInfo) -> Any:
    """The type of a field for a ``TypeAdapter``, with its constraints and
    :func:`refuse_slips`.
    """
    annotation = field.annotation
    return Annotated[(annotation, *field.metadata, BeforeValidator(partial(refuse_slips, annotation)))]


def refuse_slips(annotation: Any, value: Any) -> Any:
    """The value, if it is no slip of the pen that pydantic would accept: it takes ``yes``
    for the number 1.

    Raises:
        ValueError: For a truth value where the type has none, or a list of texts that
            holds one twice.
    """
    items = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(item, bool) for item in items) and not _has_bool(annotation):
        raise ValueError("`true`, `yes` and the like are neither numbers nor texts; quote what is a text")
    if len(items) > 1 and all(isinstance(item, str) for item in items) and len(set(items)) < len(items):
        raise ValueError(f"{next(item for item in items if items.count(item) > 1)!r} stands twice")
    return value


def _has_bool(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(map(_has_bool, get_args(annotation)))


def part_of(model: type[Section], values: Any) -> Any:
    """A section that may lack fields: those given are validated, reading another one
    raises (unless it shapes nothing: its default).
    """
    if not isinstance(values, dict):
        return model.model_validate(values)
    fields = model.model_fields
    is_complete = {key for key in fields if _shapes(model, key)} <= set(values)
    has_inner_models = any(models_in(field.annotation) for field in fields.values())
    if is_complete and not has_inner_models:
        return model.model_validate(values)
    validated = {}
    for key, value in values.items():
        if key not in fields:
            model.model_validate({key: value})  # says which
        with _located(key):
            validated[key] = _part_of(fields[key].annotation, checked_type(fields[key]), value)
    for key, field in fields.items():
        if key not in validated and not _shapes(model, key) and not field.is_required():
            validated[key] = field.get_default(call_default_factory=True)
    built = model.model_construct()
    object.__setattr__(built, "__dict__", validated)
    return built


def _part_of(annotation: Any, whole: Any, value: Any) -> Any:
    models = models_in(annotation)
    if not models or not isinstance(value, dict):
        return TypeAdapter(whole).validate_python(value)
    if _is_mapping(annotation):
        entry = get_args(annotation)[1]
        validated = {}
        for key, item in value.items():
            with _located(key):
                validated[key] = _part_of(entry, entry, item)
        return validated
    for model in models if len(models) > 1 else ():
        if value.get("kind") in get_args(model.model_fields["kind"].annotation):
            return part_of(model, value)
    return part_of(models[0], value)


@contextmanager
def _located(key: str) -> Iterator[None]:
    """Adds a key to the place of the mistakes below it."""
    try:
        yield
    except ValidationError as error:
        lines = [
            {"type": e["type"], "loc": (key, *e["loc"]), "input": e["input"], "ctx": e.get("ctx", {})}
            for e in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, lines) from error


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict


@contextmanager
def _explained(section: str, model: type[Section], raw: Any) -> Iterator[None]:
    """Turns pydantic's error into an :class:`EadbenchError`."""
    try:
        yield
    except ValidationError as error:
        errors = _as_written(error.errors(), raw)
        places: dict[str, None] = {}
        for mistake in errors:
            keys = (section, *_keys(_loc(mistake, raw), raw))
            places[".".join(filter(None, keys))] = None
        message = "; ".join(dict.fromkeys(_mistake(mistake, model) for mistake in errors))
        lacks = any(mistake["type"] in ("missing", "union_tag_not_found") for mistake in errors)
        hint = f"{WHOLE}; {OVERLAY}" if lacks else WHOLE
        raise EadbenchError(f"invalid configuration: {message}", "; ".join(places), hint) from error


def _as_written(errors: list[Any], raw: Any) -> list[Any]:
    """The mistakes that stand in the configuration, without their copies in the runs
    and methods that inherit them.
    """
    written = [error for error in errors if error["type"] == "missing" or _stands(_named_by(error), raw)]
    keys = {_named_by(error)[-1:] for error in written}
    return [error for error in errors if error in written or _named_by(error)[-1:] not in keys]


def _named_by(error: Any) -> tuple[Any, ...]:
    """Pydantic's place of a mistake, with the keys below it that our own message begins
    with (``model.stda: ...``).
    """
    inner = INNER.match(error["msg"]) if error["type"] == "value_error" else None
    return (*error["loc"], *inner[1].split(".")) if inner else error["loc"]


def _loc(error: Any, raw: Any) -> tuple[Any, ...]:
    """The same, as far as it stands in the configuration."""
    named = _named_by(error)
    return named if _stands(named, raw) else error["loc"]


def _stands(loc: tuple[Any, ...], raw: Any) -> bool:
    """Whether the configuration holds the key of a place."""
    for number, key in enumerate(loc):
        in_mapping = isinstance(raw, dict) and key in raw
        in_list = isinstance(raw, (list, tuple)) and isinstance(key, int) and key < len(raw)
        if in_mapping or in_list:
            raw = raw[key]
        elif number + 1 == len(loc):
            return False
    return True


def _keys(loc: tuple[Any, ...], raw: Any) -> Iterator[str]:
    """A mistake's place in the file: pydantic's place without the kinds of unions that
    it puts in between.
    """
    for number, key in enumerate(loc):
        if isinstance(raw, dict) and key in raw:
            raw = raw[key]
        elif isinstance(raw, (list, tuple)) and isinstance(key, int):
            raw = raw[key] if key < len(raw) else None
        elif number + 1 < len(loc):
            continue
        yield str(key)


@contextmanager
def naming(files: Iterable[Path]) -> Iterator[None]:
    """Adds to a mistake's place the file and the line that it is from: of several, the
    last that goes as deep.

    Args:
        files: YAML files, later ones over earlier ones.
    """
    try:
        yield
    except EadbenchError as error:
        lines = []
        for place in error.where.split("; "):
            depths = [(*_depth(path, place.partition(":")[0]), path) for path in files]
            depth, line, path = max(reversed(depths), key=lambda entry: entry[0], default=(0, 0, None))
            lines += [f"{path}, line {line}"] if depth else []
        if not lines:
            raise
        raise EadbenchError(
            error.what, f"{error.where} ({'; '.join(dict.fromkeys(lines))})", error.hint
        ) from error.__cause__


def _depth(path: Path, place: str) -> tuple[int, int]:
    """How many keys of a dotted place a file has, and the line of the deepest."""
    try:
        node, line, depth = yaml.compose(path.read_text(encoding="utf-8")), 0, 0
    except (OSError, ValueError, yaml.YAMLError):
        return 0, 0
    while place and isinstance(node, (yaml.MappingNode, yaml.SequenceNode)):
        items = node.value if isinstance(node, yaml.MappingNode) else enumerate(node.value)
        for key, value in items:  # names may hold dots
            name = str(key.value if isinstance(key, yaml.Node) else key)
            if f"{place}.".startswith(f"{name}."):
                node, place, depth = value, place[len(name) + 1 :], depth + 1
                line = (key if isinstance(key, yaml.Node) else value).start_mark.line + 1
                break
        else:
            break
    return depth, line


def mistakes(error: ValidationError, model: type[Section]) -> str:
    """The mistakes, each once: the key, what is wrong, what was given."""
    return "; ".join(dict.fromkeys(_mistake(detail, model) for detail in error.errors()))


def _mistake(error: Any, model: type[Section]) -> str:
    path = ".".join(map(str, error["loc"])) or "the section"
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key{nearest(error['loc'][-1], _fields_at(model, error['loc'][:-1]))}"
    if error["type"] == "missing":
        return f"{path}: is missing"
    if error["type"] == "union_tag_not_found":
        return f"{path}.{error['ctx']['discriminator'].strip(chr(39))}: is missing"
    if error["type"] in ("literal_error", "union_tag_invalid"):  # one of a few words: the nearest of them
        value = error["ctx"].get("tag", error["input"])
        words = re.findall(r"'([^']*)'", error["ctx"].get("expected") or error["ctx"]["expected_tags"])
        if "discriminator" in error["ctx"]:
            path += f".{error['ctx']['discriminator'].strip(chr(39))}"
        return f"{path}: {value!r} is not known{nearest(value, words)}; known: {', '.join(words)}"
    if error["input"] is None and error["type"] in ("model_type", "dict_type", "list_type"):
        return f"{path}: is empty; give it values, or leave it out"
    # The beginning of a whole section says nothing about what is wrong in it.
    of_section = error["type"] == "value_error" and isinstance(error["input"], dict)
    suffix = "" if of_section or INNER.match(error["msg"]) else f" (given: {error['input']!r:.80})"
    return f"{path}: {error['msg'].removeprefix('Value error, ')}{suffix}"


def _fields_at(model: type[Section], loc: tuple[Any, ...]) -> list[str]:
    """Names of the fields that can stand at a place of a section."""
    models = [model]
    for key in loc:
        inner_models, of_kind = [], []
        for m in models:
            if key in m.model_fields:
                inner_models += models_in(m.model_fields[key].annotation)
            if "kind" in m.model_fields and key in get_args(m.model_fields["kind"].annotation):
                of_kind.append(m)
        models = inner_models or of_kind or models
    return [name for m in models for name in m.model_fields]


def nearest(word: object, names: Any) -> str:
    """`` (did you mean 'x'?)`` where a name is near, else nothing."""
    matches = get_close_matches(str(word), [str(name) for name in names], 1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


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
    _check_references(settings, dropped)
    for section in settings.given if whole else ():
        if hasattr(module := import_module(f"eadbench.{section}.config"), "check"):
            module.check(settings)
    return settings


def _check_references(settings: Settings, dropped: dict[str, set[str]]) -> None:
    """All that is named must be there, and nothing may wait for itself.

    ``tables`` may go on naming what a later file removed: its rows and columns are left
    out.
    """
    unknown: dict[tuple[str, str], list[str]] = {}
    edges: dict[tuple[str, str], dict[str, str]] = {}
    for section in settings.given:
        for path, mapping, name in references(getattr(settings, section), section):
            if mapping.partition(".")[0] not in settings.given:
                continue
            entries = _entries(settings, mapping)
            may_be_dropped = section == "tables" and name in dropped.get(mapping, ())
            if name not in entries and not may_be_dropped:
                paths = unknown.setdefault((mapping, name), [])
                paths += [path] if path not in paths else []
            elif path.startswith(f"{mapping}."):
                rest = path.removeprefix(f"{mapping}.")
                entry = next((other for other in entries if rest.startswith(f"{other}.")), None)
                edges.setdefault((mapping, entry), {})[name] = path
    if unknown:
        raise _unknown_names(settings, unknown, dropped)
    for mapping, entry in edges:
        if circle := _circle(edges, mapping, entry, ()):
            raise EadbenchError(
                f"{mapping}: {' -> '.join(circle)} is a circle",
                edges[mapping, circle[0]][circle[1]],
                "let one of them name another",
            )


def _entries(settings: Settings, mapping: str) -> dict[str, Any]:
    """The entries of a mapping such as ``training.runs``."""
    section, _, key = mapping.partition(".")
    return getattr(getattr(settings, section), key)


def _unknown_names(
    settings: Settings, unknown: dict[tuple[str, str], list[str]], dropped: dict[str, set[str]]
) -> EadbenchError:
    """The error about names that no mapping has, each once: mapping and name -> where it
    stands.
    """
    messages, places, hint = [], [], WHOLE
    for (mapping, name), (first, *others) in unknown.items():
        places.append(first)
        if name in dropped.get(mapping, ()):
            reason, hint = f": `{name}: null` takes it out", "let them name another, or take them out, too"
            places.append(f"{mapping}.{name}")
        else:
            entries = _entries(settings, mapping)
            reason = nearest(name, entries) or f" (known: {', '.join(entries) or 'none'})"
        message = f"{first}: {name!r} is not in {mapping}{reason}"
        if others:
            message += f"; also named by {', '.join(others[:4])}"
        if len(others) > 4:
            message += f" and {len(others) - 4} more"
        messages.append(message)
    return EadbenchError(
        "the configuration names what is not there: " + "; ".join(messages), "; ".join(places), hint
    )


def _circle(
    edges: dict[tuple[str, str], dict[str, str]], mapping: str, name: str, seen: tuple[str, ...]
) -> tuple[str, ...]:
    if name in seen:
        return (*seen[seen.index(name) :], name)
    for other in edges.get((mapping, name), {}):
        if circle := _circle(edges, mapping, other, (*seen, name)):
            return circle
    return ()


def references(
    value: Any, path: str, annotation: Any = None, metadata: tuple[Any, ...] = ()
) -> Iterator[tuple[str, str, str]]:
    """Every name in a section that names an entry of some mapping: (where it stands,
    the mapping, the name). Unread fields are skipped.
    """
    if isinstance(value, Section):
        read = value.in_use()
        for key, field in type(value).model_fields.items():
            if key in read:
                yield from references(read[key], f"{path}.{key}", field.annotation, tuple(field.metadata))
        return
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    if isinstance(value, str):
        ref = next((mark for mark in metadata if isinstance(mark, Ref)), None) or _ref_of(annotation)
        if ref:
            yield path, ref.mapping, value
    elif isinstance(value, dict):
        keys, values = get_args(annotation) if _is_mapping(annotation) else (None, None)
        for key, item in value.items():
            yield from references(key, f"{path}.{key}", keys)
            yield from references(item, f"{path}.{key}", values)
    elif isinstance(value, (list, tuple)):
        # ``list[X]``, or one of the choices of ``list[X] | None``
        choices = (annotation, *get_args(annotation))
        lists = [get_args(choice) for choice in choices if get_origin(choice) in (list, tuple)]
        inner = next(filter(None, lists), (None,))[0]
        for number, item in enumerate(value):
            yield from references(item, f"{path}.{number}", inner)


def _ref_of(annotation: Any) -> Ref | None:
    """The mark in ``RunName | None``."""
    for choice in get_args(annotation):
        if get_origin(choice) is Annotated:
            for mark in get_args(choice)[1:]:
                if isinstance(mark, Ref):
                    return mark
    return None


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
