"""Downloads through a server on this machine that cuts, refuses ranges, lies and fails."""

import errno
import gzip
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import requests

from eadbench.core import download as download_module
from eadbench.core.download import download
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.corpora.loopback import RangeHandler, serve

DATA = bytes(range(256)) * 4096  # 1 MiB
MD5 = "md5:" + hashlib.md5(DATA).hexdigest()


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "file.bin").write_bytes(DATA)
    return folder


def get(address, target, **more):
    download(address + "file.bin", target, len(DATA), MD5, wait=0.01, direct=True, **more)


def test_whole(shelf, tmp_path):
    with serve(shelf) as address:
        get(address, tmp_path / "downloads" / "file.bin")
        assert (tmp_path / "downloads" / "file.bin").read_bytes() == DATA
    get(address, tmp_path / "downloads" / "file.bin")  # there already: the server is gone and not asked
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["file.bin"]


class Cutting(RangeHandler):
    """Sends 300 kB and hangs up, each time."""

    ranges = []

    def do_GET(self):  # noqa: N802
        self.ranges.append(self.headers.get("Range"))
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        self.wfile.write(DATA[start : start + 300_000])
        self.close_connection = True


def test_connection_cut_is_resumed(shelf, tmp_path):
    Cutting.ranges = []
    with serve(shelf, Cutting) as address:
        get(address, tmp_path / "file.bin", tries=6)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert Cutting.ranges[0] is None and len(Cutting.ranges) in (4, 5)
    starts = [int(byte_range[6:-1]) for byte_range in Cutting.ranges[1:]]
    assert starts == sorted(starts) and starts[0] > 200_000


class Compressing(RangeHandler):
    """Compresses for whoever lets it, as sites do with text; the first answer is cut in
    the middle.
    """

    count = 0

    def do_GET(self):  # noqa: N802
        type(self).count += 1
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        body = gzip.compress(DATA) if packed else DATA
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(416 if start >= len(body) else 206 if start else 200)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(max(0, len(body) - start)))
        self.end_headers()
        self.wfile.write(body[start : len(body) // 2 if self.count == 1 else None])
        self.close_connection = True


def test_what_a_site_would_compress_is_resumed_whole(shelf, tmp_path):
    """A range counts compressed bytes, the file's length does not."""
    Compressing.count = 0
    with serve(shelf, Compressing) as address:
        download(address + "file.bin", tmp_path / "file.bin", wait=0.01, direct=True)
    assert (tmp_path / "file.bin").read_bytes() == DATA and Compressing.count == 2


class CuttingOnce(SimpleHTTPRequestHandler):
    """No ranges; the first answer is cut."""

    count = 0

    def do_GET(self):
        type(self).count += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA[:1000] if self.count == 1 else DATA)

    def log_message(self, *_):
        pass


def test_server_without_ranges_begins_anew(shelf, tmp_path):
    CuttingOnce.count = 0
    with serve(shelf, CuttingOnce) as address:
        get(address, tmp_path / "file.bin")
    assert CuttingOnce.count == 2 and (tmp_path / "file.bin").read_bytes() == DATA


def test_wrong_md5_is_kept_aside_and_fetched_again(shelf, tmp_path):
    (tmp_path / "file.bin.partial").write_bytes(b"x" * 1000)  # what another file's download left
    with serve(shelf) as address:
        get(address, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert (tmp_path / "file.bin.wrong").read_bytes()[:1000] == b"x" * 1000


def test_always_wrong_fails_and_leaves_nothing_under_the_final_name(shelf, tmp_path):
    (shelf / "file.bin").write_bytes(DATA[::-1])
    with serve(shelf) as address, pytest.raises(EadbenchError, match=r"after 2 tries.*md5"):
        get(address, tmp_path / "file.bin", tries=2)
    assert not (tmp_path / "file.bin").exists()


def test_two_runs_at_once_fetch_once(shelf, tmp_path, monkeypatch):
    """The others wait for the first and find the file there; nothing is left but the
    file.
    """
    paths, waiting = [], threading.Semaphore(0)
    monkeypatch.setattr(download_module.log, "info", lambda *_: waiting.release())  # said by whoever waits

    class Slow(RangeHandler):
        def send_head(self):
            paths.append(self.path)
            assert all(waiting.acquire(timeout=10) for _ in range(3))
            return super().send_head()

    with serve(shelf, Slow) as address, ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(get, address, tmp_path / "out" / "file.bin") for _ in range(4)]
        assert [run.result() for run in runs] == [None] * 4
    assert len(paths) == 1
    assert (tmp_path / "out" / "file.bin").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file.bin"]


def test_missing_is_not_tried_again(shelf, tmp_path):
    with serve(shelf) as address, pytest.raises(EadbenchError, match=r"refuses.*404"):
        download(address + "nothing.bin", tmp_path / "x", wait=60, direct=True)


def test_disk_full_is_said_so(shelf, tmp_path, monkeypatch):
    real = Path.open

    class Full:
        def __init__(self, handle):
            self.handle = handle

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.handle.close()

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r", *a, **k: (
            Full(real(self, mode)) if "b" in mode and mode != "rb" else real(self, mode, *a, **k)
        ),
    )
    with serve(shelf) as address, pytest.raises(FatalError, match="disk is full"):
        get(address, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()


def test_the_server_serves_ranges_and_nothing_outside(shelf):
    (shelf.parent / "secret").write_text("secret")
    with serve(shelf) as address:
        part = requests.get(address + "file.bin", headers={"Range": "bytes=10-19"}, timeout=5)
        assert (
            part.status_code == 206
            and part.content == DATA[10:20]
            and part.headers["Content-Range"] == f"bytes 10-19/{len(DATA)}"
        )
        assert (
            requests.get(
                address + "file.bin", headers={"Range": f"bytes={len(DATA)}-"}, timeout=5
            ).status_code
            == 416
        )
        assert requests.get(address + "%2e%2e/secret", timeout=5).status_code == 404
