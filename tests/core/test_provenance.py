"""Records of who made what: complete, one per command, none lost, none where nobody
asked.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eadbench.core import energy, provenance
from eadbench.core.settings import load


def record(folder: Path) -> dict:
    return json.loads((folder / "provenance.json").read_text())


def test_says_who_when_with_what_at_what_cost(tmp_path: Path) -> None:
    provenance.begin()
    load(json.dumps({"seed": 7, "device": "cpu"}), None)
    sum(k * k for k in range(200_000))
    provenance.write(tmp_path, {"a": 1}, {"weights": "0" * 64}, clips=3)
    written = record(tmp_path)
    for key in ("command", "commit", "host", "platform", "python", "versions", "finished"):
        assert written[key], key
    assert written["config"] == {"seed": 7, "device": "cpu"}
    assert (written["settings"], written["inputs"], written["clips"]) == ({"a": 1}, {"weights": "0" * 64}, 3)
    assert 0 < written["seconds"] < 60 and written["cpu_seconds"] > 0
    assert written["versions"]["numpy"]


@pytest.mark.parametrize(("own", "child"), [(400, 10), (10, 400)])
def test_a_spike_of_memory_stands_in_the_record_of_its_job(tmp_path: Path, own: int, child: int) -> None:
    """Own memory or that of a finished child, however short; what samples the memory
    now and then misses both.
    """
    spike = "b = bytearray({mb} << 20); b[::4096] = b'x' * len(b[::4096]); del b"
    code = f"""
import subprocess, sys
from eadbench.core import provenance
{spike.format(mb=own)}
subprocess.run([sys.executable, "-c", {spike.format(mb=child)!r}], check=True)
provenance.write({str(tmp_path)!r})
"""
    ballast = bytearray(600 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    subprocess.run([sys.executable, "-c", code], check=True)
    assert 400 < record(tmp_path)["peak_mb"] < 520, "and not what the process held that started it"


def test_commands_that_share_a_folder_keep_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb, out in (("fetch", "fetch.json"), ("index", "index.parquet"), ("fetch", "fetch.json")):
        command = [
            "eadbench",
            "--log",
            "x.log",
            "--threads",
            "1",
            "corpora",
            verb,
            "--corpus",
            "c",
            "--out",
            str(tmp_path / out),
        ]
        monkeypatch.setattr(sys, "argv", command)
        provenance.write(tmp_path)
    written = record(tmp_path)
    assert "fetch" in written["command"]
    assert list(written["earlier"]) == ["corpora index index.parquet"]
    assert "earlier" not in written["earlier"]["corpora index index.parquet"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"command": []}'])
def test_a_damaged_record_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "provenance.json").write_text(content)
    provenance.write(tmp_path)
    assert record(tmp_path)["commit"]


@pytest.mark.parametrize("log", [True, False])
def test_a_rules_command_without_a_record_of_its_own_gets_one(tmp_path: Path, log: bool) -> None:
    """Whoever calls a command by hand finds no strange file beside the output."""
    options = ["--log", str(tmp_path / "logs/x.log")] if log else []
    out = tmp_path / "results" / "dictionary.md"
    command = [sys.executable, "-m", "eadbench", *options, "tables", "dictionary", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert out.exists()
    assert (out.parent / "provenance.json").exists() == log


def test_energy_without_a_counter_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "millijoules", lambda: {})
    provenance.begin()
    provenance.write(tmp_path)
    assert record(tmp_path)["joules"] is None


def test_energy_is_the_difference_of_the_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([{"0": 5_000, "1": 100}, {"0": 12_500, "1": 100}])
    monkeypatch.setattr(energy, "millijoules", lambda: next(readings))
    provenance.begin()
    provenance.write(tmp_path)
    assert record(tmp_path)["joules"] == 7.5
