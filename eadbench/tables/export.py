"""``tables export``: the values in forms that others read: CSV, evaluation results of
the Hugging Face Hub, Croissant.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, sha256_of, write_text
from eadbench.core.tables import read_table
from eadbench.scores.metrics import METRICS
from eadbench.tables.gallery import slug
from eadbench.tables.load import Built, references
from eadbench.tables.wide import describe_signature

# the registered name, application/vnd.apache.parquet, mlcroissant 1.1 does not read
PARQUET = "application/x-parquet"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
TYPES = {"string": "sc:Text", "double": "sc:Float", "int64": "sc:Integer", "bool": "sc:Boolean"}
# The context that mlcroissant writes; the terms are those of the specification,
# http://mlcommons.org/croissant/1.0.
TERMS = (
    "citeAs",
    "column",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "separator",
    "source",
    "subField",
    "transform",
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
}


def to_csv(built: Built, out: Path) -> None:
    """Every value with its interval, n and signature (``schemas.SCORES``) in one CSV,
    in full precision.
    """
    with atomic_path(out) as part:
        built.scores[schemas.SCORES.names].to_csv(part, index=False, lineterminator="\n")


def to_hub(built: Built, out: Path, datasets: Mapping[str, str]) -> list[Path]:
    """``models/METHOD/.eval_results/CORPUS.yaml`` for the repository of each method, an
    entry per metric of the tables, and ``datasets/CORPUS/eval.yaml``, which makes the
    repository of the test clips a benchmark with these tasks.

    The task is ``METRIC``, with protocol and variant where these are not the default.
    The notes of an entry hold its interval, n, its metric signature, and why it may not
    be cited. Source: https://huggingface.co/docs/hub/eval-results.

    Args:
        built: The tables.
        out: Folder to write.
        datasets: Corpus -> id of its benchmark on the Hub, e.g.
            ``{"mead": "someone/mead-talking-heads"}``.

    Raises:
        EadbenchError: If a corpus has no id, two have the same, or an id is given for
            one that the tables lack.
    """
    corpora = sorted(set(built.scores.corpus))
    for name in datasets:
        if name not in corpora:
            raise EadbenchError(
                f"the tables hold no corpus {name!r}",
                f"--dataset {name}=",
                f"there are: {', '.join(corpora)}",
            )
    if not datasets:
        raise EadbenchError(
            "no corpus is named",
            "--dataset",
            f"give its id on the Hub, e.g. --dataset {corpora[0]}=NAME/REPOSITORY",
        )
    for name, dataset in datasets.items():
        if not HUB_ID.fullmatch(dataset):
            raise EadbenchError(
                f"{dataset!r} is no id of the Hub", f"--dataset {name}=", "an id is NAME/REPOSITORY"
            )
        if list(datasets.values()).count(dataset) > 1:
            raise EadbenchError(
                "two corpora have one id", f"--dataset {name}={dataset}", "give each a repository of its own"
            )
    written = []
    listed = {column.metric.name for table in built.tables for column in table.columns}
    shown = built.scores[
        built.scores.value.notna() & built.scores.corpus.isin(datasets) & built.scores.metric.isin(listed)
    ]
    shown = shown[shown.method != built.config.ground_truth]
    for (method, corpus), rows in shown.groupby(["method", "corpus"], sort=True):
        entries = [_hub_entry(row, datasets[corpus], built) for row in rows.itertuples(index=False)]
        path = out / "models" / slug(method) / ".eval_results" / f"{slug(corpus)}.yaml"
        write_text(path, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=100))
        written.append(path)
    for corpus, rows in shown.groupby("corpus", sort=True):
        tasks = dict.fromkeys(_task(row) for row in rows.itertuples(index=False))
        benchmark = {
            "name": f"Talking heads on {built.config.label(corpus)}",
            "description": _description(built),
            "evaluation_framework": "eadbench",
            "tasks": [{"id": task, "config": "default", "split": "test"} for task in tasks],
        }
        path = out / "datasets" / slug(corpus) / "eval.yaml"
        write_text(path, yaml.safe_dump(benchmark, sort_keys=False, allow_unicode=True, width=100))
        written.append(path)
    return written


def _task(row: Any) -> str:
    """Id of the task that a value belongs to."""
    parts = filter(None, [row.metric, "" if row.protocol == "self" else row.protocol, row.variant])
    return re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(parts)).strip("_")


def _hub_entry(row: Any, dataset: str, built: Built) -> dict[str, Any]:
    """One value in the Hub's form."""
    resolution = "" if pd.isna(row.resolution) else str(int(row.resolution))
    notes = [f"95 % interval {row.low:.6g} to {row.high:.6g}"] if pd.notna(row.low) else []
    notes += [
        f"n = {row.n}",
        describe_signature(row.extractor, row.weights_sha256 or "", resolution, ""),
        f"eadbench {row.commit[:12]}",
    ]
    notes += [
        note.text.partition(". ")[0].rstrip(".") for note in built.notes if note.kind in ("data", "citing")
    ]
    return {
        "dataset": {"id": dataset, "task_id": _task(row)},
        "value": float(row.value),
        "notes": "; ".join(notes),
    }


