"""The work of a job: the name of its figure, its amount, and the settings that decide
its speed.
"""

import json
from typing import Any

from eadbench.core.section import shaping
from eadbench.core.settings import Settings, shaping_for
from eadbench.plan.counts import Counts

# Unit of the work of each rule; a rule with kinds of work has figures `rule/kind`.
UNITS = {
    "film": "recordings",
    "fetch_corpus": "GB",
    "index_corpus": "recordings",
    "check_leaks": "jobs",
    "cut_clips": "seconds of recordings",
    "merge_cut_clips": "clips",
    "check_clips": "seconds of clips",
    "merge_checked_clips": "clips",
    "report_clips": "clips",
    "make_artefact": "jobs",
    "write_captions": "clips",
    "merge_captions": "clips",
    "filter_captions": "clips",
    "report_captions": "clips",
    "extract_features": "seconds of training clips",
    "encode_text": "clips",
    "merge_features": "clips",
    "train": "steps",
    "make_samples": "seconds of video",
    "measure": "seconds of video",
    "measure_corpus": "seconds of video",
    "summarise": "clips",
    "build_tables": "cells",
    "write_report": "cells",
    "analyse_study": "jobs",
    "compare_readings": "jobs",
    "audit_metrics": "jobs",
}


def figure_key(rule: str, wildcards: dict[str, str], settings: Settings) -> str:
    """Name of a job's figure: the rule, and the kind of work where it has several."""
    if rule == "train":
        run = settings.training.run(wildcards["run"])
        return f"train/{run.kind}" + (str(run.stage) if run.kind == "eadnet" else "")
    if rule == "make_samples":
        return f"make_samples/{settings.samples.methods[wildcards['method']].kind}"
    if rule == "make_artefact":
        return f"make_artefact/{settings.zoo.artefacts[wildcards['artefact']].how}"
    if rule == "fetch_corpus":
        corpus = settings.corpora.sets[wildcards["corpus"]]
        return "fetch_corpus/" + ("studio" if corpus.studio else corpus.kind)
    if rule == "write_captions":
        return f"write_captions/{settings.captions.captioner}"
    if rule == "measure_corpus" or (rule == "measure" and not _is_joined(wildcards, settings)):
        return "measure"
    return "measure/joined" if rule == "measure" else rule


def _is_joined(wildcards: dict[str, str], settings: Settings) -> bool:
    """Whether a cell's job only joins values that the job of its corpus measured."""
    truth = (wildcards["method"], wildcards["protocol"]) == ("ground_truth", "self")
    return settings.scores.together and not truth


def amount(rule: str, wildcards: dict[str, str], settings: Settings, corpora: dict[str, Counts]) -> float:
    """A job's work in the unit of its rule."""
    if rule == "train":
        return settings.training.run(wildcards["run"]).optim.steps
    if UNITS[rule] == "jobs":
        return 1
    if rule in ("build_tables", "write_report"):
        return len(settings.samples.cells())
    if rule == "report_captions":
        return sum(c.clips for c in corpora.values())
    corpus = corpora[wildcards["corpus"]]
    if rule == "measure_corpus":
        cells = [cell for cell in settings.samples.cells() if cell[1] == wildcards["corpus"]]
        return corpus.test_seconds * (len(cells) - 1)
    shards = int(wildcards["shard"].split("-of-")[1]) if "shard" in wildcards else 1
    totals = {
        "recordings": corpus.recordings,
        "GB": corpus.gigabytes,
        "seconds of recordings": corpus.seconds,
        "clips": corpus.test_clips if rule == "summarise" else corpus.clips,
        "seconds of clips": corpus.clip_seconds,
        "seconds of training clips": corpus.training_seconds,
        "seconds of video": corpus.test_seconds,
    }
    return totals[UNITS[rule]] / shards


def signature(rule: str, wildcards: dict[str, str], settings: Settings) -> str:
    """The settings that decide how fast a unit of work is done, as text. Figures of two
    runs compare only where it is equal.
    """
    return json.dumps(
        {"device": settings.device, **_speed(rule, wildcards, settings)}, sort_keys=True, default=str
    )


def _speed(rule: str, wildcards: dict[str, str], settings: Settings) -> dict[str, Any]:
    if rule == "cut_clips":
        clips = settings.clips
        return {"size": clips.size, "detector": clips.detector, "align": clips.align}
    if rule == "check_clips":
        return {"size": settings.clips.size, "evaluator": _artefact(settings, "syncnet_evaluator")}
    if rule == "write_captions":
        return shaping_for("captions write", settings.captions)
    if rule == "filter_captions":
        return {
            "compare": settings.captions.filter.compare,
            "embedder": _artefact(settings, settings.captions.filter.embedder),
        }
    if rule == "encode_text":
        return _artefact(settings, "text_encoder")
    if rule == "extract_features":
        return settings.features.model_dump() | {
            part: _artefact(settings, part) for part in ("vae", "whisper")
        }
    if rule == "train":
        return _run(wildcards["run"], settings)
    if rule == "make_samples":
        method = settings.samples.methods[wildcards["method"]]
        trained = {"model": settings.training.run(method.run).model} if hasattr(method, "run") else {}
        options = {key: value for key, value in shaping(method).items() if key not in ("run", "after", "env")}
        return {"size": settings.clips.size, **options, **trained}
    if rule in ("measure", "measure_corpus"):
        scores = shaping_for("scores measure", settings.scores)
        return {
            "size": settings.clips.size,
            **scores,
            "networks": {n: _artefact(settings, n) for n in settings.scores.artefacts()},
        }
    if rule == "make_artefact":
        return _artefact(settings, wildcards["artefact"])
    if rule == "summarise":
        return {"bootstrap": settings.scores.bootstrap}
    return {}


def _artefact(settings: Settings, name: str) -> dict[str, Any]:
    return shaping(settings.zoo.artefacts[name])


def _run(name: str, settings: Settings) -> dict[str, Any]:
    run = settings.training.run(name)
    optim = run.optim.model_dump(include={"batch", "accumulate", "precision", "gradient_checkpointing"})
    options = {
        key: value
        for key, value in shaping(run).items()
        if key in ("kind", "stage", "model", "losses", "windows", "loss")
    }
    return {"optim": optim, **options, "size": settings.features.size}
