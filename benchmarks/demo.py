"""What a finished run cost: jobs, CPU seconds, wall clock and peak memory per stage and
rule, and its longest path.

    /usr/bin/time -v make demo            # says "User time" and "System time"
    python benchmarks/demo.py results [--config config.yaml] [--total 2319]

CPU seconds and memory are those that each job noted of itself in `provenance.json`, its
start and its children included. The wall clock is that of Snakemake's benchmark files;
other work on the machine makes it longer. (The `cpu_time` of those files is less than a
job took: Snakemake looks every 30 s, and what a job does after the last look is
missing.)

`--total` is what the whole run took by the kernel's account, user and system together:
what is more than the jobs' sum is the end of each process, its shell, and Snakemake
itself.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from eadbench.core.errors import EadbenchError
from eadbench.plan.dag import PlannedJob, planned
from eadbench.plan.estimate import wall_time


@dataclass(frozen=True)
class Done:
    """What a finished job took: seconds on the clock and of the processor, MiB at the
    most; nothing known is ``None``.
    """

    stage: str
    rule: str
    seconds: float
    cpu: float | None
    peak_mb: float


def records(results: Path) -> dict[str, dict]:
    """What each command noted in a ``provenance.json``, by its log file below
    ``logs/``: one job, one log.
    """
    found = {}
    for path in results.rglob("provenance.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        for one in (record, *record.get("earlier", {}).values()):
            command = one.get("command", [])
            if "--log" in command[:-1]:
                found[command[command.index("--log") + 1].split("logs/", 1)[-1]] = one
    return found


def finished(results: Path, jobs: list[PlannedJob]) -> list[Done]:
    """What each planned job took.

    Raises:
        EadbenchError: If a job has no benchmark file.
    """
    noted = records(results)
    found = []
    for job in jobs:
        path = results / "benchmarks" / job.benchmark
        if not job.benchmark or not path.exists():
            raise EadbenchError(
                "this job has not run, or not to its end",
                path,
                "give the folder of results of a finished run, and its --config",
            )
        with path.open() as file:
            row = list(csv.DictReader(file, delimiter="\t"))[-1]
        own = noted.get(job.log, {})
        rss = float(row["max_rss"]) if row["max_rss"] not in ("NA", "-") else 0.0
        cpu = own.get("cpu_seconds")
        found.append(Done(job.stage, job.rule, float(row["s"]), cpu, max(rss, own.get("peak_mb") or 0.0)))
    return found


def longest_path(jobs: list[PlannedJob], found: list[Done]) -> list[Done]:
    """The chain of jobs, each waiting for the one before, that takes longest."""
    until: dict[int, tuple[float, list[Done]]] = {}
    for k in TopologicalSorter({k: job.needs for k, job in enumerate(jobs)}).static_order():
        before, path = max(
            (until[other] for other in jobs[k].needs), key=lambda one: one[0], default=(0.0, [])
        )
        until[k] = before + found[k].seconds, [*path, found[k]]
    return max(until.values(), key=lambda one: one[0])[1]


def line(name: str, jobs: Iterable[Done]) -> str:
    """A row of the table."""
    jobs = list(jobs)
    cpu = [job.cpu for job in jobs if job.cpu is not None]
    missing = f" ({len(jobs) - len(cpu)} unknown)" if len(cpu) < len(jobs) else ""
    wall, peak = sum(job.seconds for job in jobs), max(job.peak_mb for job in jobs)
    return (
        f"| {name} | {len(jobs)} | {sum(cpu):.1f}{missing} | {wall:.1f} | {sum(cpu) / len(jobs):.1f} | "
        f"{peak:.0f} |"
    )


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of results of a finished run")
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        help="configuration of that run, later ones over earlier ones [config.yaml]",
    )
    parser.add_argument(
        "--total", type=float, help="CPU seconds of the whole run, user and system, by the kernel's account"
    )
    parser.add_argument(
        "--cores", type=int, action="append", help="cores to give the shortest time for [2 and 8]"
    )
    args = parser.parse_args()
    try:
        plan = planned(args.config or [Path("config.yaml")])
        jobs = finished(args.results, plan.jobs)
    except EadbenchError as error:
        parser.exit(1, f"error: {error}\n")
    stages: dict[str, dict[str, list[Done]]] = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        stages[job.stage][job.rule].append(job)
    print("| stage, rule | jobs | CPU s | wall s | CPU s per job | peak MiB |\n|---|---|---|---|---|---|")
    for stage, rules in sorted(
        stages.items(), key=lambda item: -sum(job.cpu or 0 for one in item[1].values() for job in one)
    ):
        print(line(f"**{stage}**", [job for one in rules.values() for job in one]))
        for rule, one in sorted(rules.items(), key=lambda item: -sum(job.cpu or 0 for job in item[1])):
            print(line(rule, one))
    print(line("**all**", jobs))
    inside = sum(job.cpu or 0 for job in jobs)
    if args.total:
        outside = args.total - inside
        print(
            f"\nOutside the jobs' own accounts: {outside:.0f} of {args.total:.0f} CPU s "
            f"({outside / args.total:.0%})."
        )
    path = longest_path(plan.jobs, jobs)
    print(
        f"\nLongest path, {sum(job.seconds for job in path):.0f} s: "
        + ", ".join(f"{job.rule} {job.seconds:.0f}" for job in path)
        + "."
    )
    for cores in args.cores or [2, 8]:
        print(
            f"The plan on {cores} cores, the most urgent job first, no waiting between jobs: "
            f"{wall_time(plan.jobs, jobs, cores, 1):.0f} s."
        )


if __name__ == "__main__":
    main()
