"""What every rule declares, and the profiles that use it."""

import ast
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflow.running import ROOT, snakemake

from eadbench.core.settings import SCALARS, SECTIONS, VERB, load
from eadbench.plan.dag import workflow_of

DAY = 24 * 60
PROFILES = {path.parent.name: path for path in (ROOT / "workflow/profiles").glob("*/profile.yaml")}


@pytest.fixture(scope="module")
def jobs() -> dict[str, dict[str, Any]]:
    """One job of every rule of the demo and of the full-size run: threads, resources on
    the first and third attempt, command.
    """
    found: dict[str, dict[str, Any]] = {}
    for config in ("config.yaml", "config/paper.yaml"):
        with workflow_of([ROOT / config]) as workflow:
            for job in workflow.dag.jobs:
                if job.rule.name in found.get(config, {}) or not job.output:
                    continue
                first, threads = dict(job.resources.items()), job.threads
                job.attempt = 3
                job.reset_params_and_resources()
                entry = {
                    "threads": threads,
                    "first": first,
                    "third": dict(job.resources.items()),
                    "command": job.rule.shellcmd,
                    "conda": job.rule.conda_env,
                    "settings": json.loads(job.params.get("settings", "{}")),
                }
                found.setdefault(config, {})[job.rule.name] = entry | {
                    "log": str(job.log),
                    "benchmark": job.rule.benchmark,
                }
    return found


