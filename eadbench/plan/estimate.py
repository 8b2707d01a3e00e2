"""From jobs, amounts and figures to hours, disk, memory and wall time."""

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass
from graphlib import TopologicalSorter

import pandas as pd

from eadbench.core.errors import EadbenchError
from eadbench.core.settings import STAGES, Settings
from eadbench.plan.calibrate import Sample
from eadbench.plan.counts import Counts
from eadbench.plan.dag import PlannedJob
from eadbench.plan.figures import Figure
from eadbench.plan.work import UNITS, amount, figure_key, signature


@dataclass(frozen=True)
class Cost:
    """Cost of one job: the name of its figure and the figure, its amount of work,
    seconds, disk and memory in MB.
    """

    key: str
    figure: Figure
    work: float
    seconds: float
    disk_mb: float
    memory_mb: float


def costs(
    jobs: list[PlannedJob],
    settings: Settings,
    corpora: dict[str, Counts],
    figures: dict[str, Figure],
    measured: dict[tuple[str, str], Sample],
) -> list[Cost]:
    """The cost of every job. A given figure is used as it is, a measured one where it
    was measured under the same settings, else the assumed one.

    Raises:
        EadbenchError: If there is no figure for a kind of job.
    """
    same_key: dict[str, list[Sample]] = defaultdict(list)
    for (key, _), sample in measured.items():
        same_key[key].append(sample)
    figure_of: dict[tuple[str, str], Figure] = {}
    job_costs = []
    for job in jobs:
        key = figure_key(job.rule, job.wildcards, settings)
        if key not in figures:
            raise EadbenchError(
                f"no figure for {key!r}", "eadbench/plan/assumed.yaml", "give one with --figures"
            )
        pair = key, signature(job.rule, job.wildcards, settings)
        if pair not in figure_of:
            figure_of[pair] = _figure(pair, figures[key], measured, same_key[key])
        figure = figure_of[pair]
        work = amount(job.rule, job.wildcards, settings, corpora)
        memory = figure.memory_mb or float(job.mem_mb)
        job_costs.append(
            Cost(
                key,
                figure,
                work,
                figure.start + figure.seconds * work,
                figure.disk_job_mb + figure.disk_mb * work,
                memory,
            )
        )
    return job_costs


def _figure(
    pair: tuple[str, str], assumed: Figure, measured: dict[tuple[str, str], Sample], same_key: list[Sample]
) -> Figure:
    if assumed.source == "given" or not same_key:
        return assumed
    if pair in measured:
        return measured[pair].figure(assumed)
    measured_seconds = [sample.figure(assumed).seconds for sample in same_key]
    low, high = min(measured_seconds), max(measured_seconds)
    range_text = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    measured_text = f"{range_text} s measured with other settings under {same_key[0].results}"
    return assumed.model_copy(update={"note": f"{assumed.note} ({measured_text})"})


def by_stage(jobs: list[PlannedJob], job_costs: list[Cost]) -> pd.DataFrame:
    """One row per stage and one for the whole (``schemas.PLAN``)."""
    pairs = list(zip(jobs, job_costs, strict=True))
    rows = [_row(stage, [(job, cost) for job, cost in pairs if job.stage == stage]) for stage in STAGES]
    return pd.DataFrame([*(row for row in rows if row["jobs"]), _row("all", pairs)])


def _row(stage: str, pairs: list[tuple[PlannedJob, Cost]]) -> dict:
    core = [c.seconds * j.threads / 3600 for j, c in pairs]
    gpu = [c.seconds * j.gpus / 3600 for j, c in pairs]
    known_hours = [h for h, (_, c) in zip(core, pairs, strict=True) if c.figure.source != "assumed"]
    sources = Counter(c.figure.source for _, c in pairs)
    on_gpu = [c.figure.gpu_memory_mb for j, c in pairs if j.gpus and c.figure.gpu_memory_mb]
    return {
        "stage": stage,
        "jobs": len(pairs),
        "core_hours": sum(core),
        "gpu_hours": sum(gpu),
        "disk_gb": sum(c.disk_mb for _, c in pairs) / 1000,
        "peak_memory_gb": max((c.memory_mb for _, c in pairs), default=0.0) / 1000,
        "peak_gpu_memory_gb": max(on_gpu) / 1000 if on_gpu else None,
        "measured_share": sum(known_hours) / sum(core) if sum(core) else 0.0,
        "source": ", ".join(
            f"{name} {sources[name]}" for name in ("measured", "given", "assumed") if sources[name]
        ),
    }


