"""Options of onnxruntime that all its sessions share."""

from typing import Any


def session_options() -> Any:
    """``SessionOptions`` for one thread, so that a job keeps to its core and its
    numbers do not depend on the machine.

    Without them onnxruntime (1.32) starts a thread for each physical core of the
    machine and pins it there, whatever the process's affinity, ``OMP_NUM_THREADS`` or a
    container's quota say.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options