def read_by_commands() -> dict[tuple[str, str], set[str]]:
    """Commands by stage and verb: the names of the settings that their code reads, and
    that of the functions beside them that they call.
    """
    found = {}
    for path in (ROOT / "eadbench").rglob("*.py"):
        beside = {n.name: n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
        for function in (one for name, one in beside.items() if name.endswith("_command")):
            called = {
                n.func.id for n in ast.walk(function) if isinstance(n, ast.Call) and hasattr(n.func, "id")
            }
            read = [function, *(beside[name] for name in called & beside.keys())]
            names = {n.attr for one in read for n in ast.walk(one) if isinstance(n, ast.Attribute)}
            key = path.relative_to(ROOT / "eadbench").parts[0], function.name.removesuffix("_command")
            found[key] = names & {*SECTIONS, *SCALARS}
    found["corpora", "film"] = found["synthetic", "film"]  # the same, by its name of before
    return found


def verb_of(job: dict[str, Any]) -> tuple[str, str]:
    """Stage and verb of the command that a rule calls."""
    return re.search(r"--threads \{threads\} (\w+) (\w+)", job["command"]).groups()


@pytest.mark.parametrize("profile", PROFILES)
def test_settings_that_a_profile_proposes_are_ready_to_be_uncommented(profile):
    """An option named in a comment begins its line, so that it is read without its `# `;
    a reflow of the comments once ran them into the sentences.
    """
    from snakemake.cli import get_argument_parser

    options = {
        option.removeprefix("--")
        for action in get_argument_parser()._actions
        for option in action.option_strings
    }
    lines = PROFILES[profile].read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("# "):
            continue
        for found in re.finditer(r"(?<![\w-])([a-z-]+):(?= |$)", line):
            if found[1] not in options and not found[1].startswith("slurm-"):
                continue
            assert found.start() == 2, f"{profile}:{number + 1}: {line}"
            below = lines[number + 1 :]
            end = next((k for k, one in enumerate(below) if not one.startswith("#  ")), len(below))
            text = "\n".join(one[2:] for one in [line, *below[:end]])
            value = yaml.safe_load(text)[found[1]]
            assert value, f"{profile}:{number + 1}: {text}"


def test_every_rule_declares_what_it_needs(jobs):
    for config, rules in jobs.items():
        for name, job in rules.items():
            assert job["threads"] >= 1 and job["first"]["mem_mb"] > 0 and job["first"]["runtime"] > 0, (
                f"{config}: {name}"
            )
            assert job["log"] and job["benchmark"] and job["conda"], (
                f"{config}: {name} has log, benchmark and environment"
            )


def test_memory_and_time_grow_with_each_attempt(jobs):
    for rules in jobs.values():
        for name, job in rules.items():
            first, third = job["first"], job["third"]
            assert third["mem_mb"] == 4 * first["mem_mb"], name
            assert third["runtime"] == min(4 * first["runtime"], max(first["runtime"], DAY)), (
                f"{name}: not beyond what partitions have"
            )
            assert job["third"].get("gpu") == job["first"].get("gpu"), (
                f"{name}: more GPUs on a second attempt would not help"
            )


def test_rules_whose_command_uses_a_device_ask_for_a_gpu_and_no_others(jobs):
    reads = read_by_commands()
    assert "device" in reads["training", "run"] and "device" in reads["scores", "measure"]
    for name, job in jobs["config/paper.yaml"].items():
        assert ("gpu" in job["first"]) is ("device" in reads[verb_of(job)]), (
            f"rule {name} calls {verb_of(job)}"
        )
        assert job["first"].get("gpu", 1) == 1, name
    assert not any(job["first"].get("gpu") for job in jobs["config.yaml"].values()), (
        "device: cpu needs no GPU"
    )


def test_a_job_is_given_the_sections_that_its_command_reads_and_no_others(jobs):
    """One too few is an error; one too many does the job again when something changes
    that does not concern it.
    """
    reads = read_by_commands()
    for name, job in jobs["config.yaml"].items():
        assert set(job["settings"]) - {VERB, *SCALARS} == reads[verb_of(job)] - set(SCALARS), name


def test_a_training_run_is_given_what_its_processes_need(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text("training: {processes: 4}\n")
    with workflow_of([ROOT / "config/paper.yaml", over]) as workflow:
        train = [job for job in workflow.dag.jobs if job.rule.name == "train"]
        others = [job for job in workflow.dag.jobs if job.rule.name == "make_samples"]
        assert {(job.threads, job.resources["gpu"], job.resources["processes"]) for job in train} == {
            (4, 4, 4)
        }
        assert all("processes" not in json.loads(job.params.settings)["training"] for job in train), (
            "another number is no reason to train again"
        )
        assert {job.resources["gpu"] for job in others} == {1}


def test_jobs_ask_for_memory_that_holds_their_network():
    """On a cluster a job that asks for too little is killed; networks pass through the
    host's memory on their way to the GPU.
    """
    with workflow_of([ROOT / "config/paper.yaml"]) as workflow:
        asked = {
            (job.rule.name, *job.wildcards): job.resources["mem_mb"]
            for job in workflow.dag.jobs
            if job.rule.name in ("train", "make_samples")
        }
    assert asked["train", "full"] > 10_000 > asked["train", "stage1"] > asked["train", "syncnet"]
    assert (
        asked["make_samples", "full", "mead", "self"] > 8000 > asked["make_samples", "still", "mead", "self"]
    )
    with workflow_of([ROOT / "config.yaml"]) as workflow:
        assert (
            max(
                job.resources["mem_mb"]
                for job in workflow.dag.jobs
                if job.rule.name in ("train", "make_samples")
            )
            < 8000
        ), "the demo is for small machines"


def test_all_rules_run_in_the_container_that_the_configuration_names(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text("container: docker://example.org/eadbench:1\n")
    with workflow_of([ROOT / "config.yaml", over]) as workflow:
        assert {job.rule.container_img for job in workflow.dag.jobs} == {"docker://example.org/eadbench:1"}
    with workflow_of([ROOT / "config.yaml"]) as workflow:
        assert not any(job.rule.container_img for job in workflow.dag.jobs)


@pytest.mark.parametrize("name", PROFILES)
def test_profile_is_commented_and_names_only_what_exists(name, jobs):
    text = PROFILES[name].read_text()
    profile = yaml.safe_load(text)
    assert text.startswith("#") and text.count("\n#") >= 3
    options = subprocess.run(
        [str(Path(sys.executable).parent / "snakemake"), "--help"], capture_output=True, text=True
    ).stdout
    for key in profile:
        assert f"--{key}" in options or key.startswith(f"{profile['executor']}-"), (
            f"{key} is no option of snakemake"
        )
    for key in ("groups", "set-resources", "set-threads"):
        assert set(profile.get(key, {})) <= set(jobs["config.yaml"]), f"{key} of rules that exist"
    assert set(profile.get("group-components", {})) == set(profile.get("groups", {}).values())
    assert "gpu" not in profile.get("resources", []), "a limit on gpu here would count over all submissions"
    assert profile["rerun-incomplete"] and profile["show-failed-logs"] and profile["keep-going"]


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_cluster_profiles_resubmit_group_and_wait_for_files(name):
    profile = yaml.safe_load(PROFILES[name].read_text())
    assert (
        profile["retries"] >= 1
        and profile["latency-wait"] >= 10
        and profile["jobs"] > 1
        and profile["groups"]
    )
    assert {"mem_mb", "runtime"} <= set(profile["default-resources"])


@pytest.mark.parametrize("configs", [("config.yaml",), ("config/paper.yaml",)])
@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_groups_of_a_cluster_profile_can_be_planned(name, configs, tmp_path):
    """Snakemake refuses groups that a path of jobs leaves and enters again, and sees it
    only while planning.
    """
    profile = yaml.safe_load(PROFILES[name].read_text())
    options = [
        text
        for key in ("groups", "group-components")
        for text in (f"--{key}", *(f"{a}={b}" for a, b in profile[key].items()))
    ]
    done = snakemake(tmp_path, "--dry-run", "--quiet", "all", *options, configs=configs)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("name", PROFILES)
def test_a_new_time_stamp_on_a_large_table_is_no_reason_to_run_again(name, tmp_path):
    """Snakemake compares contents only up to ``max-checksum-file-size``, 1 MB if
    nothing is said.
    """
    profile = yaml.safe_load(PROFILES[name].read_text())
    (tmp_path / "Snakefile").write_text(
        'rule use:\n    input: "table"\n    output: "made"\n    shell: "touch {output}"\n'
    )
    (tmp_path / "table").write_bytes(b"\0" * 3_000_000)
    run = [
        str(Path(sys.executable).parent / "snakemake"),
        "--cores",
        "1",
        "--rerun-triggers",
        *profile["rerun-triggers"],
    ]

    def reasons(*options: str) -> str:
        done = subprocess.run([*run, *options], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    size = ("--max-checksum-file-size", str(profile["max-checksum-file-size"]))
    assert "1 of 1 steps" in reasons(*size)
    later = (tmp_path / "made").stat().st_mtime + 100
    os.utime(tmp_path / "table", (later, later))
    assert "Nothing to be done" in reasons("--dry-run", *size)
    assert "Updated input files: table" in reasons("--dry-run"), (
        "Snakemake's own limit would have run it again"
    )
    (tmp_path / "table").write_bytes(b"\1" * 3_000_000)
    assert "Updated input files: table" in reasons("--dry-run", *size)


def test_slurm_chooses_a_partition_for_each_job_by_what_it_asks_for(tmp_path):
    """With a partition file, as the profile says; the profile itself names no
    partition, or the choice would be skipped.
    """
    partitions = pytest.importorskip("snakemake_executor_plugin_slurm.partitions")
    limits = {"max_runtime": 2 * DAY, "max_mem_mb": 500_000, "max_threads": 64}
    path = tmp_path / "partitions.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "partitions": {
                    "cpu": limits,
                    "short": {**limits, "max_runtime": 30},
                    "gpu": {**limits, "max_gpu": 4},
                }
            }
        )
    )
    found = partitions.read_partition_file(path)
    with workflow_of([ROOT / "config/paper.yaml"]) as workflow:
        chosen = {
            (job.rule.name, partitions.get_best_partition(found, job, logging.getLogger("quiet")))
            for job in workflow.dag.jobs
            if job.output
        }
    assert {("train", "gpu"), ("measure", "gpu"), ("cut_clips", "cpu"), ("merge_captions", "short")} <= chosen
    assert not any(partition is None for _, partition in chosen)
    assert "slurm_partition" not in yaml.safe_load(PROFILES["slurm"].read_text())["default-resources"]


