import json
import re
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from eadbench.core import settings
from eadbench.core.errors import EadbenchError
from eadbench.core.older import refuse_older
from eadbench.core.protocols import CELLS as CELLS_OF_PROTOCOLS
from eadbench.plan.missing import hint
from eadbench.samples import sources

# The package checks the configuration and says what each job reads (eadbench/core/settings.py).
try:
    with settings.naming(map(Path, workflow.configfiles)):
        if workflow.is_main_process:
            settings.refuse_doubled_keys(map(Path, workflow.configfiles))
        SETTINGS = settings.check(config, whole=True)
    RESULTS = Path(workflow.pathvars.apply("<results>"))
    refuse_older(RESULTS)
    if workflow.is_main_process and (lacks := hint(SETTINGS, RESULTS)):
        logger.warning(lacks)
except EadbenchError as error:
    raise WorkflowError(str(error)) from None

CORPORA = SETTINGS.corpora.sets
RUNS = SETTINGS.training.runs
METHODS = SETTINGS.samples.methods
CELLS = SETTINGS.samples.cells()
TRAIN_ON = sorted({*SETTINGS.training.corpora(), *SETTINGS.zoo.train_on})
TESTED = sorted({corpus for _, corpus, _ in CELLS})
EVALUATORS = SETTINGS.scores.artefacts()
PROMPT = SETTINGS.captions.reads()
# GPU jobs ask for one GPU each, unless the config says that all runs on the CPU.
GPU = 0 if SETTINGS.device == "cpu" else 1
# Of a training run; each has a GPU of its own.
PROCESSES = SETTINGS.training.processes


def one_of(names):
    """Regular expression of these names, or of none where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    corpus=one_of(CORPORA),
    shard=r"\d+-of-\d+",
    artefact=one_of(SETTINGS.zoo.artefacts),
    run=one_of(RUNS),
    method=one_of(METHODS),
    protocol=one_of(CELLS_OF_PROTOCOLS),


def settings_of(verb):
    """Params function: the JSON of what a command reads and its result depends on. Another value does the job again."""

    def read(wildcards):
        return json.dumps(
            SETTINGS.read_by(verb, **dict(wildcards.items())), sort_keys=True
        )

    return read


def aside_of(verb):
    """Params function: what the command reads beside that and no result depends on (workers, caches, licences), as an option.

    It asks for `threads` without using them: Snakemake does not compare parameters that are derived from threads.
    """

    def aside(wildcards, threads):
        found = SETTINGS.incidental_for(verb, **dict(wildcards.items()))
        return (
            f"--settings {shlex.quote(json.dumps(found, sort_keys=True))}"
            if found
            else ""
        )

    return aside


def mem_by_attempt(mb):
    """Resources function: memory in MB, doubled on each attempt."""

    def mem(wildcards, attempt):
        return mb * 2 ** (attempt - 1)

    return mem


def mem_of_training(wildcards, attempt):
    """Resources function: the network passes through the host's memory; on a CPU so do its gradients, two moments and the moving average."""
    copies = 5 if SETTINGS.device == "cpu" else 1
    training, run = SETTINGS.training, wildcards.run
    each = 6000 + copies * training.weights_mb(run) + training.loaded_mb(run)
    return each * PROCESSES * 2 ** (attempt - 1)


def mem_of_rendering(wildcards, attempt):
    """Resources function: a method that is a run of this workflow holds its network; on a CPU also what a window takes on its way through it
    (at full size 12.6 GB were measured with weights of 2.7).
    """
    run = getattr(METHODS[wildcards.method], "run", None)
    weights = SETTINGS.training.weights_mb(run) if run else 0
    held = int(3.5 * weights) if SETTINGS.device == "cpu" else weights
    return (4000 + held) * 2 ** (attempt - 1)


def runtime_by_attempt(minutes):
    """Resources function: minutes, doubled on each attempt, but not beyond a day: many partitions have no more, and a job that asks for it waits for
    ever. What is given longer from the start (training) goes on from its last save.
    """

    def runtime(wildcards, attempt):
        return min(minutes * 2 ** (attempt - 1), max(minutes, 24 * 60))

    return runtime


def shard_tables(pattern):
    """Input function: one table per shard of the corpus."""

    def tables(wildcards):
        count = CORPORA[wildcards.corpus].shards
        names = [f"{number}-of-{count}" for number in range(count)]
        return [
            pattern.replace("{corpus}", wildcards.corpus).replace("{shard}", name)
            for name in names
        ]

    return tables


def cards(names):
    """Cards of artefacts."""
    return [f"<results>/zoo/{name}/card.json" for name in names]


