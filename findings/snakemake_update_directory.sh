#!/usr/bin/env bash
# A job whose output is update(directory(...)) cannot be run again after Snakemake was killed during it.
# Seen with snakemake 9.27.1: before such a job its old output is copied to .snakemake/; a kill leaves the copy there, and
# the next run, unlocked as usual, ends with FileExistsError before the job starts, each time. The same with update("file")
# runs. (Killed here by the job itself, which ends its own Snakemake.)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
echo "snakemake $(venv/bin/snakemake --version)"
status_after_kill() {  # what the output is flagged as, its path
    rm -rf .snakemake page input dead; mkdir page; echo old > page/index.html; sleep 1; echo new > input
    cat > Snakefile <<S
rule one:
    input: "input"
    output: $1
    shell: "[ -e dead ] || {{ touch dead; kill -9 \$(cat pid); sleep 1; exit 1; }}; echo new > page/index.html"
S
    (echo $BASHPID > pid; exec venv/bin/snakemake --cores 1 --quiet all --forcerun one -- "$2") > /dev/null 2>&1 || true
    venv/bin/snakemake --unlock > /dev/null 2>&1
    if venv/bin/snakemake --cores 1 --rerun-incomplete --forcerun one -- "$2" > log 2>&1; then echo "runs"; else grep -o FileExistsError log | head -1; fi
}
file=$(status_after_kill 'update("page/index.html")' page/index.html); directory=$(status_after_kill 'update(directory("page"))' page)
echo "after a kill: update(file): $file; update(directory()): $directory"
[ "$file" = runs ] && [ "$directory" = FileExistsError ] || { echo "the behaviour has changed"; tail -20 log; exit 1; }
