from pathlib import Path

import pytest

from eadbench.core.config_reference import meanings, reference, walk
from eadbench.core.config_schema import config_schema
from eadbench.core.settings import SECTIONS, section_model

ROOT = Path(__file__).parents[2]
MODELS = {model: key for name in SECTIONS for key, model in walk(name, section_model(name))}


def test_the_page_is_what_the_models_say():
    assert (ROOT / "docs/reference.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_every_setting_says_what_it_means():
    silent = [line for line in reference().splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert silent == []


def test_types_defaults_and_ranges_are_told():
    page = reference()
    assert "| `size` | integer, >= 32 | `256` | Side of the aligned square" in page
    assert "| `seed` | integer |  |" in page  # no default: it must be there
    assert "### `samples.methods.NAME (kind: eadnet)`" in page
    assert "### `training.runs.NAME.model (kind: syncnet)`" in page


@pytest.mark.parametrize("model", MODELS, ids=MODELS.values())
def test_the_schema_tells_editors_the_same(model):
    properties = (config_schema()["$defs"].get(model.__name__) or {}).get("properties", {})
    assert {name: properties[name]["description"] for name in meanings(model) if name in properties} == {
        name: text for name, text in meanings(model).items() if name in properties
    }
