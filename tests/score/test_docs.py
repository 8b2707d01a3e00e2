"""The example of docs/scoring.md does what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow.running import ROOT

from eadbench.score.evaluators import OFFICIAL
from eadbench.zoo.registry import registry

PAGE = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")


def fenced(kind: str) -> str:
    return re.search(rf"```{kind}\n(.*?)```", PAGE[PAGE.index("<!-- example") :], re.DOTALL)[1]


def shape(text: str) -> list[str]:
    """Lines without their digits, rules and blanks: encoders differ in the last digits."""
    return [re.sub(r"\d+", "0", re.sub(r"[\s━─]+", " ", line)).strip() for line in text.strip().splitlines()]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the example calls ffmpeg")
def test_the_example_prints_what_the_page_shows(tmp_path):
    command = tmp_path / "bin" / "eadbench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m eadbench "$@"\n')
    command.chmod(0o755)
    (tmp_path / "work").mkdir()
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-ec", fenced("bash")],
        cwd=tmp_path / "work",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    printed = shape(done.stdout)
    for line in shape(fenced("text")):
        assert line in printed, line
    lines = PAGE[PAGE.index("## What comes out") :].splitlines()
    always = "\n".join(line for line in lines if "| with `--" not in line)
    named = re.findall(r"`scores\.[\w.]+/?`", always)
    assert len(named) >= 5
    for name in named:
        assert (tmp_path / "work" / name.strip("`")).exists(), name


def test_the_page_names_every_official_network_with_its_size():
    for name in OFFICIAL.values():
        row = next(line for line in PAGE.splitlines() if f"| `{name}` |" in line)
        network = registry()[name]
        size = round(network.transfer / 1e6) if network.transfer else network.about_mb
        assert row.split("|")[4].strip() == (f"{size}" if size else "by hand"), name


def test_every_option_of_the_page_is_one_of_the_commands():
    help_text = subprocess.run(
        [sys.executable, "-m", "eadbench", "score", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    ).stdout
    named = set(re.findall(r"`(?:[^`\n]* )?(--[a-z-]+)", PAGE)) - {"--use-conda"}
    assert len(named) > 8
    for option in named:
        assert option in help_text, option
    assert Path(ROOT / "docs" / "tables.md").exists()
