#!/usr/bin/env bash
# Ctrl-C cancels nothing when the cancel command has arguments.
# Seen with snakemake-executor-plugin-cluster-generic 1.0.9 under snakemake 9.27.1: submit and status commands go through a
# shell, but `--cluster-generic-cancel-cmd "sh cancel.sh"` is run as one program of the name "sh cancel.sh", which there is
# none of. Without arguments ("./cancel.sh") the same script is called with the jobs' ids.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1 snakemake-executor-plugin-cluster-generic==1.0.9
cd "$folder"
echo "snakemake $(venv/bin/snakemake --version), cluster-generic 1.0.9"
cat > Snakefile <<'S'
rule one:
    output: "never"
    shell: "touch {output}"
S
# A queue in which jobs wait for ever.
printf '#!/bin/sh\ntouch submitted\necho job-1\n' > submit.sh
printf '#!/bin/sh\necho running\n' > status.sh
printf '#!/bin/sh\necho "$@" >> cancelled\n' > cancel.sh
chmod +x ./*.sh

ids_cancelled_with() {
    rm -rf submitted cancelled .snakemake
    # A shell's background jobs ignore SIGINT; Python's child does not.
    venv/bin/python - "$1" <<'PY'
import pathlib
import signal
import subprocess
import sys
import time

command = ["venv/bin/snakemake", "--executor", "cluster-generic", "--jobs", "1", "--cluster-generic-submit-cmd", "sh submit.sh",
           "--cluster-generic-status-cmd", "sh status.sh", "--cluster-generic-cancel-cmd", sys.argv[1], "--seconds-between-status-checks", "30"]
run = subprocess.Popen(command, stdout=open("log", "w"), stderr=subprocess.STDOUT)
until = time.monotonic() + 60
while not pathlib.Path("submitted").exists() and time.monotonic() < until:
    time.sleep(0.2)
time.sleep(5)  # past the first look at the status
run.send_signal(signal.SIGINT)
run.wait(120)
PY
    cat cancelled 2>/dev/null || true
}

with=$(ids_cancelled_with "sh cancel.sh"); without=$(ids_cancelled_with ./cancel.sh)
echo "cancel command 'sh cancel.sh': cancelled '$with'"
echo "cancel command './cancel.sh': cancelled '$without'"
[ -z "$with" ] && [ "$without" = "job-1" ] || { echo "the behaviour has changed"; tail -5 log; exit 1; }
