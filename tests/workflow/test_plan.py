"""The plan, before anything exists."""

import pytest
from workflow.running import ROOT, snakemake

from eadbench.core.settings import load
from eadbench.plan.dag import workflow_of
from eadbench.scores.metrics.drift import FEWEST
from eadbench.synthetic.jobs import hdtf_cuts


@pytest.mark.parametrize(
    "configs",
    [
        ("config.yaml",),
        ("config.yaml", "config/smoke.yaml"),
        ("config.yaml", "config/long.yaml"),
        ("config/paper.yaml",),
    ],
)
def test_plans_on_a_clean_clone(tmp_path, configs):
    done = snakemake(tmp_path, "--dry-run", configs=configs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make_samples" in done.stdout + done.stderr
    assert ("eadbench prepare" in done.stdout + done.stderr) == ("config/paper.yaml" in configs), (
        "what is missing is pointed to"
    )


def test_one_setting_asks_every_method_for_silence_and_for_the_dial_who_can(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text("samples: {also: [silent, dial]}\n")
    with workflow_of([ROOT / "config.yaml", ROOT / "config/smoke.yaml", over]) as workflow:
        cells = {
            (job.wildcards.protocol, job.wildcards.method): sorted(map(str, job.input))
            for job in workflow.dag.jobs
            if job.rule.name == "make_samples" and job.wildcards.protocol != "self"
        }
        summed = {
            (job.wildcards.protocol, job.wildcards.method)
            for job in workflow.dag.jobs
            if job.rule.name == "summarise" and job.wildcards.protocol != "self"
        }
    silenced = {("silent", method) for method in ("full", "no_text", "wav2lip", "still")}
    levels, followers = ("0.2", "0.4", "0.6", "0.8", "1"), ("full", "no_text")
    dialled = {(f"dial_{level}", method) for level in levels for method in followers}
    assert set(cells) == summed == silenced | dialled
    hears = [name for name in cells["silent", "full"] if "zoo/whisper" in name]
    assert hears, "silence is in no features"


def test_the_long_configuration_has_clips_of_half_a_minute_rendered_and_scored_whole():
    long = load(None, [ROOT / "config.yaml", ROOT / "config/long.yaml"], whole=True)
    cuts = hdtf_cuts(long.corpora.sets["demo_hdtf"].studio.seconds)
    ends = (("card", "second"), ("second", "slide"), ("after", "end"))
    takes = [cuts[end] - cuts[start] for start, end in ends]
    assert min(takes) >= 30 and max(takes) <= long.clips.max_seconds and long.samples.max_seconds is None
    assert all(method.corpora == ["demo_hdtf"] for method in long.samples.methods.values())
    assert min(takes) >= FEWEST * long.scores.bin_seconds, "slopes over time have their bins"
    assert long.pathvars["results"] == "long/results"


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
