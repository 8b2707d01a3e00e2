"""Official weights: terms, then the files from the user's cache or the network."""

import logging
import shutil
from pathlib import Path

from eadbench.core.download import complaint, download
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.zoo.registry import Entry, RemoteFile

log = logging.getLogger(__name__)


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
            if fault := complaint(path, remote.size, _checksum(remote)):
                raise EadbenchError(f"not the file that {name} is: {fault}", path, "put the published file there, or take it away")
            with atomic_path(folder / remote.name) as part:
                shutil.copyfile(path, part)
        return
    if entry.manual:
        names = ", ".join(f.name for f in entry.files)
        raise EadbenchError(f"{name} has no direct download", entry.manual, f"get {names} by hand into <zoo.cache>/{name}/ and set `zoo: cache:`")
    _check_accepted(name, entry, accepted)
    for remote in entry.files:
        download(remote.url, folder / remote.name, remote.size, _checksum(remote))


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


def _checksum(remote: RemoteFile) -> str | None:
    return f"sha256:{remote.sha256}" if remote.sha256 else None
