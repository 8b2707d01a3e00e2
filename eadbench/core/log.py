"""Logging for commands: everything to the log file, the essential to the terminal."""

import logging
import os
import sys
from pathlib import Path

from eadbench.core import secrets

NOISY = ("httpx", "httpx2", "httpcore", "openai", "urllib3", "absl", "matplotlib", "fontTools")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Masked(logging.Formatter):
    """Leaves secrets out of messages and tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return secrets.hide(super().format(record))


def set_up(log_file: Path | None) -> None:
    """Log to stderr and, if given, to ``log_file`` (started afresh)."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO)
    terminal.setFormatter(Masked(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[terminal], force=True)
    if log_file:  # a job of the workflow: its lines stand among those of others
        # the bars of huggingface_hub and transformers, for work of milliseconds
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        log_file.parent.mkdir(parents=True, exist_ok=True)
        to_file = logging.FileHandler(log_file, mode="w", encoding="utf-8", errors="backslashreplace")
        to_file.setFormatter(Masked(FORMAT))
        logging.getLogger().addHandler(to_file)
    logging.getLogger("eadbench").setLevel(logging.DEBUG)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
