"""What changes in the course of long clips, by bins of time (metrics ``*_bins``)."""

import pandas as pd

from eadbench.tables.config import TablesConfig
from eadbench.tables.metrics import metric
from eadbench.tables.render import number
from eadbench.tables.wide import decimals_for

SUFFIX = "_bins"
LEGEND = (
    "Means over the clips that last so long, with 95 % intervals (bootstrap over clips, clustered by "
    "speaker) and, in brackets, the number of clips. Later columns rest on fewer clips; the slope of each "
    "clip is in the metrics `*_slope`."
)


def in_time(scores: pd.DataFrame, config: TablesConfig) -> dict[str, pd.DataFrame]:
    """Heading -> a table of methods against stretches of time, for every corpus,
    protocol and metric; empty if no clip was long enough.

    Args:
        scores: ``schemas.SCORES``.
        config: Names and order.
    """
    chosen = scores[scores.metric.str.endswith(SUFFIX) & scores.value.notna()]
    order = {method: at for at, method in enumerate(config.methods)}
    tables = {}
    for (corpus, protocol, name), rows in chosen.groupby(["corpus", "protocol", "metric"]):
        one = metric(name)
        d = decimals_for(rows.value, one.unit)
        lines: dict[str, dict[str, str]] = {}
        for row in rows.sort_values("method", key=lambda m: m.map(order).fillna(len(order))).itertuples():
            ends = "" if pd.isna(row.low) else f" [{number(row.low, d)}, {number(row.high, d)}]"
            line = lines.setdefault(row.method, {"Method": config.label(row.method)})
            line[row.variant] = f"{number(row.value, d)}{ends} ({row.n})"
        stretches = sorted(set(rows.variant), key=lambda text: float(text.split("-")[0]))
        where = "" if protocol == "self" else f", protocol {protocol}"
        tables[f"{one.heading} on {config.label(corpus)}{where}"] = (
            pd.DataFrame(list(lines.values())).reindex(columns=["Method", *stretches]).fillna("–")
        )
    return tables
