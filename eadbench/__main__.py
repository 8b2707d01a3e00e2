"""``python -m eadbench``."""

from eadbench.cli import run

run()
