"""What a method of the user's reads, by content: finished videos, programs, recipes,
checkouts, weights.

Neither the configuration nor an earlier job tells of them, yet results depend on them.
The workflow asks while it plans, so that nothing large is imported here; hashes of
files are remembered by size and time of change.
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
        cache: JSON file that remembers them from one planning to the next; ``None``
            remembers nothing.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache
        self._known: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._known = json.loads(cache.read_text(encoding="utf-8")) if cache else {}

    def of(self, path: Path) -> str:
        """sha256 of a file."""
        found = path.stat()
        state = [found.st_size, found.st_mtime_ns, found.st_ino]
        key = str(path.resolve())
        if self._known.get(key, [None])[:-1] != state:
            self._known[key] = [*state, sha256_of(path)]
            self._save()
        return self._known[key][-1]

    def _save(self) -> None:
        if self.cache:
            try:
                write_text(self.cache, json.dumps(self._known))
            except OSError:
                self.cache = None  # a place where nothing can be written: hashed anew the next time


def reads(method: BaseMethodConfig, corpus: str, protocol: str, digests: Digests) -> dict[str, str]:
    """Digests of all that a method reads for a cell beside its inputs and settings;
    empty for those of this workflow.

    Args:
        method: Of the configuration.
        corpus, protocol: The cell.
        digests: Where hashes are remembered.
    """
    if isinstance(method, VideosConfig):
        folder = Path(method.path.replace("{corpus}", corpus).replace("{protocol}", protocol))
        found = {"mapping": _of([Path(method.mapping)], digests)} if method.mapping else {}
        # else an earlier job's table tells of them
        return found if method.after else found | {"videos": _of(_below(folder), digests)}
    if isinstance(method, CommandConfig):
        named = dict(programs(method))
        found = {word: digests.of(path) for word, path in named.items()}
        if method.reads is not None:
            return found | {path: _content(Path(path).expanduser(), digests) for path in method.reads}
        homes = dict.fromkeys(filter(None, map(repository_of, named.values())))
        return found | {f"checkout {home}": _content(home, digests) for home in homes if home != CHECKOUT}
    if isinstance(method, ExternalConfig):
        recipe, text = load_recipe(method.recipe)
        weights = [
            file
            for _, path in weights_of(method, recipe)
            for file in ([path] if path.is_file() else _below(path))
        ]
        ours = (
            [WORKER, *([folder_of(method.recipe) / recipe.worker.adapter] if recipe.worker.adapter else [])]
            if recipe.worker
            else []
        )
        return {
            "recipe": hashlib.sha256(text.encode()).hexdigest(),
            "checkout": hashlib.sha256(
                f"{commit_of(method.path)}{changes_of(method.path)}".encode()
            ).hexdigest(),
            "weights": _of(weights, digests),
            "worker": _of(ours, digests),
        }
    return {}


def programs(method: CommandConfig) -> Iterator[tuple[str, Path]]:
    """Files that the words of a command name: the program, scripts, and what options
    such as ``--model=FILE`` point to.
    """
    home = Path(method.cwd) if method.cwd and not placeholders(method.cwd) else Path()
    for number, word in enumerate(split(method.command, "command")):
        name = word.replace("{checkout}", str(CHECKOUT)).rpartition("=")[2]
        if placeholders(name):
            continue
        path = home / name
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


def _content(path: Path, digests: Digests) -> str:
    """Digest of a file or a folder; of a checkout, its commit and the changes of
    tracked files.
    """
    if commit := commit_of(str(path)):
        return hashlib.sha256(f"{commit}{changes_of(str(path))}".encode()).hexdigest()
    return _of([path] if path.is_file() else _below(path), digests)


def commit_of(checkout: str | None) -> str | None:
    """Commit of a checkout; nothing if the folder is no checkout of its own."""
    if not checkout:
        return None
    try:
        command = ["git", "-C", checkout, "rev-parse", "--show-toplevel", "HEAD"]
        top, commit = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=30
        ).stdout.split("\n")[:2]
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
    lie.
    """
    base = method.weights or method.path
    root = Path(base) if base else Path(f"(weights of {method.recipe})")
    options = recipe.options | method.options
    return [
        (w, root / w.path) for w in recipe.weights if all(str(options.get(k)) == v for k, v in w.when.items())
    ]


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _of(paths: Iterable[Path], digests: Digests) -> str:
    """One digest of files, their names included; those that are not there count as
    such.
    """
    lines = [f"{path} {digests.of(path) if path.is_file() else ''}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
