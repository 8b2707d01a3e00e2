"""The workflow on a real Slurm: one node on this machine, from Debian's packages,
through the profile that users take.

Needs root, and apt where Slurm is not installed; elsewhere skipped with the reason.
Memory is watched by Slurm's own accounting, every second.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from faults.values import differences, output_of, tables_of
from workflow.running import ROOT, command_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
SCRIPT = Path(__file__).with_name("one_node_slurm.sh")
PROFILE = ROOT / "workflow/profiles/slurm"
# A test does not want to wait as politely as the profile does.
QUICK = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10")
INDEX, CUT = (
    "results/corpora/demo_ravdess/index.parquet",
    "results/clips/demo_ravdess/shards/0-of-1/cut.parquet",
)


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A running Slurm of one node."""
    if os.geteuid() != 0:
        pytest.skip("needs root to start Slurm's daemons")
    if not shutil.which("slurmctld") and not shutil.which("apt-get"):
        pytest.skip("Slurm is not installed and there is no apt to get it")
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("needs snakemake-executor-plugin-slurm")
    begun = subprocess.run(["bash", str(SCRIPT), "up"], capture_output=True, text=True)
    if begun.returncode and not shutil.which("slurmctld"):
        pytest.skip(f"Slurm's packages cannot be had here: {begun.stderr[-300:]}")
    assert begun.returncode == 0, begun.stderr
    try:
        yield
    finally:
        subprocess.run(["scancel", "--user", "root"], capture_output=True)
        subprocess.run(["bash", str(SCRIPT), "down"], capture_output=True)


def jobs(folder: Path) -> dict[str, tuple[str, str]]:
    """Slurm's jobs of a run: id to (state, rule)."""
    listed = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--format=%i|%T|%k|%Z"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split("|") for line in listed.splitlines()]
    return {
        number: (state, comment.removeprefix("rule_").partition("_wildcards_")[0])
        for number, state, comment, place in rows
        if place == str(folder)
    }


def on_slurm(folder: Path, *options: str, meanwhile: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """Run the workflow through the profile; ``meanwhile`` is called twice a second.
    Returns status and output.
    """
    command = [*command_of(folder, *options, *QUICK), "--workflow-profile", str(PROFILE)]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "snakemake.out"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            while process.poll() is None:
                meanwhile()
                time.sleep(0.5)
        finally:
            if process.poll() is None:
                process.terminate()
    return process.returncode, log.read_text()


class Saboteur:
    """Waits for a rule's job to run, and then harms it once.

    Args:
        folder: Of the run.
        rule: Rule concerned.
        harm: Called with the id of the job.
        after: Seconds for which the job runs before.
    """

    def __init__(self, folder: Path, rule: str, harm: Callable[[str], None], after: float = 4) -> None:
        self.folder, self.rule, self.harm, self.after = folder, rule, harm, after
        self.job, self.since = "", 0.0
        self.done = False

    def __call__(self) -> None:
        if self.done:
            return
        running = [
            number
            for number, (state, rule) in jobs(self.folder).items()
            if rule == self.rule and state == "RUNNING"
        ]
        if running and not self.job:
            self.job, self.since = running[0], time.monotonic()
        if self.job and time.monotonic() - self.since > self.after:
            self.harm(self.job)
            self.done = True


def cancel(job: str) -> None:
    subprocess.run(["scancel", job], check=True)


def lose_the_node(_: str) -> None:
    """The node goes down with all that runs on it, and comes back."""
    node = subprocess.run(["hostname", "-s"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=test"], check=True)
    time.sleep(3)
    # refused if it came back by itself
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False)


def test_cancelled_out_of_memory_and_lost_with_the_node(slurm: None, smoke: Path, tmp_path: Path) -> None:
    """From filming to cut clips with three faults on the way: all is submitted again,
    and the tables are those of a run without Slurm.
    """
    cancelled = Saboteur(tmp_path, "film", cancel)
    lost = Saboteur(tmp_path, "index_corpus", lose_the_node, after=1)

    def meanwhile() -> None:
        cancelled()
        lost()

    # Too little at the first attempt, as much as the rule itself asks for at the
    # second.
    memory = ("--set-resources", "fetch_corpus:mem_mb=40*40**(attempt-1)")
    status, output = on_slurm(tmp_path, CUT, *memory, meanwhile=meanwhile)
    assert status == 0, output[-5000:]
    assert cancelled.done and lost.done
    states: dict[str, list[str]] = {}
    for state, rule in jobs(tmp_path).values():
        states.setdefault(rule, []).append(state)
    assert sorted(states["film"]) == ["CANCELLED", "COMPLETED"], states
    assert len(states["fetch_corpus"]) == 2 and states["fetch_corpus"].count("COMPLETED") == 1, states
    assert states["index_corpus"].count("COMPLETED") == 1, states
    for path in (INDEX, CUT):
        assert differences(output_of(tmp_path, path), output_of(smoke, path)) == [], path


def test_without_attempts_left_the_failure_is_reported(slurm: None, tmp_path: Path) -> None:
    """A job that never gets enough memory ends the run with status 1 and its name."""
    studio = "results/studio/demo_ravdess/studio.json"
    status, output = on_slurm(tmp_path, studio, "--set-resources", "film:mem_mb=40", "--retries", "0")
    assert status == 1
    assert "film" in output and "failed" in output
    assert not (tmp_path / studio).exists()


@pytest.mark.timeout(5400)
@pytest.mark.skipif(
    not os.environ.get("EADBENCH_SLURM_ALL"), reason="half an hour on 2 cores; set EADBENCH_SLURM_ALL=1"
)
def test_whole_pipeline_gives_the_tables_of_a_local_run(slurm: None, smoke: Path, tmp_path: Path) -> None:
    status, output = on_slurm(tmp_path)
    assert status == 0, output[-5000:]
    assert tables_of(smoke)
    assert differences(tables_of(tmp_path), tables_of(smoke)) == []