@pytest.mark.parametrize(
    ("configs", "folders"),
    [
        (["config.yaml"], ("results", "logs")),
        (["config/paper.yaml"], ("paper/results", "paper/logs")),
        (["config.yaml", "config/study.yaml"], ("study/results", "study/logs")),
    ],
    ids=lambda value: value[-1],
)
def test_demo_paper_and_study_write_to_folders_of_their_own(configs, folders):
    settings = load(None, [ROOT / name for name in configs], whole=True)
    assert settings.results == settings.only("tables report").results == Path(folders[0])
    with workflow_of([ROOT / name for name in configs]) as workflow:
        for job in workflow.dag.jobs:
            written = [*map(str, job.output), *filter(None, [job.benchmark and str(job.benchmark)])]
            assert all(path.startswith(f"{folders[0]}/") for path in written), written
            assert all(str(path).startswith(f"{folders[1]}/") for path in job.log), job.log


def test_local_is_the_default_profile():
    assert PROFILES["local"].resolve() == PROFILES["default"].resolve()


KUBECTL = """#!{python}
import json, sys
from pathlib import Path
folder = Path("{folder}")
words = sys.argv[3:]
assert sys.argv[1:3] == ["--namespace", "default"], sys.argv
if (folder / "down").exists():
    sys.exit("Unable to connect to the server")
if words[0] == "create":
    job = json.load(sys.stdin)
    (folder / job["metadata"]["name"]).write_text(json.dumps(job))
elif words[0] == "get" and words[2] == "--selector":
    jobs = [json.loads(path.read_text()) for path in folder.iterdir()]
    found = [j for j in jobs if "run=" + j["metadata"]["labels"].get("run", "") == words[3]]
    print(json.dumps({{"items": found}}))
elif words[0] == "get":
    assert "--ignore-not-found" in words
    print((folder / words[2]).read_text() if (folder / words[2]).exists() else "", end="")
else:
    [(folder / name).unlink() for name in words[4:]]
"""


