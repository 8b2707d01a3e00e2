#!/usr/bin/env bash
# The openai client does not retry at all when a server asks it to wait longer than two minutes.
# Seen with openai 3.54.0: a 429 with `Retry-After: 121` raises RateLimitError after one request although max_retries is 3;
# the same server with `Retry-After: 1` is asked until it answers. A client that is told to wait longer thus waits less.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openai==3.54.0
"$folder/venv/bin/python" - <<'PY'
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

print("openai", openai.__version__)
ANSWER = {"id": "x", "object": "chat.completion", "created": 0, "model": "m",
          "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]}


def ask(wait):
    """What comes of a request to a server that asks twice to wait, the number of requests that it got, and the seconds taken."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(1)
            body = json.dumps(ANSWER if len(requests) > 2 else {"error": {"message": "later"}}).encode()
            self.send_response(200 if len(requests) > 2 else 429)
            self.send_header("Retry-After", str(wait))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=3)
    began = time.monotonic()
    try:
        said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}]).choices[0].message.content
    except openai.OpenAIError as error:
        said = type(error).__name__
    server.shutdown()
    return said, len(requests), time.monotonic() - began


short, long = ask(1), ask(121)
for name, (said, count, seconds) in (("1", short), ("121", long)):
    print(f"Retry-After: {name}: {said!r} after {count} requests and {seconds:.1f} s")
sys.exit(0 if short[:2] == ("hello", 3) and long[:2] == ("RateLimitError", 1) else "the behaviour has changed")
PY
