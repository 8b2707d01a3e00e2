#!/usr/bin/env bash
# onnxruntime sizes its threads by the machine, not by what the process may use.
# Seen with onnxruntime 1.32.0: in a process that may run on one core only, and with OMP_NUM_THREADS=1, a session without
# options still starts threads for the other cores. Options of the session (intra_op_num_threads) are the only way.
# On a machine with one core there is nothing to see; the script says so and ends without an error.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.18.0
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PY'
import os
import sys

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import onnx
import onnxruntime
from onnx import TensorProto, helper

print("onnxruntime", onnxruntime.__version__, "on a machine of", os.cpu_count(), "cores, of which this process may use", len(os.sched_getaffinity(0)))
if os.cpu_count() < 2:
    sys.exit(0)
shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", shape[:1], shape[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def threads():
    return len(os.listdir("/proc/self/task"))


def started(options):
    """Threads that a session starts."""
    before = threads()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    more = threads() - before
    del session
    return more


single = onnxruntime.SessionOptions()
single.intra_op_num_threads = single.inter_op_num_threads = 1
started(single)  # the first session may start threads of other kinds
plain, bounded = started(onnxruntime.SessionOptions()), started(single)
print(f"threads started by a session without options: {plain}; with intra_op_num_threads = 1: {bounded}")
sys.exit(0 if plain > 0 and bounded == 0 else "the behaviour has changed")
PY
