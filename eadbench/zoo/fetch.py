"""Download with resume, retries and hashes."""

import logging
import shutil
import time
from pathlib import Path

import requests

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, sha256_of
from eadbench.core.progress import track
from eadbench.zoo.registry import Entry, RemoteFile

log = logging.getLogger(__name__)
BLOCK = 1 << 20
TIMEOUT = (10, 60)


def fetch_files(name: str, entry: Entry, folder: Path, accepted: list[str], cache: Path | None = None) -> None:
    """Fetch all files of a registry entry into ``folder``; files that are there with the right hash are left alone.

    Args:
        name: Id of the entry.
        entry: The entry.
        folder: Target folder.
        accepted: Ids whose licence the user accepted.
        cache: Folder in which the user keeps weights already: ``cache/{id}/{file}`` is copied instead of downloaded.

    Raises:
        EadbenchError: If the licence was not accepted, no direct download exists, or a download fails.
    """
    log.info("%s: %s. Licence: %s %s %s", name, entry.title, entry.licence, entry.licence_url, entry.note)
    if entry.snapshot:
        fetch_snapshot(name, entry, folder, accepted, cache)
        return
    local = [cache / name / f.name for f in entry.files] if cache else []
    if local and all(p.exists() for p in local):
        for remote, path in zip(entry.files, local, strict=True):
            _check(path, remote)
            with atomic_path(folder / remote.name) as part:
                shutil.copyfile(path, part)
        return
    if entry.manual:
        names = ", ".join(f.name for f in entry.files)
        raise EadbenchError(f"{name} has no direct download", entry.manual, f"get {names} by hand into <zoo.cache>/{name}/ and set `zoo: cache:`")
    _check_accepted(name, entry, accepted)
    for remote in entry.files:
        target = folder / remote.name
        if target.exists() and remote.sha256 and sha256_of(target) == remote.sha256:
            continue
        download(remote, target)


def _check_accepted(name: str, entry: Entry, accepted: list[str]) -> None:
    if name not in accepted:
        raise EadbenchError(
            f"the licence of {name} ({entry.licence}) was not accepted", entry.licence_url, f"read it, then add {name} to `zoo: accept_licence:`"
        )


def fetch_snapshot(name: str, entry: Entry, folder: Path, accepted: list[str], cache: Path | None = None) -> None:
    """Fetch the wanted files of a hub repository at its pinned commit; a broken download goes on. ``cache/{id}/`` is copied instead, if it is there.

    Raises:
        EadbenchError: If the licence was not accepted or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    snapshot = entry.snapshot
    if cache and (cache / name / "config.json").exists():
        shutil.copytree(cache / name, folder, dirs_exist_ok=True)
        return
    _check_accepted(name, entry, accepted)
    try:
        snapshot_download(snapshot.repo, revision=snapshot.revision, allow_patterns=snapshot.patterns, local_dir=folder)
    except (HfHubHTTPError, OSError, ValueError) as error:  # requests' and httpx's errors of the network are among them
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        mend = f"check the network, or put the files into <zoo.cache>/{name}/ and set `zoo: cache:`"
        raise EadbenchError(f"download failed: {first}", snapshot.url, mend) from error
    finally:
        shutil.rmtree(folder / ".cache", ignore_errors=True)


def download(remote: RemoteFile, target: Path, tries: int = 4) -> None:
    """Fetch one file; a partial download is resumed where the server allows it, a wrong hash is kept aside and fetched once more.

    Raises:
        EadbenchError: If it fails ``tries`` times.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    for attempt in range(1, tries + 1):
        try:
            _stream(remote, partial)
            _check(partial, remote)
            partial.replace(target)
            return
        except (requests.RequestException, OSError, EadbenchError) as error:
            log.warning("%s, try %d of %d: %s", remote.url, attempt, tries, error)
            if isinstance(error, EadbenchError) and partial.exists():
                partial.replace(target.with_name(target.name + ".wrong"))
            if attempt == tries:
                raise EadbenchError(f"download failed: {error}", remote.url, f"check the network, or put the file at {target}") from error
            time.sleep(min(2**attempt, 30) * 0.25)


def _stream(remote: RemoteFile, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing left to fetch
            return
        answer.raise_for_status()
        resumed = answer.status_code == 206
        expected = int(answer.headers.get("Content-Length", 0)) + (have if resumed else 0)
        with partial.open("ab" if resumed else "wb") as handle:
            for block in track(answer.iter_content(BLOCK), f"fetch {remote.name}", unit="MiB"):
                handle.write(block)
        if expected and partial.stat().st_size != expected:
            raise OSError(f"connection cut: {partial.stat().st_size} of {expected} bytes")


def _check(path: Path, remote: RemoteFile) -> None:
    if remote.size and path.stat().st_size != remote.size:
        raise EadbenchError(f"size is {path.stat().st_size}, expected {remote.size}", path)
    if remote.sha256 and (found := sha256_of(path)) != remote.sha256:
        raise EadbenchError(f"sha256 is {found}, expected {remote.sha256}", path)
