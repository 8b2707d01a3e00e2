"""``eadbench scores``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, Parts, SettingsJson, parse_parts

app = typer.Typer(add_completion=False, help="Measure rendered clips and sum up.", no_args_is_help=True)


@app.command("measure")
def measure_command(
    method: Annotated[str, typer.Option(help="Method of the config.")],
    corpus: Annotated[str, typer.Option(help="Corpus of the clips.")],
    protocol: Annotated[str, typer.Option(help="self, cross, cross_emotion, silent or dial_0.2 to dial_1.")],
    samples: Annotated[Path, typer.Option(help="Table of samples.")],
    clips: Annotated[Path, typer.Option(help="Table of the corpus's clips.")],
    out: Annotated[
        Path, typer.Option(help="per_clip.parquet to write; features and signatures lie beside it.")
    ],
    part: Parts = None,
    real: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the ground truth's cell: its landmarks are used again, which saves time."
        ),
    ] = None,
    signatures: Annotated[
        Path | None,
        typer.Option(
            help="What `scores corpus` wrote: networks are loaded only if a clip is left to measure."
        ),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Measure every clip of a cell: one method on one corpus under one protocol. An
    interrupted run goes on where it stopped.

    Example:

        eadbench scores measure --method still --corpus demo_hdtf \\
          --protocol self \\
          --samples results/samples/still/demo_hdtf/self/samples.parquet \\
          --clips results/clips/demo_hdtf/clips.parquet \\
          --part syncnet_evaluator=results/zoo/syncnet_evaluator \\
          --part inception=results/zoo/inception --part i3d=results/zoo/i3d \\
          --part emotion=results/zoo/emotion --part lpips=results/zoo/lpips \\
          --part face_id=results/zoo/face_id \\
          --out results/scores/still/demo_hdtf/self/per_clip.parquet
    """
    loaded = core_settings.load(settings, config, "scores measure")
    from eadbench.core.device import pick_device
    from eadbench.scores.evaluators import lazy_evaluators, load_evaluators
    from eadbench.scores.measure import cell_tasks, measure_cell

    parts = parse_parts(part)
    evaluators = None
    if signatures:
        evaluators = lazy_evaluators(signatures, loaded.scores, parts, loaded.device)
    if evaluators is None:
        evaluators = load_evaluators(loaded.scores, parts, pick_device(loaded.device))
    cell = {"method": method, "corpus": corpus, "protocol": protocol}
    tasks = cell_tasks(samples, clips, protocol, _drives(loaded).get(method, "video"))
    measure_cell(cell, tasks, loaded.scores, evaluators, out, real)


@app.command("corpus")
def corpus_command(
    corpus: Annotated[str, typer.Option(help="Corpus of the clips.")],
    cell: Annotated[
        list[str],
        typer.Option(
            metavar="FOLDER=SAMPLES",
            help="Folder METHOD/CORPUS/PROTOCOL of a cell and its table of samples; may be given several "
            "times.",
        ),
    ],
    clips: Annotated[Path, typer.Option(help="Table of the corpus's clips.")],
    out: Annotated[Path, typer.Option(help="Record of the networks to write, in a folder of its own.")],
    part: Parts = None,
    real: Annotated[
        Path | None,
        typer.Option(help="Folder of the ground truth's cell: its landmarks are used again."),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Measure the clips of several cells of a corpus in one process. `scores measure`
    then finds them in the cells' folders, as after an interruption, and writes the
    tables without loading a network. Clips that are in a cell already and did not
    change are left as they are.

    Example:

        made=results/samples/still/demo_hdtf/self/samples.parquet
        eadbench scores corpus --corpus demo_hdtf \\
          --cell results/scores/still/demo_hdtf/self=$made \\
          --clips results/clips/demo_hdtf/clips.parquet \\
          --part syncnet_evaluator=results/zoo/syncnet_evaluator \\
          --part inception=results/zoo/inception --part i3d=results/zoo/i3d \\
          --part emotion=results/zoo/emotion --part lpips=results/zoo/lpips \\
          --part face_id=results/zoo/face_id \\
          --out results/scores/together/demo_hdtf/signatures.json
    """
    loaded = core_settings.load(settings, config, "scores corpus")
    from eadbench.core.device import pick_device
    from eadbench.scores.evaluators import load_evaluators
    from eadbench.scores.measure import measure_corpus

    evaluators = load_evaluators(loaded.scores, parse_parts(part), pick_device(loaded.device))
    cells, drives = parse_parts(cell), _drives(loaded)
    measure_corpus(corpus, cells, clips, loaded.scores, evaluators, out, real, drives)


def _drives(loaded: core_settings.Settings) -> dict[str, str]:
    """Method -> what it declares to drive."""
    methods = loaded.samples.methods if "samples" in loaded.raw else {}
    return {name: method.drives for name, method in methods.items()}


@app.command("list")
def list_command(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print docs/metrics.md: the package's own metrics as Markdown.")
    ] = False,
) -> None:
    """Print every metric: definition, direction, values, evaluator, what else it reacts
    to. Those of other packages, too.

    Example:

        eadbench scores list
    """
    from eadbench.scores.metrics import METRICS
    from eadbench.scores.metrics.describe import facts
    from eadbench.scores.metrics.describe import markdown as as_markdown

    if markdown:
        typer.echo(as_markdown(), nl=False)
        return
    for name, metric in METRICS.items():
        typer.echo(f"{name} ({metric.label}), per {metric.kind}")
        needs = ", ".join(metric.needs()) or "nothing but other rows"
        for heading, text in (facts(metric) | {"Needs": needs}).items():
            typer.echo(f"    {heading.lower()}: {text}")


@app.command("summarise")
def summarise_command(
    cell: Annotated[Path, typer.Option(help="Folder of a measured cell.")],
    real: Annotated[
        Path,
        typer.Option(help="Folder of the ground truth's cell, e.g. results/scores/ground_truth/hdtf/self."),
    ],
    out: Annotated[Path, typer.Option(help="summary.parquet to write.")],
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Sum up a cell: means, FID, KID, FVD, with 95 % intervals by bootstrap over clips,
    clustered by speaker.

    Example:

        eadbench scores summarise --cell results/scores/still/demo_hdtf/self \\
          --real results/scores/ground_truth/demo_hdtf/self \\
          --out results/scores/still/demo_hdtf/self/summary.parquet
    """
    loaded = core_settings.load(settings, config, "scores summarise")
    from eadbench.scores.summarise import SummaryCell, write_summary

    write_summary(SummaryCell.read(cell), SummaryCell.read(real), loaded.scores, loaded.seed, out)
