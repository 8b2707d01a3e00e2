"""Running the workflow in a folder of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
SMOKE = ("config.yaml", "config/smoke.yaml")


def snakemake(folder: Path, *options: str, configs: tuple[str, ...] = SMOKE, timeout: float = 1500) -> subprocess.CompletedProcess:
    """Run Snakemake on the checkout's Snakefile with all outputs under ``folder``."""
    command = [str(SNAKEMAKE), "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "2", *options]
    command += ["--configfile", *[str(ROOT / name) for name in configs]]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)
