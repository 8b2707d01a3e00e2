"""Secrets of the configuration: looked up by name, masked in logs and records."""

import json
import logging
from pathlib import Path

import pytest

from eadbench.core import log, provenance, secrets
from eadbench.core.errors import EadbenchError

PASSWORD, TOKEN = "hunter2-hunter2", "tok-0123456789"
CONFIG = {
    "seed": 1,
    "samples": {
        "methods": {
            "m": {"kind": "command", "env": {"TOKEN": TOKEN, "OTHER": "${MY_TOKEN}", "OMP_NUM_THREADS": "4"}}
        }
    },
    "captions": {
        "endpoint": {
            "base_url": f"https://me:{PASSWORD}@example.org/v1?api_key={TOKEN}&model=x",
            "key_env": "KEY",
        }
    },
}


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


def test_a_reference_is_looked_up_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    assert secrets.expand("${MY_TOKEN}", "x") == secrets.expand("$MY_TOKEN", "x") == TOKEN
    assert secrets.expand("https://me:${MY_TOKEN}@host", "x") == f"https://me:{TOKEN}@host"
    assert secrets.expand("costs $5 and $MY_TOKEN here", "x") == "costs $5 and $MY_TOKEN here"
    assert secrets.hide(f"given {TOKEN}.") == "given ***."
    monkeypatch.delenv("MY_TOKEN")
    assert secrets.missing("${MY_TOKEN}") == ["MY_TOKEN"]
    with pytest.raises(EadbenchError, match="variable MY_TOKEN is not in the environment") as caught:
        secrets.expand("${MY_TOKEN}", "samples.methods.m.env.TOKEN")
    assert caught.value.where == "samples.methods.m.env.TOKEN"


def test_a_masked_configuration_keeps_all_but_its_secrets() -> None:
    masked = secrets.masked(CONFIG)
    assert masked["samples"]["methods"]["m"] == {
        "kind": "command",
        "env": {"TOKEN": "***", "OTHER": "${MY_TOKEN}", "OMP_NUM_THREADS": "***"},
    }
    assert masked["captions"]["endpoint"] == {
        "base_url": "https://***@example.org/v1?api_key=***&model=x",
        "key_env": "KEY",
    }
    assert masked["seed"] == 1


def test_provenance_holds_no_secret_and_its_settings_stay_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["eadbench", "samples", "make", "--settings", json.dumps(CONFIG), "--out", "x"]
    )
    provenance.begin()
    provenance.record_config(CONFIG)
    provenance.write(
        tmp_path,
        CONFIG["samples"],
        {"weights": f"https://me:{PASSWORD}@example.org/w"},
        note=f"called with {TOKEN}",
    )
    text = (tmp_path / "provenance.json").read_text()
    assert PASSWORD not in text and TOKEN not in text
    command = json.loads(text)["command"]
    assert (
        json.loads(command[command.index("--settings") + 1])["samples"]["methods"]["m"]["kind"] == "command"
    )


def test_logs_and_tracebacks_hold_no_secret(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    try:
        log.set_up(tmp_path / "log")
        provenance.record_config(CONFIG)
        logging.getLogger("eadbench.x").info("POST https://me:%s@example.org/v1", PASSWORD)
        try:
            raise ValueError(f"bad token {TOKEN}, threads 4")
        except ValueError:
            logging.getLogger("eadbench.x").exception("failed")
        for name in ("httpx", "httpx2"):
            logging.getLogger(name).info("HTTP Request: POST https://example.org")
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], root.level = before
    for text in ((tmp_path / "log").read_text(), capfd.readouterr().err):
        assert (
            "https://***@example.org/v1" in text
            and "bad token ***, threads 4" in text
            and "Traceback" in text
        )
        assert PASSWORD not in text and TOKEN not in text and "HTTP Request" not in text
