"""Official weights: terms, then the files from the user's cache or the network."""

import json
import logging
import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path

from eadbench.core.download import download, integrity_error
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, nature, sha256_of, write_text
from eadbench.zoo.registry import Entry, RemoteFile, cached_folder, user_cache

log = logging.getLogger(__name__)
ALL = "all"
TRIES = 4
# After the name of a file whose hash nobody publishes: what the first download was.
FIRST = ".first.json"


def fetch_files(
    name: str, entry: Entry, folder: Path, accepted: Collection[str], cache: Path | None = None
) -> None:
    """Fetch all files of a registry entry into ``folder``; files that are there with
    the right hash are left alone.

    Args:
        name: Id of the entry.
        entry: The entry.
        folder: Target folder.
        accepted: Ids whose licence the user accepted; ``all`` for all.
        cache: Folder in which the user has weights already, looked into before
            :func:`user_cache`: ``cache/{id}/{file}`` is copied instead of downloaded.

    Raises:
        EadbenchError: If the licence was not accepted, no direct download exists, or a
            download fails.
    """
    log.info("%s: %s. Licence: %s %s %s", name, entry.title, entry.licence, entry.licence_url, entry.note)
    if entry.snapshot:
        fetch_snapshot(name, entry, folder, accepted, cache)
        return
    if (cached := cached_folder(name, entry, cache)) is not None:
        for remote in entry.files:
            path = cached / remote.name
            check_file(name, remote, path)
            if path.resolve() != (folder / remote.name).resolve():
                with atomic_path(folder / remote.name) as part:
                    shutil.copyfile(path, part)
        return
    if entry.manual:
        raise EadbenchError(f"{name} has no direct download", entry.manual, manual_hint(name, entry))
    check_accepted(name, entry, accepted)
    for remote in entry.files:
        _fetch(name, remote, folder)


def manual_hint(name: str, entry: Entry) -> str:
    """Which files to put where, for weights that no program can fetch."""
    return f"get {', '.join(f.name for f in entry.files)} by hand and put it into {user_cache() / name}"


def check_file(name: str, remote: RemoteFile, path: Path) -> None:
    """Whether a file is the published one; where nobody knows its hash, the one that
    this user had first.

    Raises:
        EadbenchError: If it is another, a web page or a git-lfs pointer.
    """
    fault = nature(path) or integrity_error(path, remote.size, remote.checksum)
    if fault:
        raise EadbenchError(
            f"not the file that {name} is: {fault}", path, "put the published file there, or remove it"
        )
    if remote.checksum is None:
        _check_against_first_download(name, remote, path)


def _check_against_first_download(name: str, remote: RemoteFile, path: Path) -> None:
    """Take the first file from an address as the right one, with a warning; record its
    hash beside the user's weights and refuse another one from then on.
    """
    record_path = user_cache() / name / f"{remote.name}{FIRST}"
    current = {"url": remote.url, "sha256": sha256_of(path)}
    try:
        first = json.loads(record_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        first = None
    if first is not None and first["url"] == remote.url:
        if first["sha256"] != current["sha256"]:
            raise EadbenchError(
                f"not the {remote.name} that {name} was at first: its sha256 is {current['sha256']}, it was "
                f"{first['sha256']}, and nobody has published the right one",
                path,
                f"remove the file and fetch it again; to trust the new one, delete {record_path}",
            )
        return
    log.warning(
        "%s: no sha256 of %s is published, so it is trusted as it came: %s (noted in %s)",
        name,
        remote.name,
        current["sha256"],
        record_path,
    )
    try:
        record_path.parent.mkdir(parents=True, exist_ok=True)
        write_text(record_path, json.dumps(current) + "\n")
    except OSError as error:
        log.warning("%s: the hash of %s cannot be noted: %s", name, remote.name, error)


def _fetch(name: str, remote: RemoteFile, folder: Path) -> None:
    target = folder / remote.name
    if remote.archive is None:
        download(remote.url, target, remote.size, remote.checksum, TRIES)
        _refuse_other_content(remote, target)
        try:
            check_file(name, remote, target)
        except EadbenchError:
            target.replace(target.with_name(f"{target.name}.wrong"))
            raise
        return
    if target.exists() and not integrity_error(target, remote.size, remote.checksum):
        return
    archive_path = folder / remote.url.rpartition("/")[2]
    download(
        remote.url,
        archive_path,
        remote.archive.size,
        f"sha256:{remote.archive.sha256}" if remote.archive.sha256 else None,
        TRIES,
    )
    _refuse_other_content(remote, archive_path)
    try:
        with zipfile.ZipFile(archive_path) as archive:
            members = [m for m in archive.namelist() if m.rpartition("/")[2] == remote.archive.member]
            if not members:
                raise EadbenchError(
                    f"the archive of {name} holds no {remote.archive.member}",
                    archive_path,
                    "delete it and fetch it again",
                )
            with atomic_path(target) as part, archive.open(members[0]) as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    except zipfile.BadZipFile as error:
        raise EadbenchError(
            f"the archive of {name} is damaged: {error}", archive_path, "delete it and fetch it again"
        ) from error
    check_file(name, remote, target)
    archive_path.unlink()


def _refuse_other_content(remote: RemoteFile, path: Path) -> None:
    """A file of unknown hash and size could be anything."""
    if content := nature(path):
        path.unlink()
        raise EadbenchError(
            f"what came is {content}",
            remote.url,
            f"open the address in a browser, or put the file at {path}",
        )


def check_accepted(name: str, entry: Entry, accepted: Collection[str]) -> None:
    """Whether the user accepted the terms.

    Raises:
        EadbenchError: If not.
    """
    if name not in accepted and ALL not in accepted:
        what = f"the licence of {name} ({entry.licence}) was not accepted"
        hint = (
            f"read it, then add --accept-licence {name}; in a configuration, `zoo: accept_licence: [{name}]`"
        )
        raise EadbenchError(what, entry.licence_url, hint)


def fetch_snapshot(
    name: str, entry: Entry, folder: Path, accepted: Collection[str], cache: Path | None = None
) -> None:
    """Fetch the wanted files of a hub repository at its pinned commit; a broken
    download is continued. ``cache/{id}/`` is copied instead, if it is there.

    Files lie in ``{folder}.partial`` until all of them are there, so that half a model
    is never taken for a whole one.

    Raises:
        EadbenchError: If the licence was not accepted or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    snapshot = entry.snapshot
    if (cached := cached_folder(name, entry, cache)) is not None:
        if cached.resolve() != folder.resolve():
            shutil.copytree(cached, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("card.json"))
        return
    check_accepted(name, entry, accepted)
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        snapshot_download(
            snapshot.repo, revision=snapshot.revision, allow_patterns=snapshot.patterns, local_dir=partial
        )
    except (
        HfHubHTTPError,
        OSError,
        ValueError,
    ) as error:  # network errors of requests and httpx are among them
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise EadbenchError(
            f"download failed: {first_line}",
            snapshot.url,
            f"check the network, or put the files into {user_cache() / name}",
        ) from error
    # the hub's own records, by which a broken download is continued
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    # config.json last: with it the folder counts as complete
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        shutil.rmtree(folder / path.name, ignore_errors=True)
        path.replace(folder / path.name)
    partial.rmdir()
