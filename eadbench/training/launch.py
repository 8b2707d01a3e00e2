"""Several processes of one command, through torch's own launcher."""

import logging
import os
import sys

log = logging.getLogger(__name__)


def rank() -> int:
    """Number of this process among those that a launcher started; 0 without one."""
    return int(os.environ.get("RANK", "0"))


def launch(processes: int) -> None:
    """Start this very command again in several processes (``torchrun``), in place of
    this one; return if one is enough or a launcher started us.

    Args:
        processes: How many, on this machine.
    """
    if processes < 2 or "RANK" in os.environ:
        return
    log.info("starting %d processes", processes)
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
        "-m",
    ]
    # without the dashes it would take --log for one of its own
    os.execv(sys.executable, [*launcher, "--", "eadbench", *sys.argv[1:]])
