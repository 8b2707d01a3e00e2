"""JSON schema of the whole configuration, made from the sections' models, for editors
that check YAML while it is written.
"""

from typing import Any

from pydantic.json_schema import models_json_schema

from eadbench.core.config_reference import meanings, walk
from eadbench.core.settings import OPTIONAL, SECTIONS, section_model


def config_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    models = {name: section_model(name) for name in SECTIONS}
    references, shared = models_json_schema(
        [(model, "validation") for model in models.values()], ref_template="#/$defs/{model}"
    )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of eadbench",
        "description": "From the models in eadbench/*/config.py. `eadbench config check` also looks at "
        "names and circles.",
        "type": "object",
        "additionalProperties": False,
        "required": ["seed", "device", *(name for name in SECTIONS if name not in OPTIONAL)],
        "properties": {
            "seed": {"type": "integer", "description": "every random choice derives from it"},
            "device": {
                "type": "string",
                "pattern": "^(auto|cpu|cuda(:[0-9]+)?)$",
                "description": "auto, cpu or cuda",
            },
            "container": {
                "type": ["string", "null"],
                "description": "image that all rules run in under --use-apptainer",
            },
            **{name: references[(model, "validation")] for name, model in models.items()},
        },
        "$defs": shared["$defs"],
    }
    for name, section in models.items():
        for _, model in walk(name, section):
            properties = schema["$defs"].get(model.__name__, {}).get("properties", {})
            for field, text in meanings(model).items():
                properties.get(field, {}).setdefault("description", text)
    schema["$defs"]["RunConfig"].pop("required")  # a run with `base` takes its kind from there
    return _by_kind(schema)


def _by_kind(node: Any) -> Any:
    """Write "one of these, told apart by `kind`" as conditions, so that a mistake is
    reported for the kind at hand and not as "fits none".
    """
    if isinstance(node, list):
        return [_by_kind(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _by_kind(value) for key, value in node.items()}
    if "discriminator" not in node:
        return node
    name, kinds = node["discriminator"]["propertyName"], node["discriminator"]["mapping"]
    return {
        "type": "object",
        "required": [name],
        "properties": {name: {"enum": list(kinds)}},
        "allOf": [
            {"if": {"properties": {name: {"const": kind}}}, "then": {"$ref": reference}}
            for kind, reference in kinds.items()
        ],
    }
