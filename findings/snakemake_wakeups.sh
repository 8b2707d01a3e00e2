#!/usr/bin/env bash
# The limit of job submissions makes Snakemake's scheduler busier with every job that finishes.
# Seen with snakemake 9.27.1 (default: --max-jobs-per-timespan 100/1s): each round of the scheduler starts a timer that
# starts another round a second later, which starts a timer. A job that finishes adds such a chain, and none ends while
# jobs wait. So 24 jobs of a second on one core, ready from the start, are looked at in about 300 rounds, not in 24: each
# computes parameters and looks for the inputs of all ready jobs again. With a longer timespan there are fewer; none
# switches the limit off.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
echo "snakemake $(venv/bin/snakemake --version)"
cat > Snakefile <<'S'
rule all:
    input: expand("made/{n}", n=range(24))
rule one:
    output: "made/{n}"
    shell: "sleep 1; touch {output}"
S
rounds() { rm -rf made; venv/bin/snakemake --cores 1 --verbose "$@" 2>&1 | grep -c "^Ready jobs: "; }
default=$(rounds); longer=$(rounds --max-jobs-per-timespan 1000/20s)
echo "rounds for 24 jobs: by default $default; with --max-jobs-per-timespan 1000/20s: $longer"
[ "$default" -gt 150 ] && [ "$longer" -lt 100 ] || { echo "the behaviour has changed"; exit 1; }
