"""Write the results of a finished study as a page of the docs: its own page, what the
modules of its networks do on the validation split, and what it cost.

    snakemake --cores all --configfile config.yaml config/study.yaml
    eadbench training modules --config config.yaml --config config/study.yaml \\
      --run full_1 ... --out modules.csv
    python benchmarks/study.py study/results --modules modules.csv

and likewise of its second part, the other readings of the modules, with

    python benchmarks/study.py study/results --modules modules.csv --readings

Every number is read from the Parquet files, histories and notes of the run; the commits
that made them stand at the top. The forest plot goes to docs/images/.
"""

import argparse
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from demo import records

from eadbench.core import schemas
from eadbench.core.settings import load
from eadbench.core.tables import read_table
from eadbench.study.config import StudyConfig
from eadbench.tables.render import frame_to_markdown

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Part:
    """A part of the study: its page below the results of a run, the name of the page and
    of its figure in docs/, and the configurations that the run was made with.
    """

    source: str
    page: str
    forest: str
    configs: tuple[str, ...]


GRID = Part("study/study.md", "study_results.md", "study_forest.png", ("config.yaml", "config/study.yaml"))
READINGS = Part(
    "study/readings/readings.md",
    "study_readings.md",
    "study_readings_forest.png",
    (*GRID.configs, "config/study_readings.yaml"),
)


def verb_of(command: list[str]) -> str:
    """Stage and verb, which stand behind the general options ``--name value``."""
    rest = command[1:]
    while rest and rest[0].startswith("--"):
        rest = rest[2:]
    return " ".join(rest[:2])


def cost(noted: list[dict]) -> pd.DataFrame:
    """Jobs, CPU minutes and the largest memory per command."""
    by_verb = defaultdict(list)
    for one in noted:
        by_verb[verb_of(one["command"])].append(one)
    rows = [
        {
            "Command": f"eadbench {verb}",
            "Jobs": len(ones),
            "CPU min": f"{sum(one.get('cpu_seconds') or 0 for one in ones) / 60:.1f}",
            "Peak MiB": f"{max(one.get('peak_mb') or 0 for one in ones):,.0f}",
        }
        for verb, ones in sorted(by_verb.items())
    ]
    total = sum(one.get("cpu_seconds") or 0 for one in noted) / 60
    return pd.DataFrame([*rows, {"Command": "all", "Jobs": len(noted), "CPU min": f"{total:.0f}"}]).fillna("")


def cells_of(study: StudyConfig, part: Part) -> dict[str, str]:
    """Method -> its cell; or its reading, with those of the complete cell beside it."""
    if part is GRID:
        return {method: name for name, cell in study.cells.items() for method in cell.methods}
    compared = {method: study.complete for method, _ in study.rendered_readings}
    return compared | {method: name for name, other in study.readings.items() for method in other.methods}


def validation(results: Path, runs: dict[str, str]) -> pd.DataFrame:
    """The noise loss of each cell on the validation split after training: mean and
    standard deviation between seeds.

    Args:
        results: Folder of the study.
        runs: Run -> cell.
    """
    last = defaultdict(lambda: defaultdict(list))
    for run, cell in runs.items():
        history = read_table(results / "training" / run / "history.parquet", schemas.HISTORY)
        rows = history[history.split == "val"].groupby("quantity").value.last()
        for quantity in ("noise", "audio_sensitivity", "emotion_sensitivity"):
            if quantity in rows:
                last[cell][quantity].append(rows[quantity])
    return pd.DataFrame(
        [
            {"Cell": cell} | {name: f"{mean_of(v):.4f} ± {pd.Series(v).std():.4f}" for name, v in of.items()}
            for cell, of in last.items()
        ]
    ).fillna("–")


def mean_of(values: list[float]) -> float:
    return sum(values) / len(values)


def modules(path: Path, runs: dict[str, str]) -> pd.DataFrame:
    """Share and reliance per cell and module, mean and range over seeds."""
    frame = pd.read_csv(path)
    frame["cell"] = frame.run.map(runs)
    rows = []
    for (cell, module), of in frame.groupby(["cell", "module"], sort=False):
        shown = {"Cell": cell, "Module": module, "Seeds": len(of)}
        if of.share.notna().all():
            shown["Share"] = f"{of.share.mean():.3f} ({of.share.min():.3f} to {of.share.max():.3f})"
        low, high = 100 * of.reliance.min(), 100 * of.reliance.max()
        shown["Loss without it"] = f"{100 * of.reliance.mean():+.2f} % ({low:+.2f} to {high:+.2f})"
        rows.append(shown)
    return pd.DataFrame(rows).fillna("–")


def page(results: Path, configs: list[str], modules_csv: Path | None, part: Part) -> str:
    """The whole page of a part."""
    settings = load(None, [Path(name) for name in configs], whole=True)
    cells = cells_of(settings.study, part)
    runs = {settings.samples.methods[method].run: cell for method, cell in cells.items()}
    noted = list(records(results).values())
    commits = Counter(one.get("commit", "unknown") for one in noted)
    own = (results / part.source).read_text(encoding="utf-8")
    title, _, body = own.partition("\n")
    parts = [
        title,
        "Written by `benchmarks/study.py` from the tables of a finished run of [the plan](study.md). "
        + "Commits: "
        + ", ".join(f"{commit} ({count} jobs)" for commit, count in commits.most_common())
        + ".",
        body.strip().replace("(forest.png)", f"(images/{part.forest})"),
        "## Validation split: noise loss after training",
        "Mean and standard deviation over seeds; `audio_sensitivity` and `emotion_sensitivity` say how much "
        "the loss rises with the audio, or the emotion, of another clip.",
        frame_to_markdown(validation(results, runs)),
    ]
    if modules_csv:
        parts += [
            "## Validation split: what the modules do",
            "Share: what a module adds over what it is given, ratio of norms. Loss without it: by how much "
            "the noise loss changes when its output is left out, or the null condition is put in its place. "
            "Mean and range over seeds.",
            frame_to_markdown(modules(modules_csv, runs)),
        ]
    parts += ["## What it cost", frame_to_markdown(cost(noted))]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write docs/study_results.md, or docs/study_readings.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--modules", type=Path, help="what `eadbench training modules --out` wrote")
    parser.add_argument("--readings", action="store_true", help="the second part: other readings")
    parser.add_argument("--config", nargs="+", help="configurations of the run [those of the study]")
    parser.add_argument("--out", type=Path, help="[docs/study_results.md, docs/study_readings.md]")
    given = parser.parse_args()
    part = READINGS if given.readings else GRID
    out = given.out or DOCS / part.page
    text = page(given.results, given.config or [*part.configs], given.modules, part)
    out.write_text(text, encoding="utf-8")
    forest = (given.results / part.source).with_name("forest.png")
    shutil.copyfile(forest, out.parent / "images" / part.forest)


if __name__ == "__main__":
    main()
