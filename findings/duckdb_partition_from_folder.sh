#!/usr/bin/env bash
# DuckDB reads a column's values from the name of a parent folder, though the file has the column.
# Seen with duckdb 2.0.0: `read_parquet` of one explicit path below `corpus=old/` gives 'old' in every row of the column
# `corpus`, whose values in the file are 'new'. `hive_partitioning` is detected ("auto"), and wins over the file;
# hive_partitioning = false gives the file's values.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.0 pyarrow==24.0.0
cd "$folder"
venv/bin/python - <<'PY'
import pathlib
import sys

import duckdb
import pyarrow
import pyarrow.parquet as pq

print("duckdb", duckdb.__version__)
table = pyarrow.table({"corpus": ["new", "new"], "value": [1.0, 2.0]})
found = {}
for folder in ("plain", "corpus=old"):
    pathlib.Path(folder).mkdir()
    pq.write_table(table, f"{folder}/t.parquet")
    for setting in ("", ", hive_partitioning = false"):
        rows = duckdb.execute(f"SELECT DISTINCT corpus FROM read_parquet(?{setting})", [f"{folder}/t.parquet"]).fetchall()
        found[folder, setting] = rows
        print(f"{folder}/t.parquet{setting}: corpus is {rows}")
as_seen = {("plain", ""): [("new",)], ("plain", ", hive_partitioning = false"): [("new",)],
           ("corpus=old", ""): [("old",)], ("corpus=old", ", hive_partitioning = false"): [("new",)]}
sys.exit(0 if found == as_seen else "the behaviour has changed")
PY