def to_croissant(built: Built, out: Path, name: str, licence: str) -> None:
    """``out``: a Croissant description of the tables folder, to be published with its
    Parquet files beside it.

    Source: http://mlcommons.org/croissant/1.0. ``mlcroissant validate --jsonld FILE``
    reads it.

    Args:
        built: The tables.
        out: JSON-LD file in the folder of the tables, since paths are relative to it.
        name: Name of the data set.
        licence: Address or SPDX id of the licence under which you publish the values.

    Raises:
        EadbenchError: If ``out`` lies elsewhere.
    """
    if out.resolve().parent != built.folder.resolve():
        raise EadbenchError(
            "a Croissant file stands beside what it describes", out, f"name a file in {built.folder}"
        )
    contracts = {
        "scores": schemas.SCORES,
        "breakdown": schemas.BREAKDOWN,
        "dial": schemas.DIAL,
        "effects": schemas.EFFECTS,
        "speed": schemas.SPEED,
    }
    contracts |= {table.name: table.contract() for table in built.tables}
    files, sets = [], []
    for table, contract in contracts.items():
        path = built.folder / f"{table}.parquet"
        if not path.exists():
            continue
        read_table(path, contract)  # fails where the file does not fit its description
        file = f"{table}.parquet"
        files.append(
            {
                "@type": "cr:FileObject",
                "@id": file,
                "name": file,
                "contentUrl": file,
                "encodingFormat": PARQUET,
                "contentSize": f"{path.stat().st_size} B",
                "sha256": sha256_of(path),
            }
        )
        fields = [
            {
                "@type": "cr:Field",
                "@id": f"{table}/{column.name}",
                "name": f"{table}/{column.name}",
                "description": column.meaning,
                "dataType": TYPES[str(column.type)],
                "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
            }
            for column in contract.columns
        ]
        sets.append(
            {
                "@type": "cr:RecordSet",
                "@id": table,
                "name": table,
                "description": f"One row is {contract.row}.",
                "field": fields,
            }
        )
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "description": _description(built),
        "license": licence,
        "citeAs": references(built),
        "version": "1.0.0",
        "distribution": files,
        "recordSet": sets,
    }
    write_text(out, json.dumps(described, indent=1, ensure_ascii=False) + "\n")


def _description(built: Built) -> str:
    """What the values are, in a few sentences."""
    names = sorted(set(built.scores.metric))
    metrics = ", ".join(METRICS[name].label if name in METRICS else name for name in names)
    corpora = built.config.listed(sorted(set(built.scores.corpus)))
    notes = " ".join(note.text for note in built.notes if note.kind in ("data", "evaluators", "citing"))
    return (
        f"Scores of {built.scores.method.nunique()} talking-head methods on {corpora} by eadbench: "
        f"{metrics}. {notes}"
    )
