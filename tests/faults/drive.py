#!/usr/bin/env python
"""Run the smoke pipeline, harm it in many ways, and see whether one rerun ends with the
same tables or names what is wrong.

    python tests/faults/drive.py --work DIR    everything; about an hour on 2 cores
    python tests/faults/drive.py --work DIR --only kill --kills 20          one kind of
    fault
    python tests/faults/drive.py --work DIR --reference DIR2 --only flip    DIR2 holds a
    finished smoke run

Kinds: `kill` SIGKILL to Snakemake and all its jobs at random moments, run by run, until
the pipeline is through; `full` a disk that fills up, several times in one pipeline
(needs root, to mount a small file system); `truncate`, `flip`, `remove` harm one file
of a finished run, and a job that reads it runs again; `fail` the first job of every
rule fails once, before, after or in the middle of its work.

Outcomes: `same` tables (or, for a harmed file, the same output of the job that read it,
on which all later tables hang), `named` a message that names the file or the fault,
`unnamed` a failure that does not, `wrong` another table without a word. The last two
must not happen.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.harm import HARMS, intermediate_files, named, reader_of, remedy, spread
from faults.values import differences, output_of, tables_of
from workflow.running import ROOT, SMOKE, command_of, snakemake

from eadbench.core.settings import merge

CONFIGS = SMOKE  # files of the configuration, changed by --small
KINDS = ("kill", "full", "truncate", "flip", "remove", "fail")
RULES = {
    "film": "corpora film",
    "fetch_corpus": "corpora fetch",
    "index_corpus": "corpora index",
    "cut_clips": "clips cut",
    "merge_clips": "clips merge",
    "check_clips": "clips check",
    "report_clips": "clips report",
    "make_artefact": "zoo make",
    "write_captions": "captions write",
    "merge_captions": "captions merge",
    "filter_captions": "captions filter",
    "report_captions": "captions report",
    "extract_features": "features extract",
    "encode_text": "features text",
    "merge_features": "features merge",
    "train": "training run",
    "make_samples": "samples make",
    "measure_corpus": "scores corpus",
    "measure": "scores measure",
    "summarise": "scores summarise",
    "build_tables": "tables build",
    "write_report": "tables report",
}
# A function that stands before the program in every job's shell: the first job of each
# rule fails once.
HOOK = """
python() {
  local key when
  stages='corpora|clips|zoo|captions|features|training|samples|scores|tables'
  key=$(echo "$*" | grep -oE " ($stages) [a-z]+" | head -1)
  key=$(echo "${key:1}" | tr ' ' '_')
  if [[ -n $key ]] && mkdir "$FAULTS_MARKS/$key" 2>/dev/null; then
    when=$(cat "$FAULTS_MARKS/when_$key" 2>/dev/null || echo before)
    case $when in
      before) return 3 ;;
      after) command python "$@"; return 4 ;;
      during) timeout -s KILL "$FAULTS_SECONDS" python "$@"; return 5 ;;
    esac
  fi
  command python "$@"
}
"""


def small_config(target: Path) -> tuple[str, ...]:
    """A third of the smoke pipeline, every rule of it: one corpus, one trained method,
    the ground truth and a control. Returns the file to give.
    """
    config: dict = {}
    for name in SMOKE:
        config = merge(config, yaml.safe_load((ROOT / name).read_text()))
    corpus, runs, methods = "demo_mead", ("syncnet", "stage1", "full"), ("ground_truth", "full", "still")
    config["corpora"]["sets"] = {corpus: config["corpora"]["sets"][corpus]}
    for stage in ("zoo", "training"):
        config[stage]["train_on"] = [corpus]
    config["training"]["runs"] = {run: config["training"]["runs"][run] for run in runs}
    config["samples"]["methods"] = {
        name: config["samples"]["methods"][name] | {"corpora": [corpus]} for name in methods
    }
    tables = config["tables"]
    config["tables"] = tables | {
        "methods": list(methods),
        "controls": ["still"],
        "ablation": None,
        "generalisation": None,
    }
    for name in ("main", "speed"):
        tables[name]["corpora"] = [corpus]
    target.write_text(yaml.safe_dump(config, sort_keys=False))
    return (str(target),)


def log(text: str) -> None:
    """Tell how it goes."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def run(folder: Path, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run Snakemake and wait."""
    return snakemake(folder, *options, configs=CONFIGS, timeout=2 * 3600, env=env)


