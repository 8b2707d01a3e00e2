"""A server on this machine in the place of the homes of published weights: single
files, and the hub's interface for whole repositories.

Whoever fetches is told of it by two variables of the environment, ``EADBENCH_REGISTRY``
(addresses and hashes) and ``HF_ENDPOINT`` (the hub).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from eadbench.corpora.loopback import RangeHandler, serve
from eadbench.zoo.registry import Entry, registry

# begins the ids of weights drawn at random, so that no table can show them as the
# published ones
MARK = "random-"


@cache
def sha256(path: Path) -> str:
    """Remembered beside the file, since gigabytes take a while."""
    note = path.with_name(f".{path.name}.sha256")
    if note.exists() and note.stat().st_mtime >= path.stat().st_mtime:
        return note.read_text()
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    note.write_text(found)
    return found


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


class HubHandler(RangeHandler):
    """``/ID/FILE`` are files. ``/api/models/REPO/revision/COMMIT``,
    ``/api/models/REPO/tree/COMMIT`` and ``/REPO/resolve/COMMIT/FILE`` answer as the
    Hugging Face hub does, for the repositories and commits of the registry.
    """

    def do_GET(self) -> None:  # noqa: N802, the standard library's name
        if (found := self._repository("/api/models/", "/revision/")) is not None:
            folder, repo, commit, _ = found
            siblings = [{"rfilename": path.name} for path in files_of(folder)]
            facts = {
                "id": repo,
                "modelId": repo,
                "sha": commit,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
            }
            self._send_json(facts)
        elif (found := self._repository("/api/models/", "/tree/")) is not None:
            self._send_json(
                [
                    {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": sha256(p)[:40]}
                    for p in files_of(found[0])
                ]
            )
        else:
            super().do_GET()

    def _send_json(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """The hub's headers of a file."""
        found = self._repository("/", "/resolve/")
        if found is not None:
            folder, _, commit, name = found
            self.send_header("X-Repo-Commit", commit)
            if (folder / name).is_file():
                self.send_header("ETag", f'"{sha256(folder / name)}"')
        super().end_headers()

    def translate_path(self, path: str) -> str:
        found = self._repository("/", "/resolve/")
        return str(found[0] / found[3]) if found else super().translate_path(path)

    def _repository(self, before: str, between: str) -> tuple[Path, str, str, str] | None:
        """Folder, repository, commit and file of an address, if it is one of the hub's."""
        path = unquote(self.path).partition("?")[0]
        if not path.startswith(before) or between not in path:
            return None
        repo, _, rest = path.removeprefix(before).partition(between)
        commit, _, name = rest.partition("/")
        for known, entry in published().items():
            if entry.snapshot and (entry.snapshot.repo, entry.snapshot.revision) == (repo, commit):
                return Path(self.directory) / known, repo, commit, name
        return None


@cache
def published() -> dict[str, Entry]:
    """The package's own registry."""
    before = os.environ.pop("EADBENCH_REGISTRY", None)
    try:
        return registry()
    finally:
        if before is not None:
            os.environ["EADBENCH_REGISTRY"] = before


def overlay(folder: Path, address: str, mark: str = MARK) -> dict[str, Any]:
    """Entries for the registry of what lies in ``folder/ID``: everything as published
    but addresses, sizes and hashes, the latter the files' own.

    Args:
        folder: Folder of the ids.
        address: Where it is served, ending in ``/``.
        mark: Begins the new ids; empty replaces the published ones.
    """
    found = {}
    for name, entry in published().items():
        here = folder / name
        if not here.is_dir():
            continue
        facts = entry.model_dump(exclude_none=True)
        facts["title"] = f"{entry.title}: random weights in its format, for rehearsal"
        for remote in facts["files"]:
            path = here / remote["name"]
            remote |= {
                "url": f"{address}{name}/{path.name}",
                "size": path.stat().st_size,
                "sha256": sha256(path),
            }
            if "archive" in remote:
                packed = next(one for one in files_of(here) if one.suffix == ".zip")
                remote["url"] = f"{address}{name}/{packed.name}"
                remote["archive"] |= {"sha256": sha256(packed), "size": packed.stat().st_size}
        found[mark + name] = facts
    return found


@contextmanager
def hub(folder: Path, mark: str = MARK) -> Iterator[dict[str, str]]:
    """Serve what lies in ``folder/ID``; yields the variables of the environment that
    lead there.
    """
    with serve(folder, HubHandler) as address:
        path = folder / "registry.yaml"
        path.write_text(yaml.safe_dump(overlay(folder, address, mark)))
        yield {
            "EADBENCH_REGISTRY": str(path),
            "HF_ENDPOINT": address.rstrip("/"),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }
