"""A mistake in the configuration ends the planning with one message and no traceback;
names never reach a shell unquoted.
"""

import json
import re

import pytest
import yaml
from workflow.running import ROOT, snakemake

from eadbench.plan.dag import workflow_of


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("training: {optim: {steps: many}}", "steps: Input should be a valid integer"),
        ("training: {runs: {no_stda: {base: no_stda}}}", "no_stda -> no_stda is a circle"),
        ("samples: {methods: {'x; touch run': {kind: still, corpora: [demo_hdtf]}}}", "cannot be a name"),
    ],
)
def test_a_mistake_is_one_message_and_no_traceback(tmp_path, edit, message):
    (tmp_path / "over.yaml").write_text(edit + "\n")
    done = snakemake(tmp_path, "--dry-run", configs=("config.yaml", str(tmp_path / "over.yaml")))
    said = done.stdout + done.stderr
    assert (
        done.returncode != 0 and message in said and "Traceback" not in said and "RecursionError" not in said
    )
    assert not (tmp_path / "run").exists() and len(said.splitlines()) < 12, said


def test_a_name_is_one_word_of_the_command_and_one_pattern(tmp_path):
    over = {"samples": {"methods": {"s.ill": {"kind": "still", "corpora": ["demo_hdtf"]}}}}
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(over))
    with workflow_of([ROOT / "config.yaml", tmp_path / "over.yaml"]) as workflow:
        made = {
            job.wildcards.method: job.shellcmd for job in workflow.dag.jobs if job.rule.name == "make_samples"
        }
    assert "--method s.ill " in made["s.ill"] and "--method still " in made["still"], (
        "the dot of s.ill fits no other letter"
    )


def test_all_that_comes_from_data_is_quoted_in_every_shell_line():
    plain = re.compile(r"\{(wildcards\.\w+|input[\w.]*|output[\w.]*|log)\}")
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"\nrule (?=\w+:)", "\n" + path.read_text())[1:]:
            shell = rule.partition("    shell:")[2]
            assert not plain.findall(shell), f"{path.name}: {rule.split(':')[0]}: {plain.findall(shell)}"


def test_only_evaluators_of_the_chosen_metrics_are_made(tmp_path):
    (tmp_path / "over.yaml").write_text(
        "scores: {metrics: [fid, ssim]}\n"
        "tables:\n"
        "  main: {metrics: [fid, ssim]}\n"
        "  generalisation: {metrics: [fid, ssim]}\n"
        "  ablation: {metrics: [fid, ssim]}\n"
    )
    with workflow_of([ROOT / "config.yaml", tmp_path / "over.yaml"]) as workflow:
        made = {job.wildcards.artefact for job in workflow.dag.jobs if job.rule.name == "make_artefact"}
    assert "inception" in made and not made & {"emotion", "face_id", "i3d"}


def test_a_changed_video_of_a_users_folder_renders_it_again(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"one")
    entry = {"kind": "videos", "path": str(folder), "corpora": ["demo_hdtf"]}
    (tmp_path / "over.yaml").write_text(yaml.safe_dump({"samples": {"methods": {"mine": entry}}}))

    def compared() -> list[str]:
        with workflow_of([ROOT / "config.yaml", tmp_path / "over.yaml"]) as workflow:
            [job] = [
                job
                for job in workflow.dag.jobs
                if job.rule.name == "make_samples" and job.wildcards.method == "mine"
            ]
            return sorted(map(str, job.non_derived_params))

    before = compared()
    (folder / "a.mp4").write_bytes(b"two")
    assert compared() != before


@pytest.mark.parametrize("older", [True, False])
def test_results_of_an_older_build_are_refused_in_one_line(tmp_path, older):
    given = {"seed": 1, "corpora": {}} | ({} if older else {"verb": "corpora index"})
    record = {"command": ["eadbench", "corpora", "index", "--settings", "{}"], "config": given}
    folder = tmp_path / "results/corpora/demo_hdtf"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(
        json.dumps({"command": ["eadbench"], "earlier": {"corpora index": record}})
    )
    done = snakemake(tmp_path, "--dry-run", "--quiet", "all")
    assert (done.returncode != 0) is older, done.stdout + done.stderr
    assert (
        "of an older eadbench" in done.stdout + done.stderr
    ) is older and "Traceback" not in done.stderr + done.stdout
