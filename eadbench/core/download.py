"""Download one file: resumed, retried, checked."""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import requests

from eadbench.core.errors import EadbenchError
from eadbench.core.files import disk_is_full, full_disk, nature
from eadbench.core.progress import track

log = logging.getLogger(__name__)
BLOCK = 1 << 16  # a cut connection costs at most this much
TIMEOUT = (10, 60)
LONGEST_WAIT = 60.0
FEWEST_DIGITS = 8  # of a checksum, as file names hold them


def download(
    url: str,
    target: Path,
    size: int | None = None,
    checksum: str | None = None,
    tries: int = 5,
    wait: float = 1.0,
    direct: bool = False,
) -> None:
    """Fetch ``url`` to ``target``.

    A partial download lies at ``target.partial`` and is continued where the server
    allows it, else begun anew. A file with a wrong size or hash is kept aside as
    ``target.wrong`` and fetched again. ``Retry-After`` of a busy server is obeyed. A
    file that another process is fetching is waited for.

    Args:
        url: Address.
        target: Where the file goes once it is whole; an existing one of the right hash
            is left alone.
        size: Bytes expected.
        checksum: ``md5:HEX`` or ``sha256:HEX``; the first eight digits or more do.
        tries: Tries in all.
        wait: Seconds before the second try; doubled each time.
        direct: Go past any proxy of the environment (for servers on this machine).

    Raises:
        EadbenchError: When the tries are used up, or the server says that there is no
            such file.
        FatalError: When the disk is full.
    """

    def is_complete() -> bool:
        return target.exists() and bool(size or checksum) and not integrity_error(target, size, checksum)

    if is_complete():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target), requests.Session() as session:
        if not is_complete():
            _fetch(session, url, target, size, checksum, tries, wait, direct)


def _fetch(
    session: requests.Session,
    url: str,
    target: Path,
    size: int | None,
    checksum: str | None,
    tries: int,
    wait: float,
    direct: bool,
) -> None:
    partial = target.with_name(target.name + ".partial")
    session.trust_env = not direct
    for attempt in range(1, tries + 1):
        pause = min(wait * 2 ** (attempt - 1), LONGEST_WAIT)
        try:
            _stream(session, url, partial)
            mismatch = integrity_error(partial, size, checksum)
            if not mismatch:
                partial.replace(target)
                return
            if content := nature(partial):
                partial.unlink()
                raise EadbenchError(
                    f"what came is {content}",
                    url,
                    f"open the address in a browser, or put the file at {target}",
                )
            partial.replace(target.with_name(target.name + ".wrong"))
            failure: object = f"{mismatch}; kept as {target.name}.wrong"
        except requests.HTTPError as error:
            failure = error
            if error.response.status_code in (401, 403, 404, 410):
                raise EadbenchError(
                    f"the server refuses: {error}", url, f"check the address, or put the file at {target}"
                ) from error
            pause = max(pause, _retry_after(error.response))
        except OSError as error:  # requests' exceptions are OSErrors, too
            if disk_is_full(error, target.parent):
                raise full_disk(partial) from error
            failure = error
        log.warning("%s, try %d of %d: %s", url, attempt, tries, failure)
        if attempt < tries:
            time.sleep(pause)
    raise EadbenchError(
        f"download failed after {tries} tries: {failure}",
        url,
        f"check the network, or put the file at {target}",
    )


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the lock of a file to fetch; two processes that append to one partial file
    would damage it. Some network disks have no locks.
    """
    path = target.with_name(f".{target.name}.lock")
    while True:
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another run is fetching %s, waiting for it", target)
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                log.debug("no lock on %s: %s", path, error)
            if not _is_same_file(path, handle):  # its last holder removed it while we waited
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_same_file(path: Path, handle: IO) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle.fileno()).st_ino
    except FileNotFoundError:
        return False


def integrity_error(path: Path, size: int | None, checksum: str | None) -> str:
    """What is wrong with a file; empty if nothing is."""
    if size is not None and path.stat().st_size != size:
        return f"it has {path.stat().st_size} bytes, expected {size}"
    if checksum:
        kind, _, expected = checksum.partition(":")
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, kind).hexdigest()
        if not digest.startswith(expected.lower()) or len(expected) < FEWEST_DIGITS:
            return f"its {kind} is {digest}, expected {expected}"
    return ""


def _stream(session: requests.Session, url: str, partial: Path) -> None:
    present = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # ranges and lengths are of what is sent
    if present:
        headers["Range"] = f"bytes={present}-"
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # nothing left to fetch
            return
        response.raise_for_status()
        resumed = response.status_code == 206
        length = int(response.headers.get("Content-Length") or 0)
        expected = length + (present if resumed else 0)
        with partial.open("ab" if resumed else "wb") as handle:
            blocks = -(-length // BLOCK) or None
            for block in track(response.iter_content(BLOCK), f"fetch {partial.stem}", blocks, "x 64 KiB"):
                handle.write(block)
    if expected and partial.stat().st_size < expected:
        raise OSError(f"connection cut after {partial.stat().st_size} of {expected} bytes")


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_WAIT) if text.isdigit() else 0.0
