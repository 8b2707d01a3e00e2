"""Configurations with the names of an earlier version."""

import json
from pathlib import Path

import pytest
import yaml

from eadbench.core import settings

DEMO = Path(__file__).parents[2] / "config.yaml"


def old_of(raw: dict) -> dict:
    scores = {key: value for key, value in raw["scores"].items() if key != "evaluators"}
    scores["judges"] = raw["scores"]["evaluators"] | {"sync": "judge_syncnet"}
    artefacts = dict(raw["zoo"]["artefacts"])
    artefacts["judge_syncnet"] = artefacts.pop("syncnet_evaluator") | {"kind": "syncnet_judge"}
    return raw | {"scores": scores, "zoo": raw["zoo"] | {"artefacts": artefacts}}


@pytest.fixture(autouse=True)
def new_process():
    settings.new_name.cache_clear()


def test_names_of_an_earlier_version_are_understood_and_warned_of_once(caplog):
    raw = yaml.safe_load(DEMO.read_text())
    assert settings.check(old_of(raw), whole=True).scores == settings.check(raw, whole=True).scores
    assert settings.check(old_of(raw)).zoo == settings.check(raw).zoo
    assert caplog.text.count("'judge_syncnet' is now called 'syncnet_evaluator'") == 1


def test_what_an_earlier_version_gave_its_jobs_and_recorded_is_understood():
    raw = yaml.safe_load(DEMO.read_text())
    read = settings.check(raw, whole=True).read_by("scores measure")
    old = read | {"scores": {key.replace("evaluators", "judges"): v for key, v in read["scores"].items()}}
    assert "judges" in old["scores"]
    assert (
        settings.load(json.dumps(old), None, "scores measure").scores.evaluators
        == read["scores"]["evaluators"]
    )


def test_an_overlay_takes_an_entry_out_by_its_old_name():
    raw = {"zoo": yaml.safe_load(DEMO.read_text())["zoo"]}
    raw = settings.merge(raw, {"zoo": {"artefacts": {"judge_syncnet": None}}})
    assert "syncnet_evaluator" not in settings.check(raw).zoo.artefacts


def test_an_overlay_with_old_names_goes_over_the_new_ones():
    raw = settings.merge(
        yaml.safe_load(DEMO.read_text()),
        {"zoo": {"artefacts": {"judge_syncnet": {"options": {"steps": 7}}}}},
    )
    assert settings.check(raw).zoo.artefacts["syncnet_evaluator"].options["steps"] == 7


def test_names_of_now_are_left_in_peace(caplog):
    settings.check(yaml.safe_load(DEMO.read_text()), whole=True)
    assert "is now called" not in caplog.text


def test_a_title_of_a_method_is_taken_and_warned_of(caplog):
    raw = yaml.safe_load(DEMO.read_text())
    titled = settings.merge(raw, {"samples": {"methods": {"still": {"title": "A picture"}}}})
    assert settings.check(titled, whole=True).samples == settings.check(raw, whole=True).samples
    assert caplog.text.count("use `tables: labels:`") == 1
