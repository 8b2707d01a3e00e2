"""Official weights from a server on this machine; how downloads survive broken and wrong
answers is shown in tests/corpora/test_download.py.
"""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eadbench.core import download as download_module
from eadbench.core.errors import EadbenchError
from eadbench.zoo.fetch import fetch_files
from eadbench.zoo.registry import Entry, RemoteFile, registry

BODY = bytes(range(256)) * 1200
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the body and counts who asks."""

    seen: dict = {}
    body = BODY

    def do_GET(self):
        Handler.seen[self.path] = Handler.seen.get(self.path, 0) + 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("EADBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download_module.time, "sleep", lambda seconds: None)
    Handler.seen = {}
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def entry_of(server: str, sha256: str | None = SHA, size: int | None = None) -> Entry:
    return Entry(
        kind="vae",
        title="t",
        licence="CC-BY-NC",
        files=[RemoteFile(name="w.bin", url=f"{server}/ok", sha256=sha256, size=size)],
    )


@pytest.mark.parametrize(("sha256", "size"), [(SHA, len(BODY)), (None, len(BODY)), (None, None)])
def test_ends_with_the_right_bytes(server, tmp_path, sha256, size):
    fetch_files("thing", entry_of(server, sha256, size), tmp_path, accepted=["thing"])
    assert (tmp_path / "w.bin").read_bytes() == BODY


def test_without_a_published_hash_the_first_file_is_trusted_with_a_warning_and_no_other(
    server, tmp_path, caplog, monkeypatch
):
    entry = entry_of(server, None)
    fetch_files("thing", entry, tmp_path / "a", accepted=["thing"])
    note = tmp_path / "cache/weights/thing/w.bin.first.json"
    assert "trusted as it came" in caplog.text and SHA in caplog.text and SHA in note.read_text()
    caplog.clear()
    fetch_files("thing", entry, tmp_path / "b", accepted=["thing"])
    assert "trusted" not in caplog.text
    monkeypatch.setattr(Handler, "body", BODY[::-1])
    with pytest.raises(EadbenchError, match="that thing was at first") as caught:
        fetch_files("thing", entry, tmp_path / "c", accepted=["thing"])
    assert str(note) in str(caught.value) and not (tmp_path / "c/w.bin").exists()
    note.unlink()
    fetch_files("thing", entry, tmp_path / "c", accepted=["thing"])
    assert "trusted as it came" in caplog.text


def test_a_cached_file_is_compared_with_the_first_one_too(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("EADBENCH_CACHE", str(tmp_path / "cache"))
    entry = entry_of("http://127.0.0.1:9", None)
    cached_file = tmp_path / "cache/weights/thing/w.bin"
    cached_file.parent.mkdir(parents=True)
    cached_file.write_bytes(b"first")
    fetch_files("thing", entry, tmp_path / "a", accepted=[])
    assert (tmp_path / "a/w.bin").read_bytes() == b"first" and "trusted as it came" in caplog.text
    cached_file.write_bytes(b"second")
    with pytest.raises(EadbenchError, match="that thing was at first"):
        fetch_files("thing", entry, tmp_path / "b", accepted=[])


def test_wrong_hash_for_good_names_the_address_and_keeps_the_file_aside(server, tmp_path):
    with pytest.raises(EadbenchError, match="sha256 is") as caught:
        fetch_files("thing", entry_of(server, "0" * 64), tmp_path, accepted=["thing"])
    assert server in str(caught.value)
    assert not (tmp_path / "w.bin").exists() and (tmp_path / "w.bin.wrong").read_bytes() == BODY


def test_licence_must_be_accepted(server, tmp_path):
    entry = entry_of(server)
    with pytest.raises(EadbenchError, match="not accepted"):
        fetch_files("thing", entry, tmp_path, accepted=[])
    assert Handler.seen == {}
    fetch_files("thing", entry, tmp_path, accepted=["thing"])
    fetch_files("thing", entry, tmp_path, accepted=["thing"])
    assert Handler.seen == {"/ok": 1}, "a file that is there with the right hash is fetched again"


def test_cache_is_used_and_checked(tmp_path):
    entry = Entry(
        kind="vae",
        title="t",
        licence="MIT",
        files=[RemoteFile(name="w.bin", url="http://127.0.0.1:9/none", sha256=SHA)],
        manual="by hand",
    )
    with pytest.raises(EadbenchError, match="no direct download"):
        fetch_files("thing", entry, tmp_path / "out", accepted=[])
    (tmp_path / "cache" / "thing").mkdir(parents=True)
    (tmp_path / "cache" / "thing" / "w.bin").write_bytes(BODY)
    fetch_files("thing", entry, tmp_path / "out", accepted=[], cache=tmp_path / "cache")
    assert (tmp_path / "out" / "w.bin").read_bytes() == BODY
    (tmp_path / "cache" / "thing" / "w.bin").write_bytes(BODY[:-1])
    with pytest.raises(EadbenchError, match="sha256 is"):
        fetch_files("thing", entry, tmp_path / "out", accepted=[], cache=tmp_path / "cache")


def test_registry_is_valid():
    for name, entry in registry().items():
        assert entry.licence, name
        assert entry.files or entry.manual or entry.snapshot, name
        assert all(f.url.startswith("http") or entry.manual for f in entry.files), name
