"""The plan, before anything exists."""

import pytest
from workflow.running import ROOT, snakemake

from eadbench.plan.dag import workflow_of


@pytest.mark.parametrize(
    "configs", [("config.yaml",), ("config.yaml", "config/smoke.yaml"), ("config/paper.yaml",)]
)
def test_plans_on_a_clean_clone(tmp_path, configs):
    done = snakemake(tmp_path, "--dry-run", configs=configs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make_samples" in done.stdout + done.stderr
    assert ("eadbench prepare" in done.stdout + done.stderr) == ("config/paper.yaml" in configs), (
        "what is missing is pointed to"
    )


def test_one_setting_asks_every_method_for_silence(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text("samples: {also: [silent]}\n")
    with workflow_of([ROOT / "config.yaml", ROOT / "config/smoke.yaml", over]) as workflow:
        cells = {
            (job.wildcards.method, job.wildcards.corpus): sorted(map(str, job.input))
            for job in workflow.dag.jobs
            if job.rule.name == "make_samples" and job.wildcards.protocol == "silent"
        }
        summed = {job.wildcards.method for job in workflow.dag.jobs if "/silent/summary" in str(job.output)}
    methods = {"full", "no_text", "wav2lip", "still"}
    assert {method for method, _ in cells} == summed == methods
    hears = [name for name in cells["full", "demo_mead"] if "zoo/whisper" in name]
    assert hears, "silence is in no features"


def test_default_configuration_is_the_demo(tmp_path):
    done = snakemake(tmp_path, "--dry-run", configs=("config.yaml",))
    assert "film" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("edit", "message"),
    [("sede: 3", "sede"), ("device: gpu", "device"), ("clips: {unknown_key: 1}", "unknown_key")],
)
def test_mistakes_in_the_configuration_name_the_key(tmp_path, edit, message):
    over = tmp_path / "over.yaml"
    over.write_text(edit + "\n")
    done = snakemake(tmp_path, "--dry-run", configs=("config.yaml", str(over)))
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_commands_are_the_packages_own():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in path.read_text().split("\nrule ")[1:]:
            assert "python -m eadbench" in rule, f"{path.name}: {rule.split(':')[0]}"
            for key in ("log:", "conda:", "threads:", "mem_mb", "runtime"):
                assert key in rule, f"{path.name}: {rule.split(':')[0]} has no {key}"


def test_the_default_profile_is_used_from_anywhere(tmp_path):
    """It holds what a rerun after a kill needs. Snakemake looks for it beside the
    Snakefile, where `profiles` points to `workflow/profiles`.
    """
    done = snakemake(tmp_path, "--dry-run")
    assert "workflow specific profile" in done.stdout + done.stderr
    assert "profiles/default" in done.stdout + done.stderr
