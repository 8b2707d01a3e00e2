import base64
import itertools
import json
import logging
import os
import resource
import subprocess
import sys
import time
from email.utils import formatdate

import chat_server
import pytest

from eadbench.captions import endpoint
from eadbench.captions.config import CaptionsConfig
from eadbench.captions.endpoint import EndpointCaptioner
from eadbench.captions.write import write_captions
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_rows, read_table

SECRET = "sk-very-secret-123"


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    """The waits between tries, shortened."""
    monkeypatch.setattr(endpoint, "FIRST_WAIT", 0.01)


def config(server, **endpoint):
    block = {"base_url": server.url, "model": "tiny", "timeout": 5, "tries": 2, "concurrency": 3, **endpoint}
    return CaptionsConfig(captioner="endpoint", frames=2, endpoint=block)


def describe(server, clips_path, **endpoint):
    captioner = EndpointCaptioner(config(server, **endpoint))
    return {o.clip_id: o for o in captioner.describe(list(read_rows(clips_path, schemas.CLIPS)))}


def test_good_server_gives_a_table(server, tiny_clips, tmp_path):
    write_captions(tiny_clips, "tiny", "0-of-1", config(server), {}, 1, "cpu", tmp_path / "o.parquet")
    table = read_table(tmp_path / "o.parquet", schemas.CAPTIONS)
    assert len(table) == 6
    assert set(table.caption_emotion) == {"happy"}
    body = server.bodies[0]
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url", "image_url", "text"]
    assert body["temperature"] == 0
    assert body["response_format"]["json_schema"]["schema"]["additionalProperties"] is False


def test_concurrency_is_bounded_and_used(server, tiny_clips):
    def slow(number, body):
        time.sleep(0.1)
        return chat_server.GOOD

    server.script = slow
    assert all(o.answer for o in describe(server, tiny_clips, concurrency=3).values())
    assert server.most_busy == 3


@pytest.mark.parametrize("trouble", [429, 500, 503, "drop"])
def test_passing_trouble_is_tried_again(server, tiny_clips, trouble):
    server.script = lambda number, body: trouble if number == 0 else chat_server.GOOD
    assert all(o.answer for o in describe(server, tiny_clips).values())
    assert len(server.bodies) == 7


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (500, "status 500"),
        (429, "status 429"),
        (401, "status 401"),
        ("drop", "endpoint"),
        (b"<html>oops</html>", "no chat completion"),
        (b'{"choices": []}', "no chat completion"),
        (b"\xff\xfe", "endpoint"),
        ("not json", "not JSON"),
        ("", "empty"),
        ("I'm sorry, I can't help with that.", "refusal"),
        (json.dumps({"description": "x"}), "emotion"),
        (
            json.dumps(
                {**json.loads(chat_server.GOOD), "description": "The face is " + "very " * 2000 + "sad."}
            ),
            "characters",
        ),
    ],
)
def test_lasting_trouble_with_one_clip_is_a_row_with_a_reason(server, tiny_clips, trouble, reason):
    first = {}

    def script(number, body):
        image = body["messages"][0]["content"][0]["image_url"]["url"]
        first.setdefault("image", image)
        return trouble if image == first["image"] else chat_server.GOOD

    server.script = script
    outcomes = describe(server, tiny_clips, concurrency=1)
    failed = [o for o in outcomes.values() if o.answer is None]
    assert len(outcomes) == 6
    assert len(failed) == 1
    assert reason in failed[0].reason


def test_hanging_server_costs_the_timeout_only(server, tiny_clips):
    server.script = lambda number, body: "hang" if number == 0 else chat_server.GOOD
    started = time.monotonic()
    outcomes = describe(server, tiny_clips, timeout=0.5, tries=1, concurrency=1)
    assert time.monotonic() - started < 10
    assert sorted(o.answer is None for o in outcomes.values()) == [False] * 5 + [True]
    assert "no answer within 0.5 s" in next(o.reason for o in outcomes.values() if o.answer is None)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        # a byte every 0.1 s: each read is in time
        (lambda: itertools.repeat(b" ", 200), "no answer within 1 s"),
        (lambda: itertools.repeat(b" " * 100_000), "more than 4,000,000 bytes"),
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_does_not_end_costs_one_clip_and_little_memory(
    server, tiny_clips, stream, reason, status
):
    server.script = lambda number, body: (
        (status, {}, stream(), 0.1 if "within" in reason else 0) if number == 0 else chat_server.GOOD
    )
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = describe(server, tiny_clips, timeout=1, tries=1, concurrency=1)
    assert time.monotonic() - started < 15
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert [o.reason for o in outcomes.values() if o.answer is None] == [
        f"endpoint: {'the answer has ' * ('bytes' in reason)}{reason}, 1 try"
    ]


def test_headers_that_do_not_end_cost_the_timeout_only(server, tiny_clips):
    server.script = lambda number, body: "drip" if number == 0 else chat_server.GOOD
    outcomes = describe(server, tiny_clips, timeout=1, tries=1, concurrency=1)
    assert [o.reason for o in outcomes.values() if o.answer is None] == [
        "endpoint: no answer within 1 s, 1 try"
    ]


@pytest.fixture
def slept(monkeypatch):
    """Seconds that the captioner would have slept, one entry per wait."""
    waits = []
    monkeypatch.setattr(endpoint.time, "sleep", waits.append)
    return waits