def start(folder: Path, *options: str) -> subprocess.Popen:
    """Start Snakemake in a session of its own; it writes to ``run.log``."""
    folder.mkdir(parents=True, exist_ok=True)
    with run_log(folder).open("w") as out:
        return subprocess.Popen(
            command_of(folder, *options, configs=CONFIGS),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run_log(folder: Path) -> Path:
    """What :func:`start` has Snakemake write to."""
    return folder.parent / f"{folder.name}.run.log"


def wait_for_a_job(process: subprocess.Popen, folder: Path) -> None:
    """Wait until the first job begins or the run ends, so that kills meet jobs and not
    the start of Snakemake.
    """
    while process.poll() is None and not re.search(r"^Job \d+: ", run_log(folder).read_text(), re.M):
        time.sleep(0.2)


def kill_all(process: subprocess.Popen) -> int:
    """SIGKILL to a process that :func:`start` began and all its descendants; how many
    were still there.
    """
    victims: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):  # it may have ended just now
        leader = psutil.Process(process.pid)
        victims = [leader, *leader.children(recursive=True)]
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # those begun since they were listed, too
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()  # those that left the group
    process.wait()
    psutil.wait_procs(victims, timeout=20)
    return len(victims)


def finish(folder: Path, *targets: str) -> subprocess.CompletedProcess:
    """The one rerun after a fault. A killed Snakemake leaves its lock, which a person
    would remove the same way.
    """
    run(folder, "--unlock")
    return run(folder, *targets)


def against(right: dict[str, bytes], folder: Path, done: subprocess.CompletedProcess) -> tuple[str, str]:
    """Outcome of a whole pipeline, and what to know of it."""
    if done.returncode:
        return "unnamed", (done.stdout + done.stderr)[-3000:]
    wrong = differences(right, tables_of(folder))
    return ("wrong", ", ".join(wrong)) if wrong else ("same", "")


def kills(work: Path, right: dict[str, bytes], count: int, rng: random.Random, longest: float) -> list[dict]:
    """Kill, run again and kill, until the pipeline is through; as often as it takes for
    ``count`` kills.
    """
    trials: list[dict] = []
    while len(trials) < count:
        folder, chain = work / f"kill{len(trials)}", []
        while len(trials) + len(chain) < count:
            process = start(folder)
            wait_for_a_job(process, folder)
            began = time.monotonic()
            try:
                process.wait(rng.uniform(0, longest))
                break
            except subprocess.TimeoutExpired:
                victims = kill_all(process)
            text = run_log(folder).read_text()
            steps = re.findall(r"(\d+) of (\d+) steps", text)
            begun = re.findall(r"^Job \d+: (.*)", text, re.M)
            job, done = begun[-1] if begun else "nothing", steps[-1][0] if steps else 0
            fact = (
                f"{time.monotonic() - began:.1f} s after the first job began, {victims} processes, "
                f"{done} jobs done, last begun: {job}"
            )
            chain.append({"kind": "kill", "fault": fact})
            log(f"kill {len(trials) + len(chain)}: {fact}")
            run(folder, "--unlock")
        outcome, told = against(right, folder, finish(folder))
        halves = [str(path.relative_to(folder)) for path in folder.rglob(".part-*")]
        trials += [trial | {"outcome": outcome, "told": told, "left_over": len(halves)} for trial in chain]
        log(f"{len(chain)} kills in one pipeline: {outcome} {told}, {len(halves)} halves of files left over")
        shutil.rmtree(folder, ignore_errors=True)
    return trials


