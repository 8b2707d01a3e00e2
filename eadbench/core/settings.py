"""Sections of the configuration, validated, as far as a command was given them."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from eadbench.core import provenance
from eadbench.core.errors import EadbenchError

SECTIONS = ("corpora", "clips", "zoo", "captions", "features", "training", "samples", "scores", "tables")
NAMED = {"corpora": "sets", "zoo": "artefacts", "training": "runs", "samples": "methods"}  # mappings whose entries have names of the user's choice
SCALARS = {"seed": int, "device": str, "container": str}  # the workflow alone reads `container`


class Section(BaseModel):
    """Base of all section models: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings:
    """What a command was given: ``settings.seed`` and the validated sections, e.g. ``settings.clips``."""

    def __init__(self, raw: dict[str, Any]) -> None:
        unknown = [key for key in raw if key not in (*SECTIONS, *SCALARS)]
        if unknown:
            raise EadbenchError(f"unknown key {unknown[0]!r} in the configuration", unknown[0], f"known keys: {', '.join((*SCALARS, *SECTIONS))}")
        self.raw = raw
        self._sections: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name in SCALARS:
            if name not in self.raw:
                raise EadbenchError(f"the settings lack {name!r}", name, "pass it with --settings, or use --config")
            return SCALARS[name](self.raw[name])
        if name not in SECTIONS:
            raise AttributeError(name)
        if name not in self.raw:
            raise EadbenchError(f"the settings lack section {name!r}", name, "pass it with --settings, or use --config")
        if name not in self._sections:
            self._sections[name] = _validate(name, self.raw[name])
        return self._sections[name]

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the sections that were given."""
        return tuple(name for name in SECTIONS if name in self.raw)


def section_model(name: str) -> type[BaseModel]:
    """The pydantic model of a section: the class of that name in ``eadbench/<name>/config.py``, e.g. ``ClipsConfig``."""
    return getattr(import_module(f"eadbench.{name}.config"), f"{name.capitalize()}Config")


def _validate(name: str, value: Any) -> Any:
    try:
        return section_model(name).model_validate(value)
    except ValidationError as error:
        raise EadbenchError(_describe(error), f"config section {name!r}", "compare with config.yaml, which explains every key") from error


def _describe(error: ValidationError) -> str:
    """One line per mistake: the key, what is wrong, what was given."""
    lines = [f"{'.'.join(map(str, e['loc'])) or '(section)'}: {e['msg']} (given: {e['input']!r:.80})" for e in error.errors()]
    return "invalid configuration\n    " + "\n    ".join(lines)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Overlay one configuration on another, mapping by mapping (as Snakemake merges several ``--configfile``)."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
    return merged


def without_dropped(raw: dict[str, Any]) -> dict[str, Any]:
    """The configuration without the named entries (corpora, artefacts, runs, methods) that a later file took out with ``name: null``."""
    kept = dict(raw)
    for section, key in NAMED.items():
        if isinstance(named := (raw.get(section) or {}).get(key), dict):
            kept[section] = {**raw[section], key: {name: entry for name, entry in named.items() if entry is not None}}
    return kept


def load(settings_json: str | None, config_files: list[Path] | None) -> Settings:
    """Read what a command was given.

    Args:
        settings_json: JSON text with some sections (what a rule passes), or ``@file`` to read it from a file.
        config_files: YAML files, later ones over earlier ones. Default ``config.yaml``.

    Raises:
        EadbenchError: If a file is missing, not YAML, or a key is unknown.
    """
    if settings_json:
        text = Path(settings_json[1:]).read_text() if settings_json.startswith("@") else settings_json
        return _noted(json.loads(text))
    raw: dict[str, Any] = {}
    for path in config_files or [Path("config.yaml")]:
        try:
            raw = merge(raw, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except FileNotFoundError as error:
            raise EadbenchError("no such configuration", path, "run from the checkout's root or give --config FILE") from error
        except yaml.YAMLError as error:
            raise EadbenchError(f"not valid YAML: {error}", path) from error
    return _noted(without_dropped(raw))


def _noted(raw: dict[str, Any]) -> Settings:
    provenance.given(raw)
    return Settings(raw)


def validate_all(raw: dict[str, Any]) -> None:
    """Check a whole configuration; used once at the start of the workflow.

    Raises:
        EadbenchError: At the first section with mistakes, listing them all.
    """
    settings = Settings(raw)
    for name in SECTIONS:
        getattr(settings, name)
