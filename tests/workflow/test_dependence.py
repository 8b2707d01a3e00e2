"""A change does again what it touches, and nothing else."""

import copy
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import ValidationError
from workflow.running import ROOT

from eadbench.core.errors import EadbenchError
from eadbench.core.section import models_in
from eadbench.core.settings import SECTIONS, Settings, check, section_model
from eadbench.plan.dag import workflow_of
from eadbench.training.config import MODELS

# The demo has no study; this one of its methods has no meaning but reads what every
# study reads.
STUDY = """
  title: A study
  corpus: demo_mead
  modules: [text]
  complete: text
  cells: {text: {modules: [text], methods: [full, no_stda]}, none: {modules: [], methods: [no_text, no_tfrm]}}
  hypotheses: {H1: {effect: text, metric: acc_emo, claim: up, smallest: 0.1, protocol: self, source: paper}}
  explore: [ssim]
  alpha: 0.05
"""
AUDIT = {
    "corpus": "demo_mead",
    "split": "test",
    "max_clips": 6,
    "max_seconds": 2.0,
    "distortions": ["blur", "noise"],
}
RAW = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")) | {
    "study": yaml.safe_load(STUDY),
    "audit": AUDIT,
}
# What names the sort of a thing: its other keys would have to change with it.
SORTS = ("kind", "layout", "how", "base", "per", "captioner")


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


@cache
def verbs() -> dict[str, str]:
    """Rule -> verb of its command."""
    found = {}
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"\nrule (?=\w+:)", "\n" + path.read_text())[1:]:
            if given := re.search(r'settings_of\("([\w ]+)"\)', rule):
                found[rule.split(":")[0]] = given[1]
    return found


def jobs(settings: Settings) -> dict[str, Any]:
    """Rule -> what its jobs are given: settings, and which files they read as far as
    settings say so.
    """
    corpora, zoo, training, samples = settings.corpora.sets, settings.zoo, settings.training, settings.samples
    shards = {name: corpus.shards for name, corpus in corpora.items()}
    cells = samples.cells()
    inputs: dict[str, Any] = {
        **dict.fromkeys(
            (
                "cut_clips",
                "merge_cut_clips",
                "check_clips",
                "merge_checked_clips",
                "merge_captions",
                "extract_features",
            ),
            shards,
        ),
        "merge_features": shards,
        "write_captions": [shards, settings.captions.artefacts()],
        "filter_captions": settings.captions.filter.embedder,
        "check_leaks": [
            sorted({*training.corpora(), *zoo.train_on}),
            sorted({corpus for _, corpus, _ in cells}),
        ],
        "make_artefact": [str(zoo.requires(name)) for name in zoo.artefacts],
        "train": [str(training.requires(name)) for name in training.runs],
        "make_samples": [(cell, str(samples.methods[cell[0]].requires(*cell[1:]))) for cell in cells],
        "measure": [cells, settings.scores.artefacts(), settings.scores.together],
        "measure_corpus": [cells, settings.scores.artefacts()],
        "summarise": cells,
        "build_tables": [cells, list(training.runs)],
    }
    named = {
        **{rule: [{"corpus": name} for name in corpora] for rule in ("film", "fetch_corpus", "index_corpus")},
        "make_artefact": [{"artefact": name} for name in zoo.artefacts],
        "train": [{"run": name} for name in training.runs],
        "make_samples": [{"method": name} for name in samples.methods],
    }
    given = {
        rule: [settings.read_by(verb, **names) for names in named.get(rule, [{}])]
        for rule, verb in verbs().items()
    }
    return {rule: (given.get(rule), inputs.get(rule)) for rule in {*given, *inputs}}


def literals(model: Any) -> Iterator[tuple[Any, ...]]:
    for field in model.model_fields.values():
        yield from _literals(field.annotation)
        for below in models_in(field.annotation):
            yield from literals(below)


def _literals(annotation: Any) -> Iterator[tuple[Any, ...]]:
    if get_origin(annotation) is Literal:
        yield get_args(annotation)
    for one in get_args(annotation):
        yield from _literals(one)


@cache
def choices(section: str) -> list[tuple[Any, ...]]:
    if section not in SECTIONS:
        return [("cpu", "cuda")]
    models = [section_model(section), *(MODELS.values() if section == "training" else ())]
    return list(dict.fromkeys(group for model in models for group in literals(model)))


def others(section: str, value: Any) -> Iterator[Any]:
    """Values that might do in the place of one."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, value * 2, value + 2, value // 2, value + 8, value + 32, 0.5)
    elif isinstance(value, float):
        yield from (value * 1.5, value / 2, value - 0.5, value + 0.125)
    elif isinstance(value, str):
        yield from (one for group in choices(section) if value in group for one in group if one != value)
        yield from ("no_stda", f"{value}x", "{python} {manifest} {out}", "25")
    elif isinstance(value, list):
        if "demo_mead" in value or "demo_hdtf" in value:
            yield from ([*value, name] for name in ("demo_ravdess", "demo_mead") if name not in value)
        yield from (
            value[:-1],
            value[::-1],
            [one * 2 if isinstance(one, int) else one for one in value],
        )
        yield from ([*value, one] for group in choices(section) for one in group)
        yield from ([*value, name] for name in ("demo_ravdess", "hdtf", "x"))
    else:
        yield from (1, 40.0, 0.5, "x", "docker://example.org/eadbench")


def changed(path: tuple[str, ...]) -> Settings | None:
    """The demo's settings with another value in one place; nothing if none does."""
    value: Any = RAW
    for key in path:
        value = value[key]
    for other in others(path[0], value):
        if other == value:
            continue
        raw = copy.deepcopy({path[0]: RAW[path[0]]})
        place = raw
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = other
        try:
            settings = Settings(raw)
        except (EadbenchError, ValidationError):
            continue
        whole = Settings({})
        whole._values = {
            name: one for name, one in known()._values.items() if not name.startswith(" ")
        } | settings._values
        return whole
    return None


