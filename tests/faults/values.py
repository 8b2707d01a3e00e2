"""What a run is compared by: the value columns of its tables, byte for byte, and the
checksums of the files beside them.
"""

from pathlib import Path

import pandas as pd

# What two runs of the same config may differ in: times, memory, and the commit of the
# checkout.
COSTS = {"seconds", "realtime_factor", "peak_mb", "commit"} | {
    f"{name}_{end}" for name in ("seconds", "realtime_factor") for end in ("low", "high")
}
TIMES = ("data_wait", "seconds_per_step")  # quantities of a training's history


def value_bytes(path: Path) -> bytes:
    """A table's values as text with full precision, without the columns of cost; for
    other files their bytes.
    """
    if path.suffix != ".parquet":
        return path.read_bytes()
    frame = pd.read_parquet(path)
    frame = frame.drop(columns=[name for name in frame.columns if name in COSTS])
    if {"quantity", "step"} <= set(frame.columns):
        frame = frame[~frame["quantity"].isin(TIMES)]
    return frame.to_csv(index=False).encode()


def tables_of(folder: Path) -> dict[str, bytes]:
    """The values of all final tables of a run, by name; `speed` holds nothing but
    costs.
    """
    return {path.name: value_bytes(path) for path in sorted((folder / "results/tables").glob("*.parquet"))}


def output_of(folder: Path, output: str) -> dict[str, bytes]:
    """An output and the checksums of what its job left beside it."""
    path = folder / output
    found = {output: value_bytes(path)}
    if (path.parent / "sums.sha256").exists() and path.suffix == ".parquet":
        lines = (path.parent / "sums.sha256").read_text().splitlines()
        # A measure.json or card names hosts and times nowhere, so that all sums must
        # agree.
        found["sums"] = "\n".join(line for line in lines if not line.startswith("#")).encode()
    return found


def differences(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    """Names that are not the same on both sides."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
