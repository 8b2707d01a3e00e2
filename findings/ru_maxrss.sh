#!/usr/bin/env bash
# On Linux a program's ru_maxrss begins with what the process held that started it: CPython's subprocess forks with
# vfork, and the kernel books the parent's peak on the child when it begins its own program. /proc/self/status (VmHWM)
# and psutil tell the program's own.
# Exits with 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet psutil==7.0.0

cat > "$work/child.py" <<'CHILD'
import resource

import psutil

status = dict(line.split(":", 1) for line in open("/proc/self/status"))
told = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{told:.0f} {int(status['VmHWM'].split()[0]) / 1024:.0f} {psutil.Process().memory_info().rss / 2**20:.0f}")
CHILD

cat > "$work/parent.py" <<'PARENT'
import platform
import subprocess
import sys

ballast = bytearray(400 << 20)
ballast[::4096] = b"x" * len(ballast[::4096])
words = subprocess.run([sys.executable, sys.argv[1]], capture_output=True, text=True, check=True).stdout.split()
ru_maxrss, high_water, psutil_rss = map(int, words)
print(f"Python {platform.python_version()}, Linux {platform.release()}; the parent holds 400 MiB")
print(f"child: ru_maxrss {ru_maxrss} MiB, VmHWM {high_water} MiB, psutil rss {psutil_rss} MiB")
sys.exit(not (ru_maxrss >= 400 and high_water < 100 and psutil_rss < 100))
PARENT

"$work/venv/bin/python" "$work/parent.py" "$work/child.py"
