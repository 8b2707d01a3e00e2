#!/usr/bin/env bash
# A new time stamp alone runs jobs again, but only where the input is large.
# Seen with snakemake 9.27.1: an input of 900,000 bytes that was touched changes nothing, since its checksum is known; one of
# 1,100,000 bytes plans the job again, though the bytes are the same. --max-checksum-file-size, which counts when the job is
# run and when it is planned, moves the limit; it stands in --help alone.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
echo "snakemake $(venv/bin/snakemake --version)"
cat > Snakefile <<'S'
rule one:
    input: "table"
    output: "made"
    shell: "touch {output}"
S
planned_after_touch() {  # bytes, options
    local size=$1; shift
    rm -rf table made .snakemake
    head -c "$size" /dev/zero > table
    venv/bin/snakemake --cores 1 --quiet all "$@"
    touch -d "+1 minute" table
    venv/bin/snakemake --cores 1 --dry-run "$@" 2>&1 | grep -c "Updated input files: table" || true
}
small=$(planned_after_touch 900000); large=$(planned_after_touch 1100000)
raised=$(planned_after_touch 1100000 --max-checksum-file-size 2MB)
echo "jobs planned after touch: 900,000 bytes: $small; 1,100,000 bytes: $large; the same with --max-checksum-file-size 2MB: $raised"
[ "$small $large $raised" = "0 1 0" ] || { echo "the behaviour has changed"; exit 1; }
