"""Logging for commands: everything to the log file, the essential to the terminal."""

import logging
import sys
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up(log_file: Path | None) -> None:
    """Log to stderr and, if given, to ``log_file`` (started afresh)."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode="w", encoding="utf-8"))
    handlers[0].setLevel(logging.INFO)
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=handlers, force=True)
    logging.getLogger("eadbench").setLevel(logging.DEBUG)
    for noisy in ("httpx", "urllib3", "absl", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
