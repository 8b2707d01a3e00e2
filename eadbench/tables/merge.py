"""``tables merge A B``: the results of several people in one set of tables, where their
values compare.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from eadbench.core import provenance, schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.core.tables import read_table, write_table
from eadbench.tables.build import remove_optional, write_record, write_wide
from eadbench.tables.config import TablesConfig
from eadbench.tables.gather import CELL
from eadbench.tables.load import Built, load_built, tables_folder
from eadbench.tables.notes import Note, all_notes, grouped
from eadbench.tables.wide import Facts, comparison, describe_signature

# what makes a column, with the variant where the tables tell variants apart
COLUMN = ["corpus", "protocol", "metric"]
SIGNATURE = {"extractor": "network", "weights_sha256": "hash of the weights", "resolution": "resolution"}
TOLERANCE = 1e-3  # relative difference of one video's values on two machines
HINT = "leave it out with --without, or measure both alike"


@dataclass(frozen=True)
class MergedResults:
    """One of the results: its name, what its tables hold, and the new names of its
    methods and corpora.
    """

    name: str
    built: Built
    names: dict[str, str]
    corpora: dict[str, str]

    @property
    def scores(self) -> pd.DataFrame:
        """Its values under the new names."""
        frame = self.built.scores
        return frame.assign(
            method=frame.method.map(self.names), reference_method=frame.reference_method.map(self.names)
        )


def merge(folders: Mapping[str, Path], out: Path, without: Sequence[str] = ()) -> Built:
    """Join results and write their tables.

    A method that several results hold with the same values is one; with other values,
    the name of its results is added to its name. The tables show what those of the first
    show; ablation, speed and the response to the intensity are not joined. Only the
    first results' paired tests are kept: they need per-clip values, which are not
    merged.

    Args:
        folders: Name -> results folder, its tables folder, or the table that
            ``eadbench score`` wrote; two or more.
        out: ``scores.parquet`` to write; all else goes beside it.
        without: Metrics to leave out.

    Raises:
        EadbenchError: If values of different signatures (network, hash of its weights,
            resolution, variant), of other settings or of other clips would come into
            one column; the difference is named.
    """
    started = time.time()
    builts = {name: _without(load_built(tables_folder(folder)), without) for name, folder in folders.items()}
    if len(builts) < 2:
        raise EadbenchError(
            "there is nothing to merge",
            ", ".join(folders),
            "name two results or more, e.g. mine=results theirs=../other/results",
        )
    builts, renamed = _unify_corpus_names(builts)
    check_clips(builts)
    check_settings(builts)
    check_signatures(builts)
    sources = _merged_results(builts, renamed)
    first = sources[0]
    scores = pd.concat([_with_tests(source, first) for source in sources], ignore_index=True)
    scores = scores.drop_duplicates([*CELL, "metric", "variant"])
    config, facts = _config(sources, set(scores.metric)), _facts(sources)
    tables = [comparison(name, spec, config, scores, facts) for name, spec in config.comparisons().items()]
    source_texts = [
        f"{source.name}: {', '.join(config.label(m) for m in sorted(set(source.names.values())))}"
        for source in sources
    ]
    remark = f"Merged from {'; '.join(source_texts)}. Paired tests are those within {first.name}."
    notes = [
        *all_notes(tables, scores, config, facts),
        *(Note("input", table.name, remark) for table in tables),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_optional(out.parent)
    for table in tables:
        write_wide(out.parent, table, grouped(notes, table.name), config)
    breakdown_frames = [_renamed_rows(source, "breakdown", schemas.BREAKDOWN) for source in sources]
    write_table(
        out.parent / "breakdown.parquet",
        pd.concat(breakdown_frames).drop_duplicates([*CELL, "metric", "by", "level"]),
        schemas.BREAKDOWN,
    )
    for name, contract in (("effects", schemas.EFFECTS), ("history", schemas.HISTORY)):
        write_table(out.parent / f"{name}.parquet", pd.DataFrame(columns=contract.names), contract)
    clips = {cell: ids for source in sources for cell, ids in source.built.clips.items()}
    seed, measured = int(first.scores.seed.iloc[0]), first.built.measured
    write_record(out, config, seed, tables, facts, clips, notes, measured)
    write_table(out, scores, schemas.SCORES, [*CELL, "metric", "variant"])
    files = [source.built.folder / "scores.parquet" for source in sources]
    inputs = {str(path): sha256_of(path) for path in files}
    provenance.write(out.parent, config.model_dump(mode="json"), inputs, started)
    return load_built(out.parent)


def check_signatures(builts: Mapping[str, Built]) -> None:
    """Refuse values of different signatures in one column.

    Raises:
        EadbenchError: With the column, the signatures, and in what they differ.
    """
    frames = [b.scores[b.scores.value.notna()].assign(source=name) for name, b in builts.items()]
    frame = pd.concat(frames, ignore_index=True)
    frame["resolution"] = frame.resolution.astype("Int64").astype(str).replace("<NA>", "")
    frame = frame.fillna({"weights_sha256": "", "variant": ""})
    for key, rows in frame.groupby(COLUMN, sort=True):
        variants = {name: frozenset(g.variant) for name, g in rows.groupby("source")}
        if len(variants) > 1 and not frozenset.intersection(*variants.values()):
            texts = {name: ", ".join(sorted(names)) or "none" for name, names in variants.items()}
            _refuse(key, texts, ["variant"])
        for variant, same_variant in rows.groupby("variant", sort=True):
            differing = [
                description for field, description in SIGNATURE.items() if same_variant[field].nunique() > 1
            ]
            if differing and same_variant.source.nunique() > 1:
                signatures = {
                    n: describe_signature(*g.iloc[0][list(SIGNATURE)], variant)
                    for n, g in same_variant.groupby("source", sort=False)
                }
                _refuse(key, signatures, differing)


def _refuse(key: tuple[str, ...], values: Mapping[str, str], differing: list[str]) -> None:
    corpus, protocol, metric = key
    lines = "".join(f"\n    {name}: {text}" for name, text in values.items())
    what = (
        f"{metric} of the results differs in {', '.join(differing)}, so that its values may not share a "
        f"column:{lines}"
    )
    raise EadbenchError(
        what, f"{metric} on {corpus}, protocol {protocol}", f"{HINT}, e.g. --without {metric}"
    )


def check_clips(builts: Mapping[str, Built]) -> None:
    """Refuse results that share no test clips, results on other test clips under the
    same name of a corpus, and drawn people beside real ones.

    Raises:
        EadbenchError: With the corpus and the results.
    """
    (first_name, first_built), *others = builts.items()
    for name, built in others:
        if not set(first_built.scores.corpus) & set(built.scores.corpus):
            first_corpora = ", ".join(sorted(set(first_built.scores.corpus)))
            corpora = ", ".join(sorted(set(built.scores.corpus)))
            raise EadbenchError(
                f"the results have no corpus in common: {first_name}: {first_corpora}; {name}: {corpora}",
                f"{first_name}, {name}",
                "score the same test clips",
            )
    for cell in sorted({cell for b in builts.values() for cell in b.clips}):
        clip_hashes = {name: b.clips[cell] for name, b in builts.items() if cell in b.clips}
        if len(set(clip_hashes.values())) > 1:
            raise EadbenchError(
                f"the results show other clips of {cell}",
                ", ".join(clip_hashes),
                "use the same split and max_clips, and score again",
            )
    for corpus in sorted({corpus for b in builts.values() for corpus in b.facts.corpora}):
        facts_of = {name: b.facts.corpora[corpus] for name, b in builts.items() if corpus in b.facts.corpora}
        drawn = [name for name, facts in facts_of.items() if facts["drawn"]]
        if 0 < len(drawn) < len(facts_of):
            raise EadbenchError(
                f"the people of {corpus} are drawn in some of the results",
                ", ".join(drawn),
                "give the corpora different names",
            )


def check_settings(builts: Mapping[str, Built]) -> None:
    """Refuse videos that were measured with other settings which no signature holds,
    e.g. cut to the face or not.

    Raises:
        EadbenchError: With the setting and its values.
    """
    for key in sorted({key for built in builts.values() for key in built.measured}):
        settings_of = {name: built.measured[key] for name, built in builts.items() if key in built.measured}
        if len(set(map(str, settings_of.values()))) > 1:
            raise EadbenchError(
                f"the videos were measured with different settings: {key}",
                "; ".join(f"{name}: {value}" for name, value in settings_of.items()),
                "measure both alike",
            )


def _unify_corpus_names(builts: Mapping[str, Built]) -> tuple[dict[str, Built], dict[str, dict[str, str]]]:
    """Results of ``eadbench score`` name a corpus after the folder of real videos. Where
    those are the same videos, its name becomes that of the first results.

    Returns:
        The results, and for each of them: name of a corpus -> its new one.
    """
    first = next(iter(builts.values()))
    names = {clips: _corpus(cell) for cell, clips in first.clips.items() if first.measured}
    renamed_builts, renamed = {}, {}
    for name, built in builts.items():
        cells = {cell: _corpus(cell) for cell in built.clips if built.measured}
        new = {
            corpus: names[built.clips[cell]]
            for cell, corpus in cells.items()
            if corpus not in names.values() and built.clips[cell] in names
        }
        scores = built.scores.assign(corpus=built.scores.corpus.replace(new))
        clips = {_renamed_cell(cell, new): clips_hash for cell, clips_hash in built.clips.items()}
        renamed_builts[name], renamed[name] = replace(built, scores=scores, clips=clips), new
    return renamed_builts, renamed


def _corpus(cell: str) -> str:
    return cell.partition("/")[0]


def _renamed_cell(cell: str, new: Mapping[str, str]) -> str:
    corpus, slash, protocol = cell.partition("/")
    return new.get(corpus, corpus) + slash + protocol


def _without(built: Built, metrics: Sequence[str]) -> Built:
    """Tables without some metrics."""
    for name in metrics:
        if name not in set(built.scores.metric):
            raise EadbenchError(
                f"the results hold no metric {name!r}",
                built.folder,
                f"there are: {', '.join(sorted(set(built.scores.metric)))}",
            )
    return replace(built, scores=built.scores[~built.scores.metric.isin(metrics)])


def _merged_results(
    builts: Mapping[str, Built], renamed: Mapping[str, dict[str, str]]
) -> list[MergedResults]:
    """The results with new names of their methods: a method that earlier results hold
    with other values gets the name of its results added.
    """
    sources: list[MergedResults] = []
    rows_of: dict[str, pd.DataFrame] = {}
    for name, built in builts.items():
        names = {}
        for method, rows in built.scores.groupby("method"):
            held_rows = rows_of.get(method)
            keeps_name = held_rows is None or _same(held_rows, rows)
            if not keeps_name and method == built.config.ground_truth:
                raise EadbenchError(
                    "the values of the ground truth differ",
                    f"{name}, {method}",
                    "score both with the same version of eadbench",
                )
            names[method] = method if keeps_name else f"{method}.{name}"
            if names[method] in rows_of and held_rows is None:
                raise EadbenchError(
                    "two results would give a method the same name",
                    names[method],
                    "give the results other names, NAME=PATH",
                )
            rows_of.setdefault(names[method], rows)
        sources.append(MergedResults(name, built, names, renamed[name]))
    return sources


def _same(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether the values that both have are the same, of the same clips."""
    both = first.merge(second, on=["corpus", "protocol", "metric", "variant"], suffixes=("", "_other"))
    values, others = both.value.to_numpy(float), both.value_other.to_numpy(float)
    return bool(
        len(both)
        and (both.n == both.n_other).all()
        and np.allclose(values, others, TOLERANCE, 1e-6, equal_nan=True)
    )


