"""The jobs of the workflow as Snakemake itself plans them, without making anything."""

import contextlib
import io
import logging
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eadbench.core.errors import EadbenchError

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PlannedJob:
    """One job.

    Attributes:
        rule, stage, wildcards: Its rule; the stage is the name of the rule's file.
        threads, gpus: Resources that it holds while it runs.
        mem_mb: Memory that its rule asks for on the first attempt, MB.
        needs: Numbers of the jobs that must be done before, as positions in the list.
        benchmark, log: Its files, below the folders of benchmarks and logs; empty where
            it has none.
    """

    rule: str
    stage: str
    wildcards: dict[str, str]
    threads: int
    gpus: int
    mem_mb: int
    needs: tuple[int, ...] = ()
    benchmark: str = ""
    log: str = ""


@dataclass(frozen=True)
class Plan:
    """The jobs, and the pattern of each rule's benchmark file (for the rules that have
    one).
    """

    jobs: list[PlannedJob]
    benchmarks: dict[str, re.Pattern[str]]


def planned(configs: list[Path]) -> Plan:
    """All jobs of a run from nothing.

    Args:
        configs: Configuration files, later ones over earlier ones.

    Raises:
        EadbenchError: If Snakemake is not installed or refuses the configuration.
    """
    with workflow_of(configs) as workflow:
        return _read(workflow)


@contextlib.contextmanager
def workflow_of(configs: list[Path]) -> Iterator[Any]:
    """Snakemake's own view of the workflow, with the graph of all its jobs; see
    :func:`planned`.
    """
    try:
        from snakemake.api import SnakemakeApi
        from snakemake.settings.types import (
            ConfigSettings,
            DAGSettings,
            OutputSettings,
            Quietness,
            ResourceSettings,
        )
    except ImportError as error:
        raise EadbenchError(
            "Snakemake is not installed", "this environment", "run `eadbench plan` where `snakemake` runs"
        ) from error
    # An empty folder: nothing is there yet, so that every job is counted.
    with tempfile.TemporaryDirectory() as empty, SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        logging.disable(logging.WARNING)  # Snakemake logs as if a run had been started
        try:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1024),
                config_settings=ConfigSettings(configfiles=[path.resolve() for path in configs]),
                snakefile=CHECKOUT / "Snakefile",
                workdir=Path(empty),
            )
            # the graph as text; the public call that builds it
            with contextlib.redirect_stdout(io.StringIO()):
                workflow.dag(DAGSettings(forceall=True)).printd3dag()
        except Exception as error:  # Snakemake's errors share no base class
            api.print_exception(error)
            raise EadbenchError(
                "Snakemake cannot plan this configuration",
                ", ".join(map(str, configs)),
                "its message is above",
            ) from error
        finally:
            logging.disable(logging.NOTSET)
        yield workflow._workflow


def _read(workflow: Any) -> Plan:
    dag_jobs = [job for job in workflow.dag.jobs if job.output]  # `all` only lists
    numbers = {job: number for number, job in enumerate(dag_jobs)}
    jobs = [
        PlannedJob(
            job.rule.name,
            Path(job.rule.snakefile).stem,
            dict(job.wildcards_dict),
            int(job.threads),
            int(job.resources.get("gpu", 0)),
            int(job.resources.get("mem_mb", 0)),
            tuple(sorted(numbers[other] for other in workflow.dag.dependencies[job])),
            str(job.benchmark).split("benchmarks/", 1)[1] if job.benchmark else "",
            str(job.log[0]).split("logs/", 1)[1] if job.log else "",
        )
        for job in dag_jobs
    ]
    measured_rules = [rule for rule in workflow.rules if rule.benchmark]
    return Plan(jobs, {rule.name: _pattern(str(rule.benchmark)) for rule in measured_rules})


def _pattern(text: str) -> re.Pattern[str]:
    """`results/benchmarks/{run}.tsv` as a regular expression on what follows
    `benchmarks/`.
    """
    parts = re.split(r"\{(\w+)[^}]*\}", text.split("benchmarks/", 1)[1])
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts))
    )