def full(work: Path, right: dict[str, bytes], shares: list[float], size: int) -> list[dict]:
    """A disk that has room for a share of the results only; more room, and on, in the
    same pipeline.
    """
    folder = work / "full"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={int(size * shares[0])}", "none", str(folder)], check=True
    )
    trials = []
    try:
        for share in shares:
            subprocess.run(["mount", "-o", f"remount,size={int(size * share)}", str(folder)], check=True)
            run(folder, "--unlock")
            done = run(folder)
            text = done.stdout + done.stderr
            said = (
                "the disk is full"
                if "the disk is full" in text
                else "No space left"
                if "No space left" in text
                else ""
            )
            outcome = (
                "named"
                if done.returncode and said
                else "unnamed"
                if done.returncode
                else against(right, folder, done)[0]
            )
            trials.append(
                {
                    "kind": "full",
                    "fault": f"room for {share:.0%} of {size >> 20} MiB",
                    "outcome": outcome,
                    "told": said or text[-2000:],
                }
            )
            log(f"full at {share:.0%}: {outcome}: {said}")
        subprocess.run(["mount", "-o", f"remount,size={size * 4}", str(folder)], check=True)
        outcome, told = against(right, folder, finish(folder))
        log(f"with room again: {outcome} {told}")
        for trial in trials:
            trial["outcome"] = trial["outcome"] if outcome == "same" else outcome
            trial["then"] = f"{outcome} tables with more room" if outcome == "same" else told
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
    return trials


def harmed(work: Path, reference: Path, kind: str, count: int, rng: random.Random) -> list[dict]:
    """Harm one file, let a job that reads it run again, compare what comes out."""
    trials = []
    for name in spread(intermediate_files(reference), count, rng):
        try:
            output, aside = reader_of(name, reference, rng)
        except LookupError as error:
            trials.append({"kind": kind, "fault": name, "outcome": "unread", "told": str(error)})
            continue
        trials.append(harm_one(work, reference, kind, name, output, aside, rng))
    return trials


def harm_one(
    work: Path, reference: Path, kind: str, name: str, output: str, aside: list[str], rng: random.Random
) -> dict:
    """One trial in a copy of the reference."""
    folder = work / "harmed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(reference, folder, symlinks=True)
    right = output_of(reference, output)
    (folder / output).unlink()
    for other in aside:
        if not f"results/{name}".startswith(other + "/") and (folder / other).is_dir():
            shutil.rmtree(folder / other)
    fact = HARMS[kind](folder / "results" / name, rng)
    began = time.monotonic()
    done = run(folder, output)
    text = done.stdout + done.stderr
    if done.returncode:
        outcome = "named" if named(text, name) else "unnamed"
        told = next(
            (line.strip() for line in text.splitlines() if Path(name).name in line and "where" in line),
            text[-1500:] if outcome == "unnamed" else "",
        )
    else:
        wrong = differences(right, output_of(folder, output))
        outcome, told = ("wrong", ", ".join(wrong)) if wrong else ("same", "")
    then = mend(folder, output, right, text) if outcome == "named" else None
    log(
        f"{kind} {name} ({fact}), then {output}: {outcome} {told[:200]} {then or ''} "
        f"[{time.monotonic() - began:.0f} s]"
    )
    return {
        "kind": kind,
        "fault": f"{name}: {fact}",
        "read_by": output,
        "outcome": outcome,
        "told": told,
        "then": then,
    }


def mend(folder: Path, output: str, right: dict[str, bytes], text: str) -> str:
    """Do what the message says, run again, and see whether that was good advice."""
    path = remedy(text, folder)
    if path is None or not path.is_relative_to(folder):
        return "no remedy given"
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    done = run(folder, output)
    if done.returncode:
        return f"after deleting {path.relative_to(folder)} still an error"
    return "mended" if not differences(right, output_of(folder, output)) else "another output"