JOB = PROFILES["kubernetes"].with_name("job.py")
PLACE = {"EADBENCH_IMAGE": "example.org/eadbench:1", "EADBENCH_VOLUME": "claim:/shared"}


def stand_in_cluster(folder: Path) -> tuple[Path, dict[str, str]]:
    """Where a stand-in for kubectl keeps jobs as files, and the environment in which it
    is found.
    """
    kubectl, store = folder / "bin/kubectl", folder / "jobs"
    kubectl.parent.mkdir()
    store.mkdir()
    kubectl.write_text(KUBECTL.format(python=sys.executable, folder=store))
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    base = {**os.environ, "PATH": f"{kubectl.parent}:{os.environ['PATH']}"}
    base.pop("EADBENCH_NAMESPACE", None)
    return store, base


def test_kubernetes_jobs_are_made_and_watched(tmp_path):
    store, base = stand_in_cluster(tmp_path)
    (tmp_path / "job.sh").write_text("echo\n")

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(JOB), *arguments]
        return subprocess.run(command, env=base | more, cwd=tmp_path, capture_output=True, text=True)

    asked = ("submit", "--threads", "2", "--mem-mb", "8000", "--runtime", "30", "--gpu", "1", "job.sh")
    assert "EADBENCH_IMAGE" in call(*asked).stderr
    done = call(*asked, **PLACE)
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    job = json.loads((store / name).read_text())
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["command"] == ["/bin/sh", str(tmp_path / "job.sh")] and container["workingDir"] == str(
        tmp_path
    )
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "8000M", "nvidia.com/gpu": "1"}
    assert job["spec"]["activeDeadlineSeconds"] == 1800 and job["spec"]["backoffLimit"] == 0
    assert (
        pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "claim"
        and container["volumeMounts"][0]["mountPath"] == "/shared"
    )
    assert call("status", name).stdout.strip() == "running"
    for kind, word in (("Complete", "success"), ("Failed", "failed")):
        (store / name).write_text(
            json.dumps(job | {"status": {"conditions": [{"type": kind, "status": "True"}]}})
        )
        assert call("status", name).stdout.strip() == word
    (store / "down").touch()
    assert call("status", name).stdout.strip() == "running", (
        "a cluster that cannot be reached says nothing about the job"
    )
    (store / "down").unlink()
    (store / name).unlink()
    assert call("status", name).stdout.strip() == "failed", "a job that is gone has failed"


