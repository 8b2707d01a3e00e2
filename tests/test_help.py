"""`--help` of every command: it fits a terminal, says what the command does, and shows
a call that its parser takes.
"""

import re
import shlex

import pytest
import typer
from command_line import commands, groups, parsing_only
from typer.testing import CliRunner

from eadbench import cli


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    names = [*groups(), *commands()]
    return {
        name: CliRunner()
        .invoke(cli.app, [*name.split(), "--help"], prog_name="eadbench", env={"COLUMNS": "80"})
        .output
        for name in names
    }


def examples(text: str) -> list[list[str]]:
    """The commands below `Example:`, as a shell would hand them over."""
    shown = re.search(r"^  Example:\n\n(.*?)\n(?=\n|\Z)", text, re.M | re.S)
    lines = shown[1].replace("\\\n", " ").splitlines() if shown else []
    found = [shlex.split(line.partition(" > ")[0]) for line in lines]
    return [words for words in found if words[:1] == ["eadbench"]]


@pytest.mark.parametrize("name", [*groups(), *commands()])
def test_help_fits_80_columns_and_cuts_nothing(helps, name):
    lines = helps[name].splitlines()
    assert len(lines) > 8 and lines[0].startswith("Usage: eadbench")
    assert not [line for line in lines if len(line) > 80]
    cut = [line for line in lines[1:] if "…" in line or re.search(r"\w\.\.\.$", line)]
    assert not [line for line in cut if "FILE..." not in line], cut


@pytest.mark.parametrize("name", commands())
def test_help_says_what_a_command_does_and_shows_a_call_that_it_takes(helps, name):
    text = helps[name]
    assert re.search(r"^  [A-Z][^\n]{15,}", text, re.M), "a sentence below the usage"
    found = examples(text)
    assert found, "an example"
    assert any(words[1 : 1 + len(name.split())] == name.split() for words in found), "of this very command"
    with parsing_only() as parse:
        for words in found:
            parse(words[1:])


@pytest.mark.parametrize("name", commands())
def test_every_option_is_explained(helps, name):
    entries = re.split(r"\n(?=  (?:-|\w))", helps[name].partition("Options:\n")[2])
    assert len(entries) > 1 or entries[0].startswith("  -h")
    for entry in entries:
        words = entry.split()
        assert len(words) >= 3, entry


def test_numbers_are_told_with_unit_or_range(helps):
    text = " ".join(helps["samples render"].split())
    assert "25 frames per second" in text and "0.0<=x<=1.0" in text and "-1.0<=x<=1.0" in text
    assert "frames of 40 ms" in " ".join(helps["clips check"].split())


def test_a_call_that_a_parser_does_not_take_is_noticed():
    with parsing_only() as parse:
        parse(["score", "--real", "a", "--fake", "b"])
        for words in (
            ["score", "--reel", "a"],
            ["samples", "rendr"],
            ["clips", "merge", "a.parquet"],
            ["plan", "--workers", "many"],
        ):
            with pytest.raises(Exception, match=r"(?i)no such|missing|valid integer") as caught:
                parse(words)
            assert type(caught.value).__module__.startswith(typer.__name__)
