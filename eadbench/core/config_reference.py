"""Every setting with its type, default, range and meaning, written from the sections'
models and their docstrings.
"""

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from eadbench.core.section import Section, models_in
from eadbench.core.settings import SECTIONS, Scalars, section_model

HEAD = """# Settings

Every setting of the configuration, in the order of the stages. `NAME` stands for a name
of your choice. A setting without a default must be there. Which jobs a change does
again is in [settings.md](settings.md). `eadbench config reference` wrote this page.
"""
COLUMNS = ("setting", "type", "default", "meaning")
BOUNDS = {"ge": ">= {}", "gt": "> {}", "le": "<= {}", "lt": "< {}"}


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a model and its bases say of its fields, by name."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        block = (inspect.getdoc(base) or "").partition("\nAttributes:\n")[2]
        for entry in re.split(r"\n(?=    \S)", block.split("\n\n")[0]):
            names, colon, text = entry.strip().partition(": ")
            if colon:
                texts |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return {name: texts[name] for name in model.model_fields if name in texts}


def reference() -> str:
    """The page, in Markdown."""
    parts = [HEAD, "## Beside the sections", _table(Scalars)]
    for name in SECTIONS:
        places: dict[type[BaseModel], list[str]] = {}
        for key, model in (*walk(name, section_model(name)), *_by_kind(name)):
            places.setdefault(model, []).append(key)
        for model, (first, *others) in places.items():
            same = f"The same under {', '.join(f'`{key}`' for key in others)}." if others else ""
            parts += ["#" * (2 + ("." in first)) + f" `{first}`", _summary(model), same, _table(model)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def walk(key: str, model: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """A section's model, then those of its fields, with the key at which each stands."""
    yield key, model
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        for below in inner:
            kind = f" (kind: {_kind(below)})" if len(inner) > 1 else ""
            yield from walk(f"{key}.{name}{_entry(field.annotation)}{kind}", below)


def _by_kind(section: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """What the configuration holds as plain mappings that each kind has a model for."""
    if section == "training":
        for kind, model in import_module("eadbench.training.config").MODELS.items():
            yield f"training.runs.NAME.model (kind: {kind})", model
    if section == "zoo":
        for kind in get_args(import_module("eadbench.zoo.config").Kind):
            module = import_module(f"eadbench.zoo.kinds.{kind}")
            for name, model in vars(module).items():
                if name.endswith("Options") and model.__module__ == module.__name__:
                    yield f"zoo.artefacts.NAME.options (kind: {kind})", model


def _entry(annotation: Any) -> str:
    """``.NAME`` for a mapping of models, ``[]`` for a list of them."""
    origin = get_origin(annotation)
    if origin is dict:
        return ".NAME"
    return "[]" if origin in (list, tuple) else "".join(map(_entry, get_args(annotation)))[:5]


def _kind(model: type[Section]) -> str:
    return get_args(model.model_fields["kind"].annotation)[0] if "kind" in model.model_fields else ""


def _summary(model: type[BaseModel]) -> str:
    return re.split(r"\n\n?Attributes:\n", inspect.getdoc(model) or "")[0].replace("``", "`")


def _table(model: type[BaseModel]) -> str:
    """One row per field that is no model of its own, without ``kind``, which the
    heading names.
    """
    texts = meanings(model)
    rows = [
        (f"`{name}`", _type(field.annotation) + _bounds(field), _default(field), texts.get(name, ""))
        for name, field in model.model_fields.items()
        if not models_in(field.annotation) and not _is_tag(field)
    ]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows] if rows else []
    escaped = [[cell.replace("``", "`").replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)


def _is_tag(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1


def _type(annotation: Any) -> str:
    """A type in words: ``number or null``, ``list of name``, the values of a choice."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in args)
    if origin is dict:
        return f"mapping to {_type(args[1])}"
    if origin is tuple and Ellipsis not in args:
        return "[" + ", ".join(map(_type, args)) + "]"
    if origin in (list, tuple):
        return f"list of {_type(args[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type(args[0])
    if args:
        return " or ".join(map(_type, sorted(args, key=lambda item: item is NoneType)))
    words = {
        str: "text",
        int: "integer",
        float: "number",
        bool: "true or false",
        NoneType: "null",
        Any: "any",
    }
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(field: FieldInfo) -> str:
    limits = [
        text.format(getattr(rule, name))
        for rule in field.metadata
        for name, text in BOUNDS.items()
        if getattr(rule, name, None) is not None
    ]
    return ", " + ", ".join(limits) if limits else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"
