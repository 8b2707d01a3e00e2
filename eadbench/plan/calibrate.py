"""Figures from a finished run: the times in its benchmark files, the amounts in its
tables, the sizes of its folders.
"""

import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from eadbench.core.errors import EadbenchError
from eadbench.core.protocols import protocol_of
from eadbench.core.settings import Settings, merge
from eadbench.plan.counts import counts
from eadbench.plan.dag import Plan
from eadbench.plan.figures import Figure
from eadbench.plan.work import amount, figure_key, signature

# Where the output of a rule's job lies, and the command that it is.
FOLDERS = {
    "cut_clips": "clips/{corpus}/shards/{shard}",
    "make_artefact": "zoo/{artefact}",
    "extract_features": "features/{corpus}/shards/{shard}",
    "train": "training/{run}",
    "make_samples": "samples/{method}/{corpus}/{protocol}",
    "measure": "scores/{method}/{corpus}/{protocol}",
    "measure_corpus": "scores/together/{corpus}",
}
COMMANDS = {
    "cut_clips": "clips cut",
    "make_artefact": "zoo make",
    "extract_features": "features extract",
    "train": "training run",
    "make_samples": "samples make",
    "measure": "scores measure",
    "measure_corpus": "scores corpus",
}


@dataclass
class Sample:
    """Measurements under ``results`` of the jobs of one kind under the same settings."""

    results: Path
    amounts: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    disk: list[float] = field(default_factory=list)

    def figure(self, assumed: Figure) -> Figure:
        """Seconds of the start and per unit, by non-negative least squares where the
        jobs differ in size; else all is counted per unit, or, if there was no work (a
        corpus that was not fetched), for the start. What was not measured is taken from
        ``assumed``.
        """
        total = sum(self.amounts)
        if len(set(self.amounts)) > 1:
            design = np.column_stack([np.ones(len(self.amounts)), self.amounts])
            (start, per_unit), _ = nnls(design, np.array(self.seconds))
        elif total:
            start, per_unit = 0.0, sum(self.seconds) / total
        else:
            start, per_unit = sum(self.seconds) / len(self.seconds), assumed.seconds
        disk = {"disk_mb": sum(self.disk) / total, "disk_job_mb": 0.0} if self.disk and total else {}
        measured = {
            "seconds": float(per_unit),
            "start": float(start),
            "memory_mb": max(self.memory) or None,
            **disk,
        }
        return assumed.model_copy(
            update={
                **measured,
                "source": "measured",
                "note": f"{len(self.seconds)} jobs under {self.results}",
            }
        )


def calibrate(results: Path, plan: Plan) -> dict[tuple[str, str], Sample]:
    """All measurements of a finished run, by the name of the figure and the settings
    under which they were made.

    Args:
        results: Its folder of results.
        plan: Any plan; only its patterns of benchmark files are used.

    Raises:
        EadbenchError: If the folder holds no benchmark file, or no provenance with
            settings.
    """
    benchmark_files = sorted((results / "benchmarks").rglob("*.tsv"))
    if not benchmark_files:
        raise EadbenchError(
            "no benchmark files",
            results / "benchmarks",
            "--calibrate wants the results folder of a finished run of this workflow",
        )
    settings = Settings(settings_of(results))
    corpora = counts(settings, results)
    samples: dict[tuple[str, str], Sample] = defaultdict(lambda: Sample(results))
    for path in benchmark_files:
        name = path.relative_to(results / "benchmarks").as_posix()
        rule, wildcards = _job(name, plan)
        if not rule:
            continue
        try:
            key = figure_key(rule, wildcards, settings), signature(rule, wildcards, settings)
            work = amount(rule, wildcards, settings, corpora)
        except (EadbenchError, KeyError):
            continue  # a method or run that the run's provenance no longer holds
        seconds, memory = _read(path)
        sample = samples[key]
        sample.amounts.append(work)
        sample.seconds.append(seconds)
        if rule in FOLDERS and (folder := results / FOLDERS[rule].format(**wildcards)).is_dir():
            memory = max(memory, _peak(folder, COMMANDS[rule]))
            sample.disk.append(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6)
        sample.memory.append(memory)
    return samples


def settings_of(results: Path) -> dict[str, Any]:
    """The configuration of a finished run, merged from the settings that its jobs
    recorded (in every ``provenance.json``).

    Raises:
        EadbenchError: If no job recorded any.
    """
    raw: dict[str, Any] = {}
    for path in sorted(results.rglob("provenance.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for job_record in (record, *record.get("earlier", {}).values()):
            raw = merge(raw, job_record.get("config") or {})
    if not raw:
        raise EadbenchError(
            "no provenance.json with settings",
            results,
            "--calibrate wants the results folder of a finished run of this workflow",
        )
    methods = raw.get("samples", {}).get("methods", {})
    # no job depends on, and so none recorded, which cells there are
    for path in sorted(results.glob("scores/*/*/*/per_clip.parquet")):
        name, corpus, protocol = path.parts[-4:-1]
        if name in methods:
            for key, value in (("corpora", corpus), ("protocols", protocol_of(protocol))):
                methods[name][key] = sorted({*methods[name].get(key, ()), value})
    return raw


def _job(name: str, plan: Plan) -> tuple[str, dict[str, str]]:
    """Rule and wildcards of a benchmark file; empty when no rule writes it."""
    for rule, pattern in plan.benchmarks.items():
        if match := pattern.fullmatch(name):
            return rule, match.groupdict()
    return "", {}


def _peak(folder: Path, command: str) -> float:
    """Peak memory in MB that a job recorded of itself, which misses no spike between two
    samples of Snakemake; 0 where it recorded none.
    """
    try:
        record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0
    peaks = [0.0]
    for job_record in (record, *record.get("earlier", {}).values()):
        job_command = " ".join(job_record.get("command", []))
        if f" {command} " in f" {job_command} ":
            peaks.append(job_record.get("peak_mb") or 0.0)
    return max(peaks) * 1.048576


def _read(path: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of a benchmark file; several lines are repetitions."""
    with path.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    seconds = [float(row["s"]) for row in rows]
    memory = [float(row["max_rss"]) for row in rows if row["max_rss"] not in ("NA", "-")]
    return sum(seconds) / len(seconds), max(memory, default=0.0) * 1.048576
