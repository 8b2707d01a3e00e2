"""``tables report``: the page, a folder that opens from disk without a network."""

import html
import json
import re
import shutil
from collections import Counter
from importlib import resources
from itertools import groupby
from pathlib import Path

import jinja2
import plotly

from eadbench.core.files import atomic_path, write_text
from eadbench.corpora.config import DRAWN
from eadbench.scores.metrics import Metric
from eadbench.tables import build, charts, gallery, render
from eadbench.tables.config import TablesConfig, quotations
from eadbench.tables.dial import LEGEND, TITLE, dial_text
from eadbench.tables.in_time import LEGEND as IN_TIME_LEGEND
from eadbench.tables.in_time import in_time
from eadbench.tables.load import Built, load_built, references
from eadbench.tables.metrics import explained, metric
from eadbench.tables.notes import GROUPS, TEXTS, control_verdicts, grouped
from eadbench.tables.wide import training_columns
from eadbench.training.card import corpora_of

ASSETS = "report_assets"
PAGE = "eadbench.tables.page"
# data of the template alone, which the page's script does not need
FOR_THE_TEMPLATE = ("absent", "provenance", "signatures")


def report(tables: Path, results: Path, out: Path, config: TablesConfig | None = None) -> None:
    """Write the page and, beside it, the folder ``report_assets`` with everything that
    it needs.

    Args:
        tables: Folder that ``tables build`` wrote.
        results: Folder of all results. What is missing there is named on the page.
        out: The page.
        config: Labels and figures other than those that the tables were built with.

    Raises:
        EadbenchError: If the tables are missing or damaged.
    """
    built = load_built(tables, config)
    with atomic_path(out.parent / ASSETS) as folder:
        folder.mkdir()
        _copy_assets(folder)
        videos = gallery.collect_videos(built, results, folder)
        data = charts.page_data(built, results) | {"videos": charts.clean(videos.data)}
        if videos.data["missing"]:
            data["absent"].append(
                f"samples of {len(videos.data['missing'])} cells, e.g. "
                f"results/samples/{videos.data['missing'][0]}"
            )
        figures = gallery.make_figures(built, results, videos, folder)
        downloads = _copy_tables(built, folder)
        scripted = {key: value for key, value in data.items() if key not in FOR_THE_TEMPLATE}
        write_text(
            folder / "data.js",
            "window.EADBENCH = "
            + json.dumps(scripted, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
            + ";\n",
        )
    write_text(out, _html(built, data, figures, downloads))


def bundle_page(page: Path, folder: Path) -> None:
    """Put the page and what it needs into a folder that holds nothing else: hard links,
    or copies where links are not possible.
    """
    with atomic_path(folder) as part:
        shutil.copytree(page.parent / ASSETS, part / ASSETS, copy_function=gallery.link_or_copy)
        gallery.link_or_copy(page, part / page.name)


def _copy_assets(folder: Path) -> None:
    for name in ("report.css", "report.js"):
        (folder / name).write_bytes(resources.files(PAGE).joinpath(name).read_bytes())
    shutil.copyfile(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", folder / "plotly.min.js")


def _copy_tables(built: Built, folder: Path) -> dict[str, list[str]]:
    """Copy the tables' files; returns table -> file names."""
    (folder / "tables").mkdir()
    names = [table.name for table in built.tables] + [*build.OPTIONAL, "scores", "effects", "breakdown"]
    files_of: dict[str, list[str]] = {}
    for name in names:
        for suffix in build.SUFFIXES:
            source = built.folder / f"{name}.{suffix}"
            if source.exists():
                shutil.copyfile(source, folder / "tables" / source.name)
                files_of.setdefault(name, []).append(source.name)
    return files_of


def _html(
    built: Built, data: dict, figures: list[gallery.FigureCard], downloads: dict[str, list[str]]
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(PAGE, "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["code"] = _code
    environment.globals |= {
        "cell_view": lambda table, row, column: _cell_view(built, table, row, column),
        "column_n": render.column_n,
        "row_name": render.row_name,
        "number": render.number,
        "legend": lambda table: render.legend(table, built.config.labels, built.config.alpha),
        "notes_of": lambda name: grouped([n for n in built.notes if n.table], name),
        "label": built.config.label,
        "blocks": _blocks,
        "better": _better,
        "explained": explained,
        "quoted_of": _quoted,
        "pretty": lambda record: json.dumps(record, indent=1, ensure_ascii=False),
    }
    speed = None
    if built.config.speed is not None and built.speed is not None:
        rows = build.speed_rows(built.speed, built.config.speed, built.config)
        speed = {
            "title": built.config.title_of(built.config.speed),
            "head": list(build.speed_text(rows, built.config).columns),
            "rows": _speed_view(rows, built.config),
        }
    response = None if built.dial is None else dial_text(built.dial, built.config)
    general = grouped(built.notes, "")
    page_values = {
        "general": general,
        "first": {heading: texts for heading, texts in general.items() if heading != GROUPS["data"]},
        "mark": DRAWN,
        "drawn": built.facts.drawn,
        "not_comparable": render.NOT_COMPARABLE,
        "quotations": quotations(),
        "trained": _trained(built),
        "references": references(built),
        "heads": list(dict.fromkeys(c.metric.name for t in built.tables for c in t.columns)),
        "records": _by_stage(data["provenance"]),
        "controls": _controls(built),
        "counts": head_counts(built, data),
    }
    return environment.get_template("index.html.j2").render(
        built=built,
        data=data,
        figures=figures,
        downloads=downloads,
        assets=ASSETS,
        speed=speed,
        speed_legend=build.SPEED_LEGEND,
        bins=in_time(built.scores, built.config),
        bins_legend=IN_TIME_LEGEND,
        dial=response,
        dial_title=TITLE,
        dial_legend=LEGEND,
        metric=metric,
        **page_values,
    )


def _blocks(table) -> list[tuple[str, int]]:
    """Corpora above the columns: label and width."""
    return [
        (label, len(list(group))) for label, group in groupby(table.columns, key=lambda c: c.corpus_label)
    ]


def _code(text: str) -> str:
    """A note as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _quoted(table) -> dict | None:
    """Values quoted from the paper, for a table of their own."""
    frame = render.quoted_frame(table)
    return None if frame is None else {"head": list(frame.columns), "rows": frame.to_numpy().tolist()}


def _trained(built: Built) -> list[dict]:
    """What each method of the tables was trained on, for how long, from which weights
    and with which text.
    """
    rows = {row.method: row for table in built.tables for row in table.rows}
    trained_rows = []
    for row in rows.values():
        card = training_columns(row.card)
        corpora = built.config.listed(corpora_of(row.card)) if row.card else ""
        untrained_text = {
            "control": "a control, nothing to train",
            "ground_truth": "the test clips themselves",
        }.get(row.role, "not trained here")
        sources = (row.caption_source or "").split("+")
        trained_rows.append(
            {
                "label": row.label,
                "on": corpora or ("its card does not say" if row.card else untrained_text),
                "steps": card["steps"],
                "from": card["initialised_from"] or ("random weights" if row.card else ""),
                "text": ", ".join(TEXTS.get(source, source) for source in sources if source),
            }
        )
    return trained_rows


def head_counts(built: Built, data: dict) -> list[tuple[str, str]]:
    """Numbers of the page's head with what they count."""
    # a clip counts once, however many protocols use it
    clips = {
        (cell.rpartition("/")[0], clip)
        for cell, cell_data in data["perclip"].items()
        for clip in cell_data["clips"]
    }
    counts = [
        (len(data["methods"]), "method", "methods"),
        (len(data["corpora"]), "corpus", "corpora"),
        (len(clips) or int(built.scores.n.max()), "test clip", "test clips"),
        (len(data["metrics"]), "metric", "metrics"),
        (len(data["scores"]), "value", "values"),
        (len(data["signatures"]), "network or formula", "networks and formulas"),
    ]
    shown = [
        (f"{count:,}".replace(",", "\u202f"), singular if count == 1 else plural)
        for count, singular, plural in counts
    ]
    commits = sorted({c[:8] for c in built.scores.commit.dropna()})
    return [*shown, (", ".join(commits), "commit")] if commits else shown


def _controls(built: Built) -> dict:
    """The main comparison's verdicts against the controls, as a table."""
    main = next(t for t in built.tables if t.name == "main")
    verdicts_of = control_verdicts(main, built.config)
    counts = Counter(v for verdicts in verdicts_of.values() for v in verdicts.values())
    compared = {metric for verdicts in verdicts_of.values() for metric in verdicts}
    labels = dict.fromkeys(column.metric.label for column in main.columns)
    return {
        "ours": built.config.label(built.config.reference),
        "total": counts.total(),
        **{k: counts[k] for k in ("beats", "worse", "open")},
        "metrics": [label for label in labels if label in compared],
        "rows": [
            {"corpus": corpus, "control": control, "verdicts": v}
            for (corpus, control), v in verdicts_of.items()
        ],
    }


def _by_stage(records: list[dict]) -> list[tuple[str, list[dict]]]:
    """Records of provenance under the first folder of their path."""
    records_of: dict[str, list[dict]] = {}
    for item in records:
        records_of.setdefault(item["folder"].split("/")[0], []).append(item)
    return list(records_of.items())


def _better(spec: type[Metric]) -> str:
    """The arrow in words, for screen readers."""
    if spec.direction == "none":
        return "" if spec.ideal is None else f"(ideal {spec.ideal:g})"
    return {"up": "(higher is better)", "down": "(lower is better)"}[spec.direction]


def _cell_view(built: Built, table, row, column) -> dict:
    """What the template needs of a cell."""
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return {
            "text": "–",
            "sort": "",
            "interval": "",
            "n": "",
            "class": "none",
            "mark": False,
            "title": "no score",
        }
    return {
        "text": render.number(cell.value, column.decimals),
        "sort": repr(float(cell.value)),
        "interval": render.interval(cell, column.decimals),
        "n": render.differing_n(cell, render.column_n(table, column)),
        "class": {1: "best", 2: "second"}.get(cell.rank, ""),
        "mark": render.is_marked(cell, built.config.alpha),
        "title": cell.warning,
    }


def _speed_view(rows, config: TablesConfig) -> list[list[dict]]:
    """Cells of the speed table with what they sort by."""
    printed = build.speed_text(rows, config)
    keys = {2: "n", 3: "seconds", 4: "realtime_factor", 5: "peak_mb"}
    view = []
    for shown, raw in zip(printed.itertuples(index=False), rows.itertuples(index=False), strict=True):
        cells = []
        for index, value in enumerate(shown):
            number = getattr(raw, keys[index], None) if index in keys else None
            text, _, interval = str(value).partition(" [")
            if index not in keys:
                text, interval = str(value), ""
            cells.append(
                {
                    "text": text,
                    "interval": f"[{interval}" if interval else "",
                    "sort": "" if number is None or number != number else repr(float(number)),
                }
            )
        view.append(cells)
    return view
