"""How values change in the course of long clips, by bins of time (metrics ``*_bins``)."""

import pandas as pd

from eadbench.tables.breakdown import against_levels
from eadbench.tables.config import TablesConfig

SUFFIX = "_bins"
LEGEND = (
    "Means over the clips that last so long, with 95 % intervals (bootstrap over clips, clustered by "
    "speaker) and, in brackets, the number of clips. Later columns rest on fewer clips; the slope of each "
    "clip is in the metrics `*_slope`."
)


def in_time(scores: pd.DataFrame, config: TablesConfig) -> dict[str, pd.DataFrame]:
    """Heading -> a table of methods against bins of time, for every corpus, protocol and
    metric; empty if no clip was long enough.

    Args:
        scores: ``schemas.SCORES``.
        config: Names and order.
    """
    chosen = scores[scores.metric.str.endswith(SUFFIX) & scores.value.notna()]
    chosen = chosen.assign(level=chosen.variant, mark="").sort_values(["corpus", "protocol", "metric"])
    return against_levels(chosen, config, lambda time_bin: float(time_bin.split("-")[0]))