def _with_tests(source: MergedResults, first: MergedResults) -> pd.DataFrame:
    """Values with the paired tests that hold in the merged tables: those of the first
    results.
    """
    frame = source.scores
    if source is not first:
        frame = frame.assign(reference_method=None, p_value=np.nan, n_common=pd.NA)
    return frame.astype(
        {"n_common": "Int64", "resolution": "Int64", "p_value": float, "reference_method": object}
    )


def _renamed_rows(source: MergedResults, name: str, contract) -> pd.DataFrame:
    frame = read_table(source.built.folder / f"{name}.parquet", contract)
    frame = frame[frame.method.isin(source.names) & frame.metric.isin(set(source.built.scores.metric))]
    return frame.assign(method=frame.method.map(source.names), corpus=frame.corpus.replace(source.corpora))


def _config(sources: list[MergedResults], metrics: set[str]) -> TablesConfig:
    """The first configuration with the methods of all: methods, then controls, then the
    ground truth.
    """
    base = sources[0].built.config
    labels, controls, methods = dict(base.labels), [], []
    for source in sources:
        config = source.built.config
        for old in [*config.methods, *sorted(set(source.names) - set(config.methods))]:
            new = source.names.get(old)
            if new is None:
                continue
            if new not in labels:
                labels[new] = config.label(old) + (f" ({source.name})" if new != old else "")
            (controls if old in config.controls else methods).append(new)
    methods = list(dict.fromkeys(m for m in methods if m != base.ground_truth))
    controls = list(dict.fromkeys(controls))
    raw = base.model_dump(mode="json") | {
        "methods": [*methods, *controls, base.ground_truth],
        "controls": controls,
        "labels": labels,
        "ablation": None,
        "speed": None,
    }
    for spec in (raw["main"], raw["generalisation"], *raw["more"].values()):
        if spec is not None:
            spec["methods"] = None
            spec["metrics"] = [key for key in spec["metrics"] if key.partition("@")[0] in metrics]
    raw["more"] = {name: spec for name, spec in raw["more"].items() if spec["metrics"]}
    if raw["generalisation"] and not raw["generalisation"]["metrics"]:
        raw["generalisation"] = None
    if not raw["main"]["metrics"]:
        raise EadbenchError("no metric of the main table is left", "--without", "leave out fewer")
    return TablesConfig.model_validate(raw)


def _facts(sources: list[MergedResults]) -> Facts:
    """Facts of methods and corpora under the new names; the first results that hold one
    count.
    """
    merged: dict[str, dict] = {
        "run_hash": {},
        "caption_source": {},
        "cards": {},
        "kinds": {},
        "unable": {},
        "corpora": {},
    }
    for source in sources:
        for field, values in merged.items():
            for key, value in getattr(source.built.facts, field).items():
                values.setdefault(_new_key(source, field, key), value)
    return Facts(**merged)


def _new_key(source: MergedResults, field: str, key: str) -> str:
    """A key of a field of ``Facts`` (method, corpus or ``method/protocol``) with the
    method's new name.
    """
    if field == "corpora":
        return key
    if field == "unable":
        method, slash, protocol = key.partition("/")
        return f"{source.names.get(method, method)}{slash}{protocol}"
    return source.names.get(key, key)