def by_figure(jobs: list[PlannedJob], job_costs: list[Cost]) -> pd.DataFrame:
    """One row per figure used: its jobs and their work, its values, where it is from."""
    groups: dict[tuple, list[tuple[PlannedJob, Cost]]] = defaultdict(list)
    for job, cost in zip(jobs, job_costs, strict=True):
        figure = cost.figure
        groups[cost.key, figure.source, figure.seconds, figure.start, figure.note].append((job, cost))
    return pd.DataFrame(
        {
            "figure": key,
            "jobs": len(pairs),
            "work": sum(c.work for _, c in pairs),
            "unit": UNITS[pairs[0][0].rule],
            "seconds_per_unit": seconds,
            "start_seconds": start,
            "hours": sum(c.seconds for _, c in pairs) / 3600,
            "memory": source if pairs[0][1].figure.memory_mb else "requested by the rule",
            "source": source,
            "note": note,
        }
        for (key, source, seconds, start, note), pairs in groups.items()
    )


def wall_time(jobs: list[PlannedJob], job_costs: list[Cost], cores: int, gpus: int) -> float:
    """Seconds until the last job is done, when the jobs with the longest chain of jobs
    after them start first (a simulation, no waiting in queues).

    Args:
        jobs, job_costs: Jobs and their costs.
        cores: Total cores; a job that asks for more gets all of them.
        gpus: Total GPUs.

    Raises:
        EadbenchError: If a job needs more GPUs than there are.
    """
    most_gpus = max((job.gpus for job in jobs), default=0)
    if most_gpus > gpus:
        raise EadbenchError(
            f"a job needs {most_gpus} GPU, and there are {gpus}",
            "--gpus",
            "raise it, or plan with `device: cpu`",
        )
    successors: dict[int, list[int]] = defaultdict(list)
    for number, job in enumerate(jobs):
        for other in job.needs:
            successors[other].append(number)
    priority = _critical_paths(jobs, job_costs, successors)
    missing = [len(job.needs) for job in jobs]
    ready = [(-priority[n], n) for n, count in enumerate(missing) if not count]
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    now, free_cores, free_gpus = 0.0, cores, gpus
    while ready or running:
        waiting = []
        while ready and free_cores:
            negative_priority, n = heapq.heappop(ready)
            threads = min(jobs[n].threads, cores)
            if threads > free_cores or jobs[n].gpus > free_gpus:
                waiting.append((negative_priority, n))
                continue
            free_cores, free_gpus = free_cores - threads, free_gpus - jobs[n].gpus
            heapq.heappush(running, (now + job_costs[n].seconds, n))
        for item in waiting:
            heapq.heappush(ready, item)
        now, n = heapq.heappop(running)
        free_cores, free_gpus = free_cores + min(jobs[n].threads, cores), free_gpus + jobs[n].gpus
        for other in successors[n]:
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, (-priority[other], other))
    return now


def _critical_paths(
    jobs: list[PlannedJob], job_costs: list[Cost], successors: dict[int, list[int]]
) -> list[float]:
    """Seconds from the start of each job to the end of the longest chain that it
    begins.
    """
    longest = [0.0] * len(jobs)
    in_order = TopologicalSorter({n: job.needs for n, job in enumerate(jobs)}).static_order()
    for n in reversed(list(in_order)):
        longest[n] = job_costs[n].seconds + max((longest[other] for other in successors[n]), default=0.0)
    return longest
