"""A few trials of the driver, one of each kind that is quick; docs/faults.md has the
counts of the whole.
"""

import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from faults.drive import finish, harm_one, kill_all, start
from faults.harm import FOR_PEOPLE, READERS, intermediate_files, named, reader_of
from faults.values import differences, output_of

CELL = "results/scores/still/demo_mead/self"


def first(folder: Path, pattern: str) -> str:
    return next(name for name in intermediate_files(folder) if re.fullmatch(pattern, name))


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_some_job_is_known_to_read_every_file(smoke: Path) -> None:
    """A new kind of file must be added to the table of readers, or the driver would
    pass over it.
    """
    unread = []
    for name in intermediate_files(smoke):
        try:
            reader_of(name, smoke, random.Random(0))
        except LookupError:
            unread.append(name)
    assert unread == []


@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "pattern", "outcomes"),
    [
        ("flip", r"samples/still/demo_mead/self/videos/.*", {"named"}),
        ("truncate", r"clips/demo_hdtf/shards/0-of-1/audio/.*", {"named", "same"}),
        ("flip", r"scores/still/demo_mead/self/per_clip\.parquet", {"named"}),
        ("flip", r"zoo/lpips/model\.safetensors", {"named"}),
        ("remove", r"scores/still/demo_mead/self/features\.safetensors", {"named"}),
        ("remove", r"scores/still/demo_mead/self/per_clip\.parquet", {"same"}),
    ],
)
def test_a_harmed_file_is_named_or_made_anew(
    smoke: Path, tmp_path: Path, kind: str, pattern: str, outcomes: set[str]
) -> None:
    rng, name = random.Random(1), first(smoke, pattern)
    output, aside = reader_of(name, smoke, rng)
    trial = harm_one(tmp_path, smoke, kind, name, output, aside, rng)
    assert trial["outcome"] in outcomes, trial


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_killed_while_measuring(smoke: Path, tmp_path: Path) -> None:
    """SIGKILL to all processes once a job has begun; the one rerun ends with the same
    values.
    """
    folder = tmp_path / "run"
    shutil.copytree(smoke, folder, symlinks=True)
    for name in ("per_clip", "summary"):
        (folder / CELL / f"{name}.parquet").unlink()
    process = start(folder, f"{CELL}/summary.parquet")
    marks = folder / ".snakemake/incomplete"
    while process.poll() is None and not any(marks.glob("*")):
        time.sleep(0.1)
    assert process.poll() is None, (folder.parent / f"{folder.name}.run.log").read_text()
    assert kill_all(process) > 1
    assert not (folder / CELL / "per_clip.parquet").exists()
    done = finish(folder, f"{CELL}/summary.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    for output in (f"{CELL}/per_clip.parquet", f"{CELL}/summary.parquet"):
        assert differences(output_of(smoke, output), output_of(folder, output)) == []


def test_a_kill_bears_that_the_process_has_ended() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    assert kill_all(process) == 0


def test_a_kill_reaches_those_who_left_the_group() -> None:
    """Workers of methods have sessions of their own."""
    process = subprocess.Popen(
        ["bash", "-c", "setsid sleep 600 & echo begun; wait"], stdout=subprocess.PIPE, start_new_session=True
    )
    process.stdout.readline()
    victims = psutil.Process(process.pid).children(recursive=True)
    assert kill_all(process) == 1 + len(victims) == 2
    assert not any(victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE for victim in victims)


def test_messages_are_told_from_mere_listings() -> None:
    assert not named("input: results/a/x.parquet\noutput: b", "a/x.parquet")
    assert named("  where: results/a/x.parquet", "a/x.parquet")


def test_files_for_people_are_no_intermediates() -> None:
    assert (
        FOR_PEOPLE.match("tables/main.md")
        and FOR_PEOPLE.match("clips/c/report.html")
        and not FOR_PEOPLE.match("tables/scores.parquet")
    )
    assert all(outputs for _, outputs, _ in READERS)
