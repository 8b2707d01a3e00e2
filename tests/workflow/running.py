"""Running the workflow in a folder of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
SMOKE = ("config.yaml", "config/smoke.yaml")


def command_of(folder: Path, *options: str, configs: tuple[str, ...] = SMOKE, cores: int = 2) -> list[str]:
    """The command that runs the checkout's Snakefile with all outputs under ``folder``."""
    command = [
        str(SNAKEMAKE),
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--directory",
        str(folder),
        "--cores",
        str(cores),
        *options,
    ]
    return [*command, "--configfile", *[str(ROOT / name) for name in configs]]


def snakemake(
    folder: Path,
    *options: str,
    configs: tuple[str, ...] = SMOKE,
    timeout: float = 1500,
    cores: int = 2,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Run it and wait."""
    return subprocess.run(
        command_of(folder, *options, configs=configs, cores=cores),
        capture_output=True,
        text=True,
        timeout=timeout,
        env=env,
    )
