"""Digests of what a method of the user's reads: finished videos, programs, recipes,
checkouts, weights.

Results depend on them, but they are neither in the configuration nor outputs of earlier
jobs. The workflow calls this while it plans, so that nothing large is imported here;
hashes of files are cached by size and time of change.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eadbench.core.files import sha256_of, write_text
from eadbench.samples.config import BaseMethodConfig, CommandConfig, ExternalConfig, VideosConfig
from eadbench.samples.recipe import Recipe, Weight, folder_of, load_recipe
from eadbench.samples.templates import placeholders, split

CHECKOUT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("recipes") / "worker.py"


class Digests:
    """sha256 of files, each computed once for a size and time of change.

    Args:
        cache: JSON file that keeps them from one planning to the next; ``None`` for
            none.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache
        self._cached: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._cached = json.loads(cache.read_text(encoding="utf-8")) if cache else {}

    def of(self, path: Path) -> str:
        """sha256 of a file."""
        status = path.stat()
        state = [status.st_size, status.st_mtime_ns, status.st_ino]
        key = str(path.resolve())
        if self._cached.get(key, [None])[:-1] != state:
            self._cached[key] = [*state, sha256_of(path)]
            self._save()
        return self._cached[key][-1]

    def _save(self) -> None:
        if self.cache:
            try:
                write_text(self.cache, json.dumps(self._cached))
            except OSError:
                self.cache = None  # not writable: files are hashed again the next time


def reads(method: BaseMethodConfig, corpus: str, protocol: str, digests: Digests) -> dict[str, str]:
    """Digests of all that a method reads for a cell beside its inputs and settings;
    empty for those of this workflow.

    Args:
        method: Settings of the method.
        corpus, protocol: The cell.
        digests: Cache of hashes.
    """
    if isinstance(method, VideosConfig):
        return _digests_of_videos(method, corpus, protocol, digests)
    if isinstance(method, CommandConfig):
        return _digests_of_command(method, digests)
    if isinstance(method, ExternalConfig):
        return _digests_of_external(method, digests)
    return {}


def _digests_of_videos(method: VideosConfig, corpus: str, protocol: str, digests: Digests) -> dict[str, str]:
    folder = Path(method.path.replace("{corpus}", corpus).replace("{protocol}", protocol))
    digest_by_name = {}
    if method.mapping:
        digest_by_name["mapping"] = _digest_of([Path(method.mapping)], digests)
    if not method.after:  # else the table of the earlier job stands for the videos
        digest_by_name["videos"] = _digest_of(_files_below(folder), digests)
    return digest_by_name


def _digests_of_command(method: CommandConfig, digests: Digests) -> dict[str, str]:
    files = dict(programs(method))
    digest_by_name = {word: digests.of(path) for word, path in files.items()}
    if method.reads is not None:
        for name in method.reads:
            digest_by_name[name] = _content_digest(Path(name).expanduser(), digests)
        return digest_by_name
    repositories = dict.fromkeys(map(repository_of, files.values()))
    for repository in repositories:
        if repository not in (None, CHECKOUT):
            digest_by_name[f"checkout {repository}"] = _content_digest(repository, digests)
    return digest_by_name


def _digests_of_external(method: ExternalConfig, digests: Digests) -> dict[str, str]:
    recipe, text = load_recipe(method.recipe)
    weights = []
    for _, path in weights_of(method, recipe):
        weights += [path] if path.is_file() else _files_below(path)
    worker_files = []
    if recipe.worker:
        worker_files.append(WORKER)
        if recipe.worker.adapter:
            worker_files.append(folder_of(method.recipe) / recipe.worker.adapter)
    checkout = f"{commit_of(method.path)}{changes_of(method.path)}"
    return {
        "recipe": hashlib.sha256(text.encode()).hexdigest(),
        "checkout": hashlib.sha256(checkout.encode()).hexdigest(),
        "weights": _digest_of(weights, digests),
        "worker": _digest_of(worker_files, digests),
    }


def programs(method: CommandConfig) -> Iterator[tuple[str, Path]]:
    """Files that the words of a command name: the program, scripts, and what options
    such as ``--model=FILE`` point to.
    """
    folder = Path(method.cwd) if method.cwd and not placeholders(method.cwd) else Path()
    for number, word in enumerate(split(method.command, "command")):
        name = word.replace("{checkout}", str(CHECKOUT)).rpartition("=")[2]
        if placeholders(name):
            continue
        path = folder / name
        if not path.is_file() and number == 0:
            path = Path(shutil.which(name) or path)
        if path.is_file():
            yield word, path


def repository_of(path: Path) -> Path | None:
    """Top folder of the git checkout that tracks a file."""
    run = ["git", "-C", str(path.resolve().parent)]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [*run, "ls-files", "--error-unmatch", path.resolve().name],
            capture_output=True,
            check=True,
            timeout=30,
        )
        top = subprocess.run(
            [*run, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True, timeout=30
        )
        return Path(top.stdout.rstrip("\n"))
    return None


def _content_digest(path: Path, digests: Digests) -> str:
    """Digest of a file or a folder; of a checkout, its commit and the changes of
    tracked files.
    """
    if commit := commit_of(str(path)):
        return hashlib.sha256(f"{commit}{changes_of(str(path))}".encode()).hexdigest()
    return _digest_of([path] if path.is_file() else _files_below(path), digests)


def commit_of(checkout: str | None) -> str | None:
    """Commit of a checkout; ``None`` if the folder is not the top of one."""
    if not checkout:
        return None
    try:
        command = ["git", "-C", checkout, "rev-parse", "--show-toplevel", "HEAD"]
        process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        top, commit = process.stdout.split("\n")[:2]
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return commit if Path(top).resolve() == Path(checkout).resolve() else None


def changes_of(checkout: str | None) -> str:
    """Changes of a checkout's own files, as a patch; empty if there are none, or no
    checkout.
    """
    if commit_of(checkout) is None:
        return ""
    try:
        run = subprocess.run(
            ["git", "-C", checkout, "diff", "--no-ext-diff", "HEAD"],
            capture_output=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return "\n" + run.stdout.decode(errors="replace")


def weights_of(method: ExternalConfig, recipe: Recipe) -> list[tuple[Weight, Path]]:
    """The weights that a recipe needs under the method's options, and where they must
    be.
    """
    base = method.weights or method.path
    root = Path(base) if base else Path(f"(weights of {method.recipe})")
    options = recipe.options | method.options

    def needed(weight: Weight) -> bool:
        return all(str(options.get(name)) == value for name, value in weight.when.items())

    return [(weight, root / weight.path) for weight in recipe.weights if needed(weight)]


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _digest_of(paths: Iterable[Path], digests: Digests) -> str:
    """One digest of names and contents of files; a missing file has an empty content."""
    lines = [f"{path} {digests.of(path) if path.is_file() else ''}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