def required(needs):
    """Files of what the package says that something needs (settings.Requires)."""
    inputs = {
        "parts": cards(needs.artefacts),
        "clips": [f"<results>/clips/{corpus}/cut.parquet" for corpus in needs.clips],
        "captions": [
            f"<results>/captions/{corpus}/written.parquet" for corpus in needs.captions
        ],
        "features": [
            f"<results>/features/{corpus}/index.parquet" for corpus in needs.features
        ],
        **{role: f"<results>/training/{run}/card.json" for role, run in needs.runs},
    }
    return {name: files for name, files in inputs.items() if files}


def options(*names):
    """Params function: the options of a command for the named inputs.

    `--part NAME=FOLDER` for cards of artefacts and of the training SyncNet, `--init FOLDER` and `--run FOLDER` for those of other runs, `--real FOLDER`
    for a cell, else `--NAME FILE` for every file.
    """

    def words(name, path):
        folder = Path(path).parent
        if name in ("parts", "syncnet"):
            return [
                "--part",
                f"{folder.name if name == 'parts' else name}={folder}",
            ]
        return [
            f"--{name.replace('_', '-')}",
            str(folder) if name in ("init", "run", "real") else path,
        ]

    def line(wildcards, input):
        given = [
            (name, path)
            for name in names
            for files in [input.get(name, [])]
            for path in ([files] if isinstance(files, str) else files)
        ]
        return shlex.join(word for one in given for word in words(*one))

    return line


def no_leaks():
    """The note that no recording is trained on in one corpus and tested in another; made anew when a corpus is added, which is no reason to train again."""
    return [ancient("<results>/corpora/leaks.json")] if TRAIN_ON and TESTED else []


def artefact_inputs(wildcards):
    """What an artefact is made of."""
    needs = required(SETTINGS.zoo.requires(wildcards.artefact))
    trained = "clips" in needs or "captions" in needs
    return needs | ({"leaks": no_leaks()} if trained else {})


def studio_of(wildcards):
    """The filmed corpus that a downloader fetches from, for corpora made on the spot."""
    filmed = CORPORA[wildcards.corpus].studio
    return "<results>/studio/{corpus}/studio.json" if filmed else []


def run_inputs(wildcards):
    """Features, the run it starts from, the training SyncNet, and the frozen parts of the losses."""
    return {**required(SETTINGS.training.requires(wildcards.run)), "leaks": no_leaks()}


def sample_inputs(wildcards):
    """The clips, what the method is made of, and the results that it reads."""
    needs = METHODS[wildcards.method].requires(wildcards.corpus, wildcards.protocol)
    inputs = {
        **required(needs),
        "clips": "<results>/clips/{corpus}/clips.parquet",
    }
    if needs.after:
        inputs["after"] = (
            f"<results>/samples/{needs.after}/{wildcards.corpus}/{wildcards.protocol}/samples.parquet"
        )
    return inputs


def reference_input(wildcards):
    """The ground truth's cell, whose landmarks and features of the real clips the other cells use again."""
    own = (wildcards.method, wildcards.protocol) == ("ground_truth", "self")
    return (
        []
        if own
        else f"<results>/scores/ground_truth/{wildcards.corpus}/self/per_clip.parquet"
    )


def others_of(corpus):
    """Cells of a corpus but that of the ground truth, from which the others take what is known of the real clips."""
    return [
        "/".join(cell)
        for cell in CELLS
        if cell[1] == corpus and cell != ("ground_truth", corpus, "self")
    ]


def corpus_inputs(wildcards):
    """All that one process measures of a corpus."""
    cells = others_of(wildcards.corpus)
    return {
        "clips": "<results>/clips/{corpus}/clips.parquet",
        "real": "<results>/scores/ground_truth/{corpus}/self/per_clip.parquet",
        "cells": [f"<results>/samples/{cell}/samples.parquet" for cell in cells],
        "parts": cards(EVALUATORS),
    }


def measured_together(wildcards):
    """The note of the process that has measured a cell's clips; of no account for whether the cell is up to date."""
    if not SETTINGS.scores.together or not reference_input(wildcards):
        return []
    return ancient(f"<results>/scores/together/{wildcards.corpus}/signatures.json")


def cells_of_corpus(wildcards, input):
    """Params function: folder and samples of each cell as options."""
    pairs = zip(others_of(wildcards.corpus), input.cells, strict=True)
    folder = Path(input.real).parents[3]
    return shlex.join(
        word for cell, path in pairs for word in ("--cell", f"{folder}/{cell}={path}")
    )


DIGESTS = sources.Digests(Path(".snakemake/eadbench-digests.json"))


