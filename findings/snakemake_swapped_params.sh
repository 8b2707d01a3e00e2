#!/usr/bin/env bash
# Two parameters that swap their values are no change of parameters.
# Seen with snakemake 9.27.1: what is recorded and compared of a job's params is the set of their values, without names.
# So `params: low=1, high=2` made with low=2, high=1 is not made again, though its command is another; nor is a job to which a
# parameter was added that has the value of another one. A value that is new (low=3) is seen.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
echo "snakemake $(venv/bin/snakemake --version)"
cat > Snakefile <<'S'
rule one:
    output: "made"
    params:
        low=config["low"],
        high=config["high"],
    shell: "echo {params.low} {params.high} > {output}"
S
venv/bin/snakemake --cores 1 --quiet all --config low=1 high=2
planned() { venv/bin/snakemake --cores 1 --dry-run --config "$@" 2>&1 | grep -c "^rule one" || true; }
swapped=$(planned low=2 high=1); new=$(planned low=3 high=2)
echo "the file holds: $(cat made); jobs planned with low=2 high=1: $swapped; with low=3 high=2: $new"
[ "$swapped $new" = "0 1" ] || { echo "the behaviour has changed"; exit 1; }
