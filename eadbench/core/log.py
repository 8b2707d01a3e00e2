"""Logging for commands: everything to the log file, the essential to the terminal."""

import logging
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
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode="w", encoding="utf-8"))
    handlers[0].setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(Masked(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.getLogger("eadbench").setLevel(logging.DEBUG)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
