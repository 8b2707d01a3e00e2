"""``python -m eadbench``."""

from eadbench.cli import main

main()
