#!/usr/bin/env bash
# A job that writes the same bytes again spares those behind it nothing in the same run, but all in the next one.
# Seen with snakemake 9.27.1: jobs are planned before anything runs. Where "in" has changed and rule one makes "mid" of it as
# it was, rule two, planned behind it, runs all the same. Asked for "mid" first and for "out" in a second call, Snakemake
# compares the checksums and finds nothing to do for rule two.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
echo "snakemake $(venv/bin/snakemake --version)"
cat > Snakefile <<'S'
rule two:
    input: "mid"
    output: "out"
    shell: "echo two >> ran; cp {input} {output}"
rule one:
    input: "in"
    output: "mid"
    shell: "echo one >> ran; echo the same > {output}"
S
ran_after_change() {  # targets, one call of Snakemake for each
    rm -rf in mid out ran .snakemake
    echo first > in
    venv/bin/snakemake --cores 1 --quiet all -- out
    rm ran; sleep 1.1; echo second > in
    local target
    for target in "$@"; do venv/bin/snakemake --cores 1 --quiet all -- "$target"; done
    paste -sd " " ran
}
at_once=$(ran_after_change out); in_two=$(ran_after_change mid out)
echo "ran after a change of in: in one call: $at_once; in two calls: $in_two"
[ "$at_once" = "one two" ] && [ "$in_two" = "one" ] || { echo "the behaviour has changed"; exit 1; }
