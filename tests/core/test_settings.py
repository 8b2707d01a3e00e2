"""The configuration at the door: one line that says what, where and how to fix it,
before anything else is done.
"""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from eadbench.core.errors import EadbenchError
from eadbench.core.section import shaping
from eadbench.core.settings import Settings, check, load, merge, shaping_for
from eadbench.core.unique_yaml import parse
from eadbench.samples.config import FOR_EACH
from eadbench.training.config import MODELS
from eadbench.zoo.config import Kind

ROOT = Path(__file__).parents[2]


def raw_of(*names: str) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for name in names or ("config.yaml",):
        raw = merge(raw, yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
    return raw


def refused(over: dict[str, Any]) -> str:
    """What is said of the demo's configuration with a mistake in it."""
    with pytest.raises(EadbenchError) as caught:
        check(merge(raw_of(), over), whole=True)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{bad", "not valid JSON"),
        ("[1]", "is a list"),
        ("@missing.json", "no such configuration"),
        ('{"seed": "abc"}', "seed: Input should be a valid integer"),
        ('{"seed": 1, "device": "gpu"}', "device: String should match"),
        ('{"sede": 1}', "did you mean 'seed'"),
    ],
)
def test_settings_that_are_no_settings_are_refused(text, message):
    with pytest.raises(EadbenchError, match=message):
        load(text, None)


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "text.yaml").write_text("hello\n")
    (tmp_path / "latin.yaml").write_bytes("seed: 1 # \xe9".encode("latin-1"))
    (tmp_path / "bad.yaml").write_text("a: [\n")
    cases = {
        "list.yaml": "is a list",
        "text.yaml": "is a text",
        "latin.yaml": "not UTF-8",
        "bad.yaml": "not valid YAML",
        "none.yaml": "no such",
    }
    for name, message in cases.items():
        with pytest.raises(EadbenchError, match=message):
            load(None, [tmp_path / name])
    with pytest.raises(EadbenchError, match="cannot be read: Is a directory"):
        load(None, [tmp_path])