def reads_of(verb, reads):
    """Params function: which files beside its inputs a job reads, by content.

    Of a job that reads none, its settings again: Snakemake compares the set of parameters, so that it has none more than before.
    """

    def read(wildcards):
        found = reads(wildcards)
        return (
            json.dumps(found, sort_keys=True) if found else settings_of(verb)(wildcards)
        )

    return read


def method_reads(wildcards):
    """What a method of the user's reads: videos, programs, recipes, checkouts, weights."""
    method = METHODS[wildcards.method]
    return sources.reads(method, wildcards.corpus, wildcards.protocol, DIGESTS)


def table_inputs(wildcards):
    """Everything that was scored, how the runs trained, and on what."""
    cells = ["/".join(cell) for cell in CELLS]
    groups = SETTINGS.tables.breakdown
    return {
        "clips": (
            [f"<results>/clips/{corpus}/clips.parquet" for corpus in TESTED]
            if groups.by
            else []
        ),
        "labels": [groups.labels] if groups.labels else [],
        "summary": [f"<results>/scores/{cell}/summary.parquet" for cell in cells],
        "per_clip": [f"<results>/scores/{cell}/per_clip.parquet" for cell in cells],
        "samples": [f"<results>/samples/{cell}/samples.parquet" for cell in cells],
        "history": [f"<results>/training/{run}/history.parquet" for run in RUNS],
        "run_card": [f"<results>/training/{run}/card.json" for run in RUNS],
        "coverage": [f"<results>/clips/{corpus}/coverage.json" for corpus in TESTED],
        "leaks": no_leaks(),
    }


# Tables that the config asks for, as `--report` shows them.
SHOWN_TABLES = [
    name
    for name in ("main", "generalisation", "ablation", "speed")
    if getattr(SETTINGS.tables, name)
]


STUDY = SETTINGS.study if "study" in SETTINGS.given else None


def study_scores(rendered):
    """The scores of a study's methods, given as pairs of method and protocol."""
    cells = [f"{method}/{STUDY.corpus}/{protocol}" for method, protocol in rendered]
    return {
        "per_clip": [f"<results>/scores/{cell}/per_clip.parquet" for cell in cells],
        "summary": [f"<results>/scores/{cell}/summary.parquet" for cell in cells],
    }


def study_inputs(wildcards):
    """The scores of the study's grid."""
    if STUDY is None:
        raise WorkflowError(
            "the configuration has no section `study`: add --configfile config.yaml config/study.yaml"
        )
    return study_scores(STUDY.rendered)


def study_pages():
    """Pages that the study asks for; none where the configuration has no study."""
    if STUDY is None:
        return []
    readings = ["<results>/study/readings/readings.md"] if STUDY.readings else []
    return ["<results>/study/study.md", *readings]


def readings_inputs(wildcards):
    """The scores of a study's other readings, and of the complete cell."""
    if STUDY is None or not STUDY.readings:
        raise WorkflowError(
            "the configuration has no study with readings: add --configfile config.yaml config/study.yaml config/study_readings.yaml"
        )
    return study_scores(STUDY.rendered_readings)


def audit_inputs(wildcards):
    """The clips that are distorted, and the networks that measure."""
    if "audit" not in SETTINGS.given:
        raise WorkflowError(
            "the configuration has no section `audit`, e.g. `--config 'audit={corpus: demo_mead}'`: docs/audit.md"
        )
    return {
        "clips": f"<results>/clips/{SETTINGS.audit.corpus}/clips.parquet",
        "parts": cards(EVALUATORS),
    }


def everything(wildcards):
    """All that a run leaves for people: named in `rule all`, so that a deleted output is made again even if what was made from it is still there."""
    per_corpus = (
        "corpora/{c}/index.parquet",
        "clips/{c}/clips.parquet",
        "captions/{c}/captions.parquet",
    )
    needs = [SETTINGS.training.requires(run) for run in RUNS]
    needs += [
        METHODS[method].requires(corpus, protocol) for method, corpus, protocol in CELLS
    ]
    with_features = {corpus for need in needs for corpus in need.features}
    return {
        **table_inputs(wildcards),
        "stages": [
            f"<results>/{path.format(c=corpus)}"
            for corpus in CORPORA
            for path in per_corpus
        ],
        "features": [
            f"<results>/features/{corpus}/index.parquet"
            for corpus in CORPORA
            if corpus in with_features
        ],
        "runs": [f"<results>/training/{run}/card.json" for run in RUNS],
        "study": study_pages(),
        "audit": (["<results>/audit/index.html"] if "audit" in SETTINGS.given else []),
    }