def submitted(folder: Path, env: dict[str, str]) -> str:
    """Name of a job, submitted as the executor does it."""
    (folder / "job.sh").write_text("echo\n")
    asked = ["submit", "--threads", "1", "--mem-mb", "1", "--runtime", "1", "--gpu", "0", "job.sh"]
    return subprocess.run(
        [str(JOB), *asked], env=env, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("late", [False, True])
def test_the_end_of_snakemake_deletes_the_jobs_of_its_run_that_have_not_ended_and_no_others(tmp_path, late):
    """As cluster-generic starts and ends it: one program's name, its first line goes to
    the jobs, SIGTERM in the end.
    """
    store, base = stand_in_cluster(tmp_path)
    sidecar = subprocess.Popen(
        yaml.safe_load(PROFILES["kubernetes"].read_text())["cluster-generic-sidecar-cmd"],
        cwd=ROOT,
        env=base,
        stdout=-1,
        text=True,
    )
    base |= PLACE | {"SNAKEMAKE_CLUSTER_SIDECAR_VARS": sidecar.stdout.readline().strip()}
    mine = [submitted(tmp_path, base) for _ in range(25)]
    other = submitted(tmp_path, base | {"SNAKEMAKE_CLUSTER_SIDECAR_VARS": "another"})
    done = json.loads((store / mine[0]).read_text()) | {
        "status": {"conditions": [{"type": "Complete", "status": "True"}]}
    }
    (store / mine[0]).write_text(json.dumps(done))
    sidecar.send_signal(signal.SIGINT)  # Ctrl-C goes to all
    if late:
        (store / "down").touch()
    time.sleep(0.5)
    assert sidecar.poll() is None and set(mine) < {path.name for path in store.iterdir()}
    sidecar.terminate()
    if late:
        time.sleep(1.2)
        mine.append(submitted_late(tmp_path, base, store))
    assert sidecar.wait(60) == 0
    assert {path.name for path in store.iterdir()} == {mine[0], other}


def submitted_late(folder: Path, env: dict[str, str], store: Path) -> str:
    """A job that was under way when Snakemake was stopped, on a cluster that is back
    again.
    """
    (store / "down").unlink()
    return submitted(folder, env)


KEEPER = """
import subprocess, sys, time
sidecar = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(sidecar.stdout.readline().strip(), sidecar.pid, flush=True)
time.sleep(60)
"""


def test_jobs_of_a_snakemake_that_was_killed_go_on(tmp_path):
    store, base = stand_in_cluster(tmp_path)
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(JOB)], env=base, stdout=subprocess.PIPE, text=True
    )
    run, sidecar = keeper.stdout.readline().split()
    name = submitted(tmp_path, base | PLACE | {"SNAKEMAKE_CLUSTER_SIDECAR_VARS": run})
    keeper.kill()
    keeper.wait()
    until = time.monotonic() + 20
    while (
        Path(f"/proc/{sidecar}").exists() and "Z" not in Path(f"/proc/{sidecar}/stat").read_text().split()[2]
    ):
        assert time.monotonic() < until, "the sidecar ends with Snakemake"
        time.sleep(0.2)
    assert [path.name for path in store.iterdir()] == [name]