@pytest.mark.parametrize(
    ("over", "messages"),
    [
        ({"clips": {"min_second": 1}}, ["min_second", "did you mean 'min_seconds'"]),
        ({"samples": {"methods": {"still": {"protocls": ["self"]}}}}, ["did you mean 'protocols'"]),
        (
            {"samples": {"methods": {"full": {"sampler": {"step": 3}}}}},
            ["methods.full", "did you mean 'steps'"],
        ),
        ({"training": {"optim": {"steps": "many"}}}, ["optim: steps", "valid integer", "many"]),
        ({"training": {"runs": {"full": {"optim": {"steps": "many"}}}}}, ["runs.full.optim.steps", "many"]),
        ({"training": {"model": {"block_chanels": [1]}}}, ["block_chanels", "did you mean 'block_channels'"]),
        ({"training": {"runs": {"no_stda": {"base": "no_stda"}}}}, ["no_stda -> no_stda is a circle"]),
        ({"training": {"runs": {"full": {"base": "no_stda"}}}}, ["is a circle", "no_stda"]),
        ({"training": {"runs": {"no_stda": {"base": "ful"}}}}, ["no run 'ful'", "did you mean 'full'"]),
        ({"training": {"runs": {"stage1": {"init": "full"}}}}, ["is a circle", "stage1"]),
        (
            {"training": {"runs": {"full": {"init": "nobody"}}}},
            ["training.runs.full.init: 'nobody' is not in training.runs"],
        ),
        ({"training": {"runs": {"full": {"syncnet": "sincnet"}}}}, ["did you mean 'syncnet'"]),
        (
            {"training": {"runs": {"full": {"parts": ["vea"]}}}},
            ["'vea' is not in zoo.artefacts", "did you mean 'vae'"],
        ),
        ({"training": {"train_on": ["demo_hdft"]}}, ["training.train_on.0", "did you mean 'demo_hdtf'"]),
        ({"zoo": {"train_on": ["demo_hdft"]}}, ["zoo.train_on.0", "did you mean 'demo_hdtf'"]),
        (
            {"zoo": {"artefacts": {"vae": {"needs": ["lpips"]}, "lpips": {"needs": ["vae"]}}}},
            ["vae -> lpips -> vae is a circle"],
        ),
        (
            {"samples": {"methods": {"still": {"corpora": ["demo_hdft"]}}}},
            ["samples.methods.still.corpora.0", "did you mean 'demo_hdtf'"],
        ),
        (
            {"samples": {"methods": {"full": {"run": "nobody"}}}},
            ["samples.methods.full.run: 'nobody' is not in training.runs"],
        ),
        ({"samples": {"methods": {"folder": {"after": "miror"}}}}, ["did you mean 'mirror'"]),
        ({"samples": {"methods": {"folder": {"after": "folder"}}}}, ["folder -> folder is a circle"]),
        (
            {"samples": {"methods": {"mirror": {"command": "run {vidoe} {out}", "per": "clip"}}}},
            ["{vidoe}", "did you mean"],
        ),
        (
            {"samples": {"methods": {"folder": {"path": "videos/{corpsu}"}}}},
            ["{corpsu}", "did you mean '{corpus}'"],
        ),
        ({"samples": {"methods": {"folder": {"path": "not/there", "after": None}}}}, ["not/there"]),
        ({"tables": {"methods": ["full", "mien"]}}, ["tables.methods.1: 'mien' is not in samples.methods"]),
        (
            {"tables": {"main": {"corpora": ["demo_hdft"]}}},
            ["tables.main.corpora.0", "did you mean 'demo_hdtf'"],
        ),
        ({"tables": {"main": {"metrics": ["ssmi"]}}}, ["did you mean 'ssim'"]),
        ({"scores": {"evaluators": {"fid": "incepton"}}}, ["did you mean 'inception'"]),
        ({"scores": {"metrics": ["ssmi"]}}, ["ssmi", "did you mean 'ssim'"]),
        ({"scores": {"metrics": []}}, ["metrics", "at least 1"]),
        ({"scores": {"evaluators": {"fid": "i3d"}}}, ["'i3d' is of kind i3d, which cannot measure fid"]),
        (
            {"corpora": {"sets": {"demo_mead": {"split": {"test": ["M003"], "val": ["M012", "M003"]}}}}},
            ["demo_mead.split", "'M003' stands under `test` and under `val`"],
        ),
        (
            {"samples": {"methods": {"full": {"kind": "eadnt"}}}},
            ["methods.full.kind: 'eadnt'", "did you mean 'eadnet'"],
        ),
        ({"samples": {"methods": {"still": {"protocols": ["slef"]}}}}, ["'slef'", "did you mean 'self'"]),
        (
            {
                "samples": {
                    "methods": {"x": {"kind": "external", "recipe": "musetlk", "corpora": ["demo_hdtf"]}}
                }
            },
            ["did you mean 'musetalk'"],
        ),
        (
            {
                "samples": {
                    "methods": {
                        "x": {
                            "kind": "external",
                            "recipe": "eat",
                            "python": "no/python",
                            "corpora": ["demo_hdtf"],
                        }
                    }
                }
            },
            ["no/python"],
        ),
        ({"samples": {"methods": {"mirror": {"reads": ["no/weights"]}}}}, ["no/weights"]),
        ({"captions": {"filter": {"embedder": "sentense"}}}, ["did you mean 'sentence'"]),
        ({"zoo": {"artefacts": {"vae": None}}}, ["'vae'"]),
        (
            {"samples": {"methods": {"ground_truth": {"corpora": ["demo_hdtf"]}}}},
            ["ground_truth", "demo_mead"],
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_nearest_name(over, messages):
    said = refused(over)
    for message in messages:
        assert message in said, said


OVERLAYS = {
    "an unknown key": (
        "samples:\n  methods:\n    s.ill: {kind: still, corpora: [demo_hdtf]}\n    full: {samplr: {}}\n",
        "samples.methods.full.samplr",
        4,
    ),
    "an unknown word": (
        "samples:\n  methods:\n    full:\n      protocols: [self, slef]\n",
        "samples.methods.full.protocols.1",
        4,
    ),
    "a name that is not there": ("tables:\n  methods:\n    - full\n    - mien\n", "tables.methods.1", 4),
    "a placeholder": (
        "samples: {methods: {mirror: {command: 'x {vidoe} {out}'}}}\n",
        "samples.methods.mirror.command",
        1,
    ),
    "a path": (
        "\nsamples: {methods: {folder: {path: no/folder, after: null}}}\n",
        "samples.methods.folder.path: no/folder",
        2,
    ),
    "an unknown section": ("seed: 1\ntabels: {}\n", "tabels", 2),
    "a value of the wrong type": ("seed: abc\n", "seed", 1),
    "a key of all runs": ("training:\n  optim: {stpes: 3}\n", "training.optim.stpes", 2),
    "a size of all runs": ("training:\n  model: {stad: full}\n", "training.model.stad", 2),
    "a key of a run that others are based on": (
        "training: {runs: {full: {losses: {sinc: 1}}}}\n",
        "training.runs.full.losses.sinc",
        1,
    ),
    "a size of a run that others are based on": (
        "training: {runs: {full: {model: {stad: full}}}}\n",
        "training.runs.full.model.stad",
        1,
    ),
    "a key of all samplers": ("\nsamples: {sampler: {stpes: 3}}\n", "samples.sampler.stpes", 2),
    "a missing key": (
        "samples:\n  methods:\n    mine: {kind: videos, corpora: [demo_hdtf]}\n",
        "samples.methods.mine.path",
        3,
    ),
}


@pytest.mark.parametrize("case", OVERLAYS)
def test_a_mistake_in_an_overlay_is_told_with_the_file_and_the_line(tmp_path, case):
    text, place, line = OVERLAYS[case]
    mine, empty = tmp_path / "mine.yaml", tmp_path / "empty.yaml"
    mine.write_text(text)
    empty.write_text("# nothing\n")
    with pytest.raises(EadbenchError) as caught:
        load(None, [ROOT / "config.yaml", mine, empty], whole=True)
    assert caught.value.where == f"{place} ({mine}, line {line})"
    assert caught.value.what.count("unknown key") <= 1, "told once, however many inherit it"


def test_an_overlay_alone_is_told_what_it_goes_over():
    with pytest.raises(EadbenchError, match=r"sets\.demo_mead\.kind: is missing") as caught:
        load(None, [ROOT / "config/smoke.yaml"], whole=True)
    assert "given:" not in str(caught.value) and "named after it" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "..",
        "--help",
        "still(",
        "a{b}",
        5,
        "a b",
        "x; touch here",
        "$(id)",
        "",
        "é",
        "a" * 101,
        "-a",
        ".a",
        "a\n",
    ],
)
@pytest.mark.parametrize(
    "place", [("corpora", "sets"), ("zoo", "artefacts"), ("training", "runs"), ("samples", "methods")]
)
def test_a_name_that_a_path_a_shell_or_a_pattern_could_misread_is_refused(place, name):
    entry = {"kind": "still", "corpora": ["demo_hdtf"]}
    said = refused({place[0]: {place[1]: {name: entry}}})
    assert "cannot be a name" in said and "letters, digits" in said and ".".join(place) in said


def test_names_of_metrics_are_those_of_the_code_that_measures():
    from eadbench.scores.metrics import METRICS
    from eadbench.scores.names import evaluator_roles

    assert evaluator_roles() == {name: metric.evaluator for name, metric in METRICS.items()} and list(
        evaluator_roles()
    ) == list(METRICS)


def test_kinds_of_artefacts_are_the_modules_that_can_load_one():
    modules = [path for path in (ROOT / "eadbench/zoo/kinds").glob("*.py") if path.stem != "__init__"]
    assert set(get_args(Kind)) == {path.stem for path in modules}
    assert all("\ndef load(" in path.read_text(encoding="utf-8") for path in modules)
    assert ", vae," in refused({"zoo": {"artefacts": {"vae": {"kind": "chips"}}}})


def test_what_a_command_line_may_name_is_what_it_is_given():
    from eadbench.samples.inputs import ModelInputs
    from eadbench.samples.manifest import RenderJob

    names = {field.name for field in fields(RenderJob)} - {"impossible"} | {
        field.name for field in fields(ModelInputs)
    }
    assert set(FOR_EACH) == names | {"out", "output", "work", "python", "checkout"}


def test_names_of_the_common_kinds_are_taken():
    method = {"kind": "still", "corpora": ["demo_hdtf"]}
    names = ("s.ill", "Wav2Lip-v1.5_b", "x")
    settings = check(merge(raw_of(), {"samples": {"methods": dict.fromkeys(names, method)}}), whole=True)
    assert set(names) <= set(settings.samples.methods)


def test_tables_may_go_on_naming_what_was_taken_out_and_nothing_else_may():
    out = {"samples": {"methods": {"mirror": None, "folder": None}}}
    assert "mirror" not in check(merge(raw_of(), out), whole=True).samples.methods
    assert "'mirror' is not in samples.methods" in refused({"samples": {"methods": {"mirror": None}}})


def test_the_protocol_of_a_method_has_a_default():
    raw = merge(raw_of(), {"samples": {"methods": {"mine": {"kind": "still", "corpora": ["demo_hdtf"]}}}})
    assert ("mine", "demo_hdtf", "self") in check(raw, whole=True).samples.cells()


def test_a_command_gets_what_it_reads_and_anything_else_raises():
    settings = check(raw_of(), whole=True).only("clips cut")
    assert settings.clips.crf == 14 and settings.given == ("clips",)
    for ask in (lambda: settings.clips.keep, lambda: settings.scores, lambda: settings.seed):
        with pytest.raises(EadbenchError, match="the settings lack"):
            ask()


def test_settings_of_another_command_are_refused():
    settings = check(raw_of(), whole=True)
    text = json.dumps(settings.read_by("clips cut"))
    assert load(text, None, "clips cut").clips.size == 128
    with pytest.raises(EadbenchError, match="those of `clips cut`"):
        load(text, None, "clips check")


def test_several_settings_are_merged_and_what_shapes_nothing_has_its_default():
    settings = check(raw_of(), whole=True)
    read, aside = (
        json.dumps(values)
        for values in (
            settings.read_by("training run", run="full"),
            settings.incidental_for("training run", run="full"),
        )
    )
    assert load([read, aside], None, "training run").training.run("full").optim.validate_every == 250
    assert load(read, None, "training run").training.run("full").optim.validate_every == 5000
    assert "validate_every" not in read and "lr" not in aside


def test_what_is_shared_stands_in_every_run_and_sampler_in_full():
    settings = check(raw_of(), whole=True)
    full, without = settings.training.run("full"), settings.training.run("no_stda")
    assert (
        without.model == full.model | {"stda": "full"}
        and without.optim == full.optim
        and without.init == "stage1"
    )
    assert full.optim.beta2 == 0.99 and full.optim.steps == 150
    assert settings.samples.sampler_of("full") == settings.samples.sampler
    other = check(merge(raw_of(), {"samples": {"methods": {"full": {"sampler": {"steps": 9}}}}}))
    assert other.samples.sampler_of("full") == settings.samples.sampler.model_copy(update={"steps": 9})


def test_a_dump_of_what_shapes_a_result_is_the_same_for_the_whole_and_for_the_part():
    settings = check(raw_of(), whole=True)
    for verb in ("clips cut", "captions write", "features extract", "scores measure"):
        section = verb.split()[0]
        assert shaping_for(verb, getattr(settings, section)) == shaping_for(
            verb, getattr(settings.only(verb), section)
        ), verb
    run = settings.training.run("stage1")
    assert shaping(run) == shaping(settings.only("training run").training.run("stage1"))


def test_evaluators_of_metrics_that_nobody_asked_for_are_neither_needed_nor_read():
    raw = merge(raw_of(), {"scores": {"metrics": ["fid"]}, "zoo": {"artefacts": {"emotion": None}}})
    scores = check(raw, whole=True).scores
    assert scores.artefacts() == ["inception"] and shaping_for("scores measure", scores)["evaluators"] == {
        "fid": "inception"
    }


def test_planning_needs_pydantic_and_yaml_and_none_of_the_large_libraries():
    code = (
        "import sys, yaml; from eadbench.core.settings import check; "
        "check(yaml.safe_load(open('config.yaml')), whole=True); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded, done.stderr
    assert not loaded & {
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "cv2",
        "av",
        "typer",
        "transformers",
        "diffusers",
        "duckdb",
    }


def test_a_mistake_in_the_configuration_is_one_message_of_the_command(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: abc\n")
    done = subprocess.run(
        [sys.executable, "-m", "eadbench", "config", "check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    assert "seed" in done.stderr + done.stdout and "abc" in done.stderr + done.stdout


def test_where_nothing_is_given_and_no_configuration_lies_here_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load(None, None, defaults={"seed": 1, "device": "auto", "samples": {}})
    assert loaded.seed == 1 and loaded.samples.sampler.steps == 20
    with pytest.raises(EadbenchError, match="no such configuration"):
        load(None, None)
    assert isinstance(load('{"seed": 2}', None, defaults={"seed": 1}), Settings)


def test_the_papers_configuration_restates_no_default_of_its_models():
    """Sizes stand once: in the models. `config.yaml` says what the demo makes small,
    and shows every key besides.
    """
    raw = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
    paper = check(raw, whole=True)
    restated = []
    for name in ("clips", "features", "captions", "scores"):
        whole = getattr(paper, name)
        for key, value in raw[name].items():
            field = type(whole).model_fields[key]
            if not field.is_required() and value == field.get_default(call_default_factory=True):
                restated.append(f"{name}.{key}")
    for name, run in raw["training"]["runs"].items():
        sizes = MODELS[paper.training.run(name).kind].model_fields
        shared = raw["training"]["runs"][run["base"]].get("model", {}) if "base" in run else {}
        for key, value in run.get("model", {}).items():
            if key not in shared and value == sizes[key].get_default(call_default_factory=True):
                restated.append(f"training.runs.{name}.model.{key}")
    assert not restated
    full = MODELS["eadnet"].model_validate(paper.training.run("full").model)
    assert (paper.clips.size, paper.features.size, full.frames, full.block_channels) == (
        256,
        256,
        16,
        (320, 640, 1280, 1280),
    )
    assert (
        paper.training.run("full").diffusion.other_reference == 0.5
        and paper.training.run("full").optim.ema == 0.9999
    )


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("samples: {max_clips: 2}\nseed: 1\nsamples: {max_seconds: 3}\n")
    with pytest.raises(EadbenchError, match=r"the key .samples. stands twice .* line 1 and line 3"):
        load(None, [path])
    path.write_text("seed: 1\nscores: {metrics: [ssim, psnr], evaluators: {}}\n")
    assert load(None, [path]).seed == 1


def test_anchors_and_merged_mappings_of_yaml_are_no_keys_twice():
    assert parse("a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 3}\n")["c"] == {"x": 2, "y": 3}


@pytest.mark.parametrize(
    ("over", "messages"),
    [
        ({"seed": True}, ["seed: `true`"]),
        ({"samples": {"max_clips": True}}, ["max_clips: `true`", "samples.max_clips"]),
        ({"training": {"optim": {"steps": True}}}, ["steps: `true`"]),
        ({"training": {"model": {"heads": True}}}, ["heads", "`true`"]),
    ],
)
def test_a_truth_value_is_no_number(over, messages):
    said = refused(over)
    assert all(message in said for message in messages), said


@pytest.mark.parametrize(
    ("over", "messages"),
    [
        ({"tables": {"main": {"metrics": ["ssim", "ssim"]}}}, ["metrics: 'ssim' stands twice"]),
        (
            {"samples": {"methods": {"still": {"corpora": ["demo_mead", "demo_mead"]}}}},
            ["'demo_mead' stands twice"],
        ),
        ({"tables": None}, ["is empty; give it values, or leave it out"]),
        ({"tables": {"main": {"protocol": "slef"}}}, ["did you mean 'self'"]),
        ({"tables": {"main": {"methods": []}}}, ["main.methods"]),
        ({"tables": {"main": {"metrics": ["fvd@styleganv"]}}}, ["did you mean 'stylegan-v'"]),
        ({"tables": {"main": {"quoted": {"demo_mead": "MAED"}}}}, ["did you mean 'MEAD'"]),
        ({"tables": {"figures": {"comparison_emotion": "angr"}}}, ["did you mean 'angry'"]),
        ({"training": {"runs": {"full": {"init": "wav2lip"}}}}, ["is of kind wav2lip, not eadnet"]),
        ({"training": {"runs": {"full": {"syncnet": "stage1"}}}}, ["is of kind eadnet, not syncnet"]),
        ({"samples": {"methods": {"full": {"run": "syncnet"}}}}, ["is of kind syncnet, not eadnet"]),
        (
            {"samples": {"methods": {"mirror": {"command": "run --fast"}}}},
            ["not told where to write", "samples.methods.mirror.command"],
        ),
        ({"pathvars": {"results": ""}}, ["pathvars: results: ''"]),
        ({"pathvars": {"results": "same", "logs": "same/"}}, ["the same folder"]),
    ],
)
def test_what_would_fail_or_be_left_out_hours_later_is_refused(over, messages):
    said = refused(over)
    assert all(message in said for message in messages), said


def test_what_an_overlay_takes_out_is_told_once_with_who_names_it_and_who_took_it():
    said = refused({"training": {"runs": {"stage1": None}}})
    assert said.count("is not in") == 1 and "`stage1: null` takes it out" in said, said
    assert "also named by training.runs.no_stda.init" in said, said
    assert "training.runs.full.init; training.runs.stage1" in said, said
