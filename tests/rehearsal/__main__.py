"""``make rehearsal``: every job of config/paper.yaml, on random weights and drawn
actors.

Everything goes into one folder: ``weights`` (served in the place of the hubs),
``methods`` (stand-ins of the external programs) and ``run``, in which Snakemake works.
A later call goes on where an earlier one stopped.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from rehearsal import hub, weights
from rehearsal.depth import Depth, choose
from samples.standins.checkouts import prepare_for_eat, write_checkout, write_weights
from samples.standins.programs import PROGRAMS

from eadbench.core.settings import load
from eadbench.zoo.registry import registry

ROOT = Path(__file__).parents[2]
CONFIGS = ("config/paper.yaml", "config/rehearsal.yaml")
SHORT = "config/rehearsal_short.yaml"
# They hold the large networks: each has the machine for itself, with all its cores,
# unless they are narrow.
LARGE_RULES = ("write_captions", "extract_features", "train", "make_samples")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="rehearsal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "results/rehearsal",
        help="default: results/rehearsal (about 30 GB)",
    )
    parser.add_argument(
        "--depth",
        default="auto",
        help="blocks of the large networks: full, half, least, or auto, what fits into the free memory; "
        "narrow: every job with networks a tenth as wide, within the hour",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help=f"every rule, but of the trainings only those that differ in kind, one clip per cell ({SHORT})",
    )
    parser.add_argument(
        "--cores",
        type=int,
        default=os.cpu_count(),
        help="processor cores; jobs of the large networks run one at a time, on all of them "
        "(default: %(default)s, all of this machine)",
    )
    parser.add_argument(
        "options",
        nargs=argparse.REMAINDER,
        help="further options of Snakemake after --, e.g. -- --until merge_checked_clips",
    )
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    depth = choose(
        given.depth, load(None, [ROOT / name for name in CONFIGS], whole=True).training.runs["full"].model
    )
    print(f"rehearsal: {depth.told}", flush=True)
    write_all_weights(folder, depth)
    names = [*CONFIGS, SHORT] if given.short else CONFIGS
    configs = [*(ROOT / name for name in names), write_machine(folder, depth)]
    options = [word for word in given.options if word != "--"]
    threads = {} if depth.name == "narrow" else dict.fromkeys(LARGE_RULES, given.cores)
    with hub.hub(folder / "weights") as env:
        clips = "results/clips/mead/clips.parquet"
        code = snakemake(folder, configs, env, given.cores, threads, [clips, *options])
        # EAT's own preprocessing, which its users run by hand, wants to know the clips
        if code == 0 and not stops_early(options):
            prepare_for_eat(folder / "run" / clips, folder / "methods/eat prepared")
            code = snakemake(folder, configs, env, given.cores, threads, options)
        return code


def stops_early(options: list[str]) -> bool:
    return "--dry-run" in options or "-n" in options


def write_all_weights(folder: Path, depth: Depth) -> None:
    """Random weights of all that the configuration fetches; what has no direct download
    lies where its users put it.
    """
    artefacts = load(None, [ROOT / name for name in CONFIGS], whole=True).zoo.artefacts
    for artefact in artefacts.values():
        name, started = artefact.id.removeprefix(hub.MARK), time.time()
        written = weights.write(name, folder / "weights", **depth.options(name))
        if time.time() - started > 1:
            print(f"rehearsal: wrote {name}, {time.time() - started:.0f} s", flush=True)
        if registry()[name].manual:
            kept = folder / "run/results/zoo-cache" / artefact.id
            kept.mkdir(parents=True, exist_ok=True)
            for path in hub.files_of(written):
                shutil.copy(path, kept)


def write_machine(folder: Path, depth: Depth) -> Path:
    """The configuration's part that depends on where it runs: the external programs,
    and the depth.
    """
    methods: dict[str, Any] = {}
    for name in PROGRAMS:
        repo, files = folder / "methods" / f"{name} repo", folder / "methods" / f"{name} weights"
        if not (repo / ".git").exists():
            write_checkout(name, repo)
        write_weights(name, files)
        methods[name] = {
            "path": str(repo),
            "weights": str(files),
            "python": sys.executable,
            "any_commit": True,
            "any_weights": True,
        }
    (folder / "methods/eat prepared").mkdir(exist_ok=True)
    methods["eat"]["prepared"] = str(folder / "methods/eat prepared")
    path = folder / "machine.yaml"
    content = {"samples": {"methods": methods}, "training": {"model": depth.model}}
    if depth.name == "narrow":  # a cell takes less time than its process takes to start
        content["scores"] = {"together": True}
    path.write_text(yaml.safe_dump(content))
    return path


def snakemake(
    folder: Path,
    configs: list[Path],
    env: dict[str, str],
    cores: int,
    threads: dict[str, int],
    options: list[str],
) -> int:
    command = [
        str(Path(sys.executable).parent / "snakemake"),
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--directory",
        str(folder / "run"),
    ]
    command += [
        "--cores",
        str(cores),
        *(["--set-threads", *(f"{rule}={count}" for rule, count in threads.items())] if threads else []),
        "--rerun-incomplete",
        "--keep-going",
        *options,
        "--configfile",
        *map(str, configs),
    ]
    return subprocess.run(command, env=os.environ | env).returncode


if __name__ == "__main__":
    sys.exit(main())