def fails(work: Path, right: dict[str, bytes], rng: random.Random) -> list[dict]:
    """The first job of every rule fails once; run again until all is through."""
    folder, marks = work / "fail", work / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    (work / "hook.sh").write_text(HOOK)
    chosen = {verb: rng.choice(("before", "after", "during")) for verb in RULES.values()}
    for verb, when in chosen.items():
        (marks / f"when_{verb.replace(' ', '_')}").write_text(when)
    env = os.environ | {"BASH_ENV": str(work / "hook.sh"), "FAULTS_MARKS": str(marks), "FAULTS_SECONDS": "5"}
    failed_at: dict[str, int] = {}
    for attempt in range(1, len(RULES) + 2):
        done = run(folder, env=env)
        for path in marks.iterdir():
            if path.is_dir():
                failed_at.setdefault(path.name.replace("_", " "), attempt)
        log(
            f"run {attempt}: status {done.returncode}, so far failed once: {len(failed_at)} of "
            f"{len(RULES)} rules"
        )
        if done.returncode == 0:
            break
    outcome, told = against(right, folder, done)
    return [
        {
            "kind": "fail",
            "fault": f"{rule}: {chosen[verb]}",
            "outcome": outcome if verb in failed_at else "not reached",
            "told": told,
            "run": failed_at.get(verb),
        }
        for rule, verb in RULES.items()
    ]


def table_of(trials: list[dict]) -> str:
    """Counts as a Markdown table."""
    counts = Counter((trial["kind"], trial["outcome"]) for trial in trials)
    outcomes = [
        "same",
        "named",
        "unnamed",
        "wrong",
        *sorted({o for _, o in counts} - {"same", "named", "unnamed", "wrong"}),
    ]
    lines = ["| fault | trials | " + " | ".join(outcomes) + " |", "|---|" + "---|" * (len(outcomes) + 1)]
    for kind in dict.fromkeys(trial["kind"] for trial in trials):
        row = [counts[kind, outcome] for outcome in outcomes]
        lines.append(f"| {kind} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Drive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs; about 2 GB")
    parser.add_argument(
        "--reference",
        type=Path,
        help="a finished, undisturbed smoke run of this very checkout; made under --work without it",
    )
    parser.add_argument(
        "--small",
        action="store_true",
        help="one corpus and three methods instead of the whole smoke pipeline: a third of the time",
    )
    parser.add_argument(
        "--only", choices=KINDS, action="append", help="kinds of fault; may be given several times [all]"
    )
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs [20]")
    parser.add_argument(
        "--longest",
        type=float,
        default=20,
        help="seconds from the first job's start to a kill: uniform from 0 to this [20]",
    )
    parser.add_argument(
        "--harms", type=int, default=20, help="files to truncate, to flip a bit of, and to remove, each [20]"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all random choices [1]")
    parser.add_argument("--out", type=Path, help="report as JSON [WORK/report.json]")
    given = parser.parse_args()
    kinds, work = given.only or KINDS, given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if given.small:
        global CONFIGS
        CONFIGS = small_config(work / "small.yaml")
    reference = (given.reference or work / "reference").resolve()
    log(f"reference: {reference}")
    done = run(reference)
    if done.returncode:
        print(done.stdout[-4000:] + done.stderr[-4000:])
        return 2
    right = tables_of(reference)
    size = sum(path.stat().st_blocks * 512 for path in reference.rglob("*") if path.is_file())
    trials: list[dict] = []
    for kind in kinds:
        rng = random.Random(f"{given.seed} {kind}")
        if kind == "kill":
            trials += kills(work, right, given.kills, rng, given.longest)
        elif kind == "full":
            trials += full(work, right, [0.05, 0.2, 0.4, 0.6, 0.8, 0.95], size)
        elif kind == "fail":
            trials += fails(work, right, rng)
        else:
            trials += harmed(work, reference, kind, given.harms, rng)
        (given.out or work / "report.json").write_text(
            json.dumps({"seed": given.seed, "small": given.small, "trials": trials}, indent=1) + "\n"
        )
    print(table_of(trials))
    bad = [trial for trial in trials if trial["outcome"] in ("unnamed", "wrong")]
    for trial in bad:
        print(f"{trial['outcome']}: {trial['kind']}: {trial['fault']}: {trial['told'][-300:]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
