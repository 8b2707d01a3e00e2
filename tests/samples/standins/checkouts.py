"""Checkouts, weights and prepared inputs of the stand-ins, laid out as the recipes say."""

import shutil
import subprocess
from pathlib import Path

from samples.standins.programs import HEAD, LIBRARIES, MODULE_HEAD, PROGRAMS

from eadbench.core import schemas
from eadbench.core.tables import read_table
from eadbench.samples.recipe import load_recipe


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, "-C", str(folder), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def write_checkout(name: str, repo: Path) -> str:
    """A repository with the program that stands in for a recipe's; gives its commit."""
    for path, text in (LIBRARIES | PROGRAMS[name]).items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        head = (
            HEAD
            if Path(path).name.startswith(("inference", "demo"))
            else MODULE_HEAD
            if path.endswith(".py")
            else ""
        )
        (repo / path).write_text(head + text)
    shutil.copy(Path(__file__).with_name("standin.py"), repo)
    git(repo, "init", "-q")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "stand-in")
    return git(repo, "rev-parse", "HEAD")


def write_weights(name: str, folder: Path) -> None:
    """Files of the recipe's names; the stand-ins look whether they are there."""
    for weight in load_recipe(name)[0].weights:
        (folder / weight.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / weight.path).write_bytes(b"weights")


def prepare_for_eat(clips: Path, folder: Path) -> Path:
    """What EAT's own preprocessing leaves for each clip of a table, in names; gives the
    folder.
    """
    for clip, frames in read_table(clips, schemas.CLIPS)[["clip_id", "frames"]].itertuples(index=False):
        names = ["latent_evp_25/{}.npy", "poseimg/{}.npy.gz", "deepfeature32/{}.npy"]
        for name in (*names, *(f"images_evp_25/cropped/{k}.jpg" for k in range(int(frames)))):
            path = folder / clip / name.format(clip)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return folder
