"""How many threads a job uses."""

import os


def set_threads(threads: int) -> None:
    """Bound the threads of torch, OpenMP, BLAS and OpenCV. Must run before torch is
    imported.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def job_threads() -> int:
    """Threads of this job: as ``--threads`` or ``OMP_NUM_THREADS`` say, else the cores
    that the process may run on.

    For libraries that ignore both, such as DuckDB, which start a thread for each core of
    the machine.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdigit() and int(threads) else len(os.sched_getaffinity(0))