@cache
def known() -> Settings:
    return check(RAW, whole=True)


@cache
def declared() -> list[tuple[str, set[str]]]:
    """The table of docs/settings.md."""
    rows = re.findall(
        r"^\| `([^`]+)` \| ([^|]+) \|$", (ROOT / "docs/settings.md").read_text(encoding="utf-8"), re.M
    )
    return [
        (pattern, set() if rules.startswith("none") else {rule.strip() for rule in rules.split(",")})
        for pattern, rules in rows
    ]


@pytest.mark.parametrize("section", ["seed", "device", "container", "pathvars", *SECTIONS])
def test_every_setting_reaches_the_rules_that_the_documentation_names(section):
    before, wrong, untried = jobs(known()), {}, []
    for path in leaves(RAW[section], (section,)):
        settings = changed(path)
        name = ".".join(path)
        if settings is None:
            untried.append(name)
            continue
        after = jobs(settings)
        reached = {rule for rule in before if json.dumps(before[rule]) != json.dumps(after[rule])}
        expected = next((rules for pattern, rules in declared() if fnmatchcase(name, pattern)), None)
        if reached != expected:
            wrong[name] = (sorted(reached), sorted(expected or ()))
    assert not wrong, wrong
    grid = ("tables.ablation.factors.", "study.")  # another place of the grid is taken
    assert all(name.split(".")[-1] in SORTS or name.startswith(grid) for name in untried), untried


def test_the_table_names_rules_that_exist_and_every_line_is_needed():
    rules = {
        rule.split(":")[0]
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for rule in re.split(r"\nrule ", "\n" + path.read_text())[1:]
    }
    names = [".".join(path) for path in leaves(RAW)]
    used = {
        next((pattern for pattern, _ in declared() if fnmatchcase(name, pattern)), None) for name in names
    }
    assert None not in used, [
        name for name in names if not any(fnmatchcase(name, pattern) for pattern, _ in declared())
    ]
    assert {pattern for pattern, _ in declared()} <= used | {"captions.*"}, "lines that fit no setting"
    assert set().union(*(rules for _, rules in declared())) <= rules


def planned(tmp_path: Any, over: str) -> dict[tuple[str, str], tuple]:
    """Job -> what Snakemake compares of it: inputs and parameters."""
    (tmp_path / "over.yaml").write_text(over)
    with workflow_of([ROOT / "config.yaml", tmp_path / "over.yaml"]) as workflow:
        return {
            (job.rule.name, str(sorted(job.wildcards_dict.items()))): (
                sorted(map(str, job.input)),
                sorted(map(str, job.non_derived_params)),
            )
            for job in workflow.dag.jobs
            if job.output
        }


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory):
    return planned(tmp_path_factory.mktemp("plan"), "seed: 20260425\n")


@pytest.mark.parametrize(
    ("over", "rules"),
    [
        ("scores: {few_clips: 20}", {"build_tables"}),
        ("scores: {bootstrap: 2000}", {"summarise"}),
        ("training: {optim: {log_every: 20}}", set()),
        ("clips: {keep: {min_brightness: 21}}", {"check_clips"}),
        ("captions: {filter: {value: 0.2}}", {"filter_captions"}),
        ("zoo: {accept_licence: [sd-vae-ft-mse]}", set()),
    ],
)
def test_snakemake_sees_what_is_declared(tmp_path, as_it_is, over, rules):
    found = planned(tmp_path, over)
    assert set(found) == set(as_it_is)
    assert {job[0] for job in found if found[job] != as_it_is[job]} == rules


def test_files_that_settings_name_are_read_by_content(tmp_path):
    """A prompt of the user's and the files of a folder: their jobs change with them,
    and nothing else does.
    """
    (tmp_path / "videos").mkdir()
    video, prompt = tmp_path / "videos/a.mp4", tmp_path / "mine.md"
    corpora = f"corpora: {{sets: {{mine: {{kind: folder, root: {tmp_path}/videos}}}}}}"
    captions = (
        f"captions: {{captioner: endpoint, prompt: {prompt}, endpoint: {{base_url: "
        f"'http://127.0.0.1:9/v1', model: m}}}}"
    )
    found = []
    for text in ("one", "other words"):
        video.write_text(text)
        prompt.write_text(f"---\nversion: 1\n---\n{text}\n")
        found.append(planned(tmp_path, f"{corpora}\n{captions}\n"))
    changed = {job[0] for job in found[0] if found[0][job] != found[1][job]}
    assert changed == {"index_corpus", "write_captions"}
    assert {job[1] for job in found[0] if job[0] == "index_corpus" and found[0][job] != found[1][job]} == {
        "[('corpus', 'mine')]"
    }


def test_a_job_that_reads_no_such_file_has_no_parameter_for_it(as_it_is):
    for (rule, _), (_, given) in as_it_is.items():
        assert rule not in ("index_corpus", "write_captions") or len(set(given)) <= 2, (rule, given)


def test_a_command_reads_nothing_that_its_rule_does_not_hand_over():
    """The option with what shapes nothing is there where the command reads such things."""
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"\nrule (?=\w+:)", "\n" + path.read_text())[1:]:
            if given := re.search(r'settings_of\("([\w ]+)"\)', rule):
                names = {"corpus": "demo_hdtf", "artefact": "vae", "run": "full", "method": "still"}
                aside = known().incidental_for(given[1], **names)
                assert ("{params.aside}" in rule) >= bool(aside), f"{rule.split(':')[0]} reads {aside}"