@pytest.mark.parametrize("asked", ["150", lambda: formatdate(time.time() + 150, usegmt=True)])
def test_the_wait_that_the_server_asks_for_is_kept(server, tiny_clips, slept, asked):
    asked = asked if isinstance(asked, str) else asked()
    server.script = lambda number, body: (
        (429, {"Retry-After": asked}, [b"{}"], 0) if number < 2 else chat_server.GOOD
    )
    assert all(o.answer for o in describe(server, tiny_clips, tries=4, concurrency=1).values())
    assert len(slept) == 2 and all(140 < wait <= 150 for wait in slept)


def test_a_wait_beyond_the_budget_is_a_row_that_says_so(server, tiny_clips, slept):
    server.script = lambda number, body: (
        (429, {"Retry-After": "150"}, [b"{}"], 0) if number < 3 else chat_server.GOOD
    )
    outcomes = describe(server, tiny_clips, tries=9, concurrency=1, max_wait=400)
    (reason,) = [o.reason for o in outcomes.values() if o.answer is None]
    assert slept == [150, 150]
    assert reason.startswith("endpoint: status 429") and "3 tries, 300 s waited" in reason
    assert reason.endswith("asked to wait 150 s, of captions.endpoint.max_wait 100 s are left")


@pytest.mark.parametrize("nonsense", ["", "soon", "nan", "inf", "-5", "Mon, 99 Foo 2026"])
def test_a_wait_that_means_nothing_is_not_kept(server, tiny_clips, slept, nonsense):
    server.script = lambda number, body: (
        (503, {"Retry-After": nonsense}, [b"{}"], 0) if number == 0 else chat_server.GOOD
    )
    assert all(o.answer for o in describe(server, tiny_clips, concurrency=1).values())
    assert len(slept) == 1 and slept[0] <= endpoint.FIRST_WAIT


def test_all_settings_of_sampling_are_sent(server, tiny_clips):
    describe(server, tiny_clips)
    expected = {
        "temperature": 0,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "seed": 0,
        "repetition_penalty": 1.0,
    }
    assert server.bodies[0].items() >= expected.items()
    describe(server, tiny_clips, repetition_penalty=None)
    assert "repetition_penalty" not in server.bodies[-1]


def test_dead_server_fails_the_shard_and_says_so(server, tiny_clips, tmp_path):
    dead = config(server, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(EadbenchError, match="all 6"):
        write_captions(tiny_clips, "tiny", "0-of-1", dead, {}, 1, "cpu", tmp_path / "o.parquet")


def test_bad_answer_is_asked_for_once_more(server, tiny_clips):
    server.script = lambda number, body: "hm" if len(body["messages"]) == 1 else chat_server.GOOD
    assert all(o.answer for o in describe(server, tiny_clips).values())
    assert len(server.bodies) == 12
    assert server.bodies[-1]["messages"][1] == {"role": "assistant", "content": "hm"}


def test_key_comes_from_the_environment_and_shows_nowhere(server, tiny_clips, tmp_path, monkeypatch, caplog):
    with pytest.raises(EadbenchError, match="EAD_TEST_KEY"):
        EndpointCaptioner(config(server, key_env="EAD_TEST_KEY"))
    monkeypatch.setenv("EAD_TEST_KEY", SECRET)
    server.script = lambda number, body: 401 if number < 3 else chat_server.GOOD
    with caplog.at_level(logging.DEBUG):
        settings = config(server, key_env="EAD_TEST_KEY", concurrency=1)
        write_captions(tiny_clips, "tiny", "0-of-1", settings, {}, 1, "cpu", tmp_path / "o.parquet")
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    table = read_table(tmp_path / "o.parquet", schemas.CAPTIONS)
    assert "***" in table.reason[table.status == "failed"].iloc[0]  # the server had echoed it
    assert SECRET not in caplog.text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


@pytest.mark.parametrize("refused", [False, True])
def test_user_and_password_of_the_address_reach_the_server_and_no_file(server, tiny_clips, tmp_path, refused):
    if refused:
        server.script = lambda number, body: 401
    written = server.url.replace("://", f"://me:{SECRET}@")
    referred = server.url.replace("://", "://me:${EAD_TEST_PASSWORD}@")
    for name, url in (("written", written), ("referred", referred)):
        settings = {
            "seed": 1,
            "device": "cpu",
            "captions": {"captioner": "endpoint", "endpoint": {"base_url": url, "model": "m", "tries": 1}},
        }
        command = [
            sys.executable,
            "-m",
            "eadbench",
            "--log",
            str(tmp_path / name / "job.log"),
            "captions",
            "write",
            "--corpus",
            "tiny",
        ]
        command += ["--shard", "0-of-1", "--clips", str(tiny_clips), "--settings", json.dumps(settings)]
        command += ["--out", str(tmp_path / name / "0-of-1.parquet")]
        done = subprocess.run(
            command, env=os.environ | {"EAD_TEST_PASSWORD": SECRET}, capture_output=True, text=True
        )
        assert done.returncode == int(refused), done.stderr
        for text in (done.stdout, done.stderr):
            assert SECRET not in text
    assert {base64.b64decode(h["authorization"].removeprefix("Basic ")).decode() for h in server.headers} == {
        f"me:{SECRET}"
    }
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= (2 if refused else 6)
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
