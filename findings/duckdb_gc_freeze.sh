#!/usr/bin/env bash
# A program that spares Python's last garbage collection with gc.freeze() gets pages of "leaked" from DuckDB.
# Seen with duckdb 2.0.0 (its bindings are made with nanobind), Python 3.11: a connection that a module still holds when
# the interpreter ends is normally collected without a word. After gc.freeze() it is not, as the documentation of gc
# says, and nanobind prints "leaked instances", "leaked types" and "leaked functions" on stderr, though nothing leaks in
# a process that ends. The exit status stays 0.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.0
lines() { "$folder/venv/bin/python" -c "$1" 2>&1 >/dev/null | grep -c -i leak || true; }
base='import gc, atexit, duckdb; held = duckdb.connect(); held.execute("select 1").fetchall()'
plain=$(lines "$base"); frozen=$(lines "$base; atexit.register(gc.freeze)")
echo "duckdb 2.0.0, lines about leaks on stderr: $plain as it is, $frozen after gc.freeze() at exit"
[ "$plain" -eq 0 ] && [ "$frozen" -gt 0 ] || { echo "the behaviour has changed"; exit 1; }
