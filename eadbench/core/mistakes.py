"""Mistakes in a configuration in words: what is wrong, at which key, in which file and
line, and the nearest word that would be right.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from eadbench.core.errors import EadbenchError
from eadbench.core.section import Section, models_in

WHOLE = "compare with config.yaml; docs/reference.md explains every key"
OVERLAY = "a file that goes over another one is named after it (config.yaml config/smoke.yaml)"
INNER = re.compile(r"Value error, ([A-Za-z_]\w*(?:\.\w+)*): ")  # our own messages that name a key


@contextmanager
def explained(section: str, model: type[Section], raw: Any) -> Iterator[None]:
    """Turns pydantic's error about a section into words.

    Args:
        section: Its key; empty for the settings beside the sections.
        model: Its model.
        raw: Its values as they were written.

    Raises:
        EadbenchError: With all mistakes, each once.
    """
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
