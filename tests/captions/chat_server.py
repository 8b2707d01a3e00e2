"""A loopback server with ``/v1/chat/completions`` whose answers a test scripts."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD = json.dumps(
    {
        "description": "The mouth corners are pulled up and the eyes are narrowed.",
        "emotion": "happy",
        "intensity": 0.7,
        "confidence": 0.9,
    }
)


class ChatServer:
    """``script(number, body)`` gives the answer to the number-th request: text, an int
    status, ``"hang"``, ``"drop"``, ``"drip"`` (headers without end), bytes sent as they
    are, or ``(status, headers, chunks, seconds between them)``.
    """

    def __init__(self) -> None:
        self.script: Callable[[int, dict], object] = lambda number, body: GOOD
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def __enter__(self) -> "ChatServer":
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.http.shutdown()
        self.http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    number = len(server.bodies)
                    server.bodies.append(body)
                    server.headers.append({name.lower(): value for name, value in self.headers.items()})
                    server.busy += 1
                    server.most_busy = max(server.most_busy, server.busy)
                try:
                    self._answer(server.script(number, body))
                finally:
                    with server.lock:
                        server.busy -= 1

            def _answer(self, what: object) -> None:
                if what == "hang":
                    server.over.wait(20)
                elif what == "drop":
                    self.connection.close()
                elif what == "drip":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    self._drip([b"x"] * 200, 0.1)
                elif isinstance(what, tuple):
                    status, headers, chunks, pause = what
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self._drip(chunks, pause)
                elif isinstance(what, int):
                    self._send(
                        what,
                        json.dumps(
                            {"error": {"message": f"scripted {what}, key {self.headers['Authorization']}"}}
                        ).encode(),
                    )
                elif isinstance(what, bytes):
                    self._send(200, what)
                else:
                    message = {"role": "assistant", "content": what}
                    choice = {"index": 0, "finish_reason": "stop", "message": message}
                    content = {
                        "id": "x",
                        "object": "chat.completion",
                        "created": int(time.time()),
                        "model": "tiny",
                        "choices": [choice],
                    }
                    self._send(200, json.dumps(content).encode())

            def _drip(self, chunks: Iterable[bytes], pause: float) -> None:
                try:
                    for chunk in chunks:
                        self.wfile.write(chunk)
                        self.wfile.flush()
                        if pause and server.over.wait(pause):
                            break
                except OSError:  # the client has gone
                    pass

            def _send(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
