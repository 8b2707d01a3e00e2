"""Downloads against a loopback server that misbehaves in the ways real ones do."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eadbench.core.errors import EadbenchError
from eadbench.zoo import fetch as fetch_module
from eadbench.zoo.fetch import download, fetch_files
from eadbench.zoo.registry import Entry, RemoteFile, registry

BODY = bytes(range(256)) * 1200
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """``/ok`` serves with ranges, ``/norange`` without, ``/cut`` breaks off the first time, ``/wrong`` serves other bytes the first time."""

    seen: dict = {}

    def do_GET(self):
        count = Handler.seen[self.path] = Handler.seen.get(self.path, 0) + 1
        body = BODY[::-1] if self.path == "/wrong" and count == 1 else BODY
        start = 0
        if "Range" in self.headers and self.path != "/norange":
            start = int(self.headers["Range"].split("=")[1].split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + 70_000 if self.path in ("/cut", "/norange") and count == 1 else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch_module.time, "sleep", lambda seconds: None)
    Handler.seen = {}
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@pytest.mark.parametrize("path", ["ok", "cut", "norange", "wrong"])
def test_ends_with_the_right_bytes(server, tmp_path, path):
    target = tmp_path / "w.bin"
    download(RemoteFile(name="w.bin", url=f"{server}/{path}", sha256=SHA, size=len(BODY)), target)
    assert target.read_bytes() == BODY
    assert Handler.seen[f"/{path}"] == (1 if path == "ok" else 2)
    assert (tmp_path / "w.bin.wrong").exists() == (path == "wrong")


def test_wrong_hash_for_good_names_the_address(server, tmp_path):
    with pytest.raises(EadbenchError, match="sha256 is") as caught:
        download(RemoteFile(name="w.bin", url=f"{server}/ok", sha256="0" * 64), tmp_path / "w.bin", tries=2)
    assert server in str(caught.value)
    assert not (tmp_path / "w.bin").exists()


def test_licence_must_be_accepted(server, tmp_path):
    entry = Entry(kind="vae", title="t", licence="CC-BY-NC", files=[RemoteFile(name="w.bin", url=f"{server}/ok", sha256=SHA)])
    with pytest.raises(EadbenchError, match="not accepted"):
        fetch_files("thing", entry, tmp_path, accepted=[])
    assert Handler.seen == {}
    fetch_files("thing", entry, tmp_path, accepted=["thing"])
    fetch_files("thing", entry, tmp_path, accepted=["thing"])
    assert Handler.seen == {"/ok": 1}, "a file that is there with the right hash is fetched again"


def test_cache_is_used_and_checked(tmp_path):
    entry = Entry(kind="vae", title="t", licence="MIT", files=[RemoteFile(name="w.bin", url="http://127.0.0.1:9/none", sha256=SHA)], manual="by hand")
    with pytest.raises(EadbenchError, match="no direct download"):
        fetch_files("thing", entry, tmp_path / "out", accepted=[])
    (tmp_path / "cache" / "thing").mkdir(parents=True)
    (tmp_path / "cache" / "thing" / "w.bin").write_bytes(BODY)
    fetch_files("thing", entry, tmp_path / "out", accepted=[], cache=tmp_path / "cache")
    assert (tmp_path / "out" / "w.bin").read_bytes() == BODY
    (tmp_path / "cache" / "thing" / "w.bin").write_bytes(BODY[:-1])
    with pytest.raises(EadbenchError, match="sha256 is"):
        fetch_files("thing", entry, tmp_path / "out", accepted=[], cache=tmp_path / "cache")


def test_registry_is_sound():
    for name, entry in registry().items():
        assert entry.licence, name
        assert entry.files or entry.manual or entry.snapshot, name
        assert all(f.url.startswith("http") or entry.manual for f in entry.files), name
