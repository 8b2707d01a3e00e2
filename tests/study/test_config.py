"""config/study.yaml does what docs/study.md says."""

from pathlib import Path

import pytest

from eadbench.core import settings as core_settings
from eadbench.core.errors import EadbenchError

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "config.yaml", ROOT / "config/study.yaml"]
# How a run's model says that a module is off.
OFF = {"stda": ("stda", "full"), "tfrm": ("tfrm", "none"), "text": ("emotion", "none")}


@pytest.fixture(scope="module")
def settings():
    return core_settings.load(None, FILES, whole=True)


def test_every_cell_has_five_trainings_with_its_modules_and_no_others(settings):
    runs, methods = settings.training.runs, settings.samples.methods
    assert len(settings.study.cells) == 8
    for name, cell in settings.study.cells.items():
        assert len(cell.methods) == 5, name
        for method in cell.methods:
            model = runs[methods[method].run].model
            for module, (key, off) in OFF.items():
                assert (model[key] != off) == (module in cell.modules), f"{method}: {key} is {model[key]}"


def test_runs_of_one_seed_start_from_the_same_stage_1_and_seeds_from_different_ones(settings):
    runs, methods = settings.training.runs, settings.samples.methods
    for seed in range(5):
        assert {runs[methods[cell.methods[seed]].run].init for cell in settings.study.cells.values()} == {
            f"stage1_{seed + 1}"
        }


def test_cells_differ_in_their_modules_alone(settings):
    runs, methods = settings.training.runs, settings.samples.methods
    for seed in range(5):
        dumps = []
        for cell in settings.study.cells.values():
            dump = runs[methods[cell.methods[seed]].run].model_dump(exclude={"base"})
            dumps.append(
                dump
                | {
                    "model": {
                        k: v for k, v in dump["model"].items() if k not in {key for key, _ in OFF.values()}
                    }
                }
            )
        assert all(dump == dumps[0] for dump in dumps)


def test_eight_speakers_are_never_trained_on(settings):
    corpus = settings.corpora.sets["study_mead"]
    assert len(corpus.studio.actors) - len(corpus.split.test) >= 16 and len(corpus.split.test) == 8
    assert set(corpus.split.test) == set(corpus.studio.test_actors) and settings.samples.max_clips == 48


def test_the_document_states_the_hypotheses_that_the_configuration_tests(settings):
    text = (ROOT / "docs/study.md").read_text(encoding="utf-8")
    for name, hypothesis in settings.study.hypotheses.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        for word in (
            hypothesis.effect,
            hypothesis.metric,
            hypothesis.claim,
            f"{hypothesis.smallest:g}",
            hypothesis.protocol,
        ):
            assert f"| {word} " in row, f"{name}: {word}"


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"study": {"explore": ["ssmi"]}}, "did you mean 'ssim'"),
        (
            {"samples": {"methods": {"full_1": {"protocols": ["self"]}}}},
            "'full_1' is not rendered on 'study_mead' under 'cross_emotion'",
        ),
        ({"samples": {"methods": {"full_1": None}}}, "full_1"),
    ],
)
def test_mistakes_are_refused_before_anything_is_planned(tmp_path, over, message):
    import yaml

    path = tmp_path / "over.yaml"
    path.write_text(yaml.safe_dump(over))
    with pytest.raises(EadbenchError, match=message):
        core_settings.load(None, [*FILES, path], whole=True)


def test_other_readings_differ_from_the_complete_cell_in_the_one_module_that_they_name():
    settings = core_settings.load(None, [*FILES, ROOT / "config/study_readings.yaml"], whole=True)
    runs, study = settings.training.runs, settings.study
    assert {reading.module for reading in study.readings.values()} == {"stda", "tfrm"}
    for name, reading in study.readings.items():
        for seed, method in enumerate(reading.methods):
            complete = runs[study.cells[study.complete].methods[seed]].model_dump(exclude={"base"})
            other = runs[settings.samples.methods[method].run].model_dump(exclude={"base"})
            assert other.pop("model") == complete.pop("model") | {reading.module: name}
            assert other == complete
    for command in ("study analyse", "study readings"):
        core_settings.load(None, [*FILES, ROOT / "config/study_readings.yaml"], command)
