"""A wrong path, option or name is refused before anything large is imported, and told
with the nearest name.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import commands, imports, parameters

from eadbench.core.options import WRITTEN

ROOT = Path(__file__).parents[1]
RUN = f"""
import json, os, sys
os.chdir(sys.argv[1])
from eadbench import cli
from eadbench.core import log
log.set_up = lambda *_: None
told = []
for words in json.load(open("calls.json")):
    try:
        cli.app(words, prog_name="eadbench", standalone_mode=False)
        said = "nothing was refused"
    except SystemExit as end:
        said = f"exit {{end.code}}"
    except Exception as error:
        said = f"{{type(error).__name__}}: {{error}}"
    told.append([said, [name for name in {imports.HEAVY!r} if name in sys.modules]])
print(json.dumps(told))
"""


def refused(folder: Path, calls: list[list[str]]) -> list[tuple[str, list[str]]]:
    """What a fresh process says to each call, and which heavy modules it has loaded by
    then.
    """
    (folder / "there").mkdir()
    (folder / "file").touch()
    (folder / "calls.json").write_text(json.dumps(calls))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", RUN, str(folder)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def call(name: str, function: Any, **given: str | None) -> list[str]:
    """A command line with all that must be given, and what a test gives; ``None``
    leaves an option out.
    """
    words = name.split()
    for parameter, option, _kind, needed in parameters(function):
        value = given.get(parameter, ("vae=there" if parameter == "part" else "there") if needed else None)
        if value is not None:
            words += [option, value] if option.startswith("-") else [value]
    return words


def paths(function: Any) -> list[tuple[str, str]]:
    return [(name, option) for name, option, kind, _ in parameters(function) if "Path" in str(kind)]


def test_a_path_that_is_not_there_is_refused_by_every_command_at_once(tmp_path):
    asked = {}
    for name, function in commands().items():
        for parameter, option in paths(function):
            if parameter not in WRITTEN:
                asked[f"{name} {option}"] = call(name, function, **{parameter: "ther"})
    assert len(asked) > 50
    for case, (said, loaded) in zip(asked, refused(tmp_path, list(asked.values())), strict=True):
        assert said.startswith("EadbenchError: there is no such file or folder (did you mean 'there'?)"), (
            case,
            said,
        )
        assert f"where: {case.split()[-1]} ther" in said and "hint: " in said, (case, said)
        assert not loaded, (case, loaded)


def test_an_output_that_cannot_be_written_is_refused_by_every_command_at_once(tmp_path):
    asked = {}
    for name, function in commands().items():
        for parameter, option in paths(function):
            if parameter in WRITTEN:
                asked[f"{name} {option}"] = call(name, function, **{parameter: "file/x.parquet"})
    assert len(asked) > 25
    for case, (said, loaded) in zip(asked, refused(tmp_path, list(asked.values())), strict=True):
        assert said.startswith("FatalError: a file is there, expected a folder"), (case, said)
        assert f"where: {case.split()[-1]} file" in said and not loaded, (case, said, loaded)


def test_a_configuration_with_a_typo_is_refused_by_every_command_at_once(tmp_path):
    (tmp_path / "mine.yaml").write_text("sede: 1\n")
    takes = {name: [one[0] for one in parameters(function)] for name, function in commands().items()}
    takes = {name: names for name, names in takes.items() if "config" in names}
    asked = {
        name: call(
            name, commands()[name], config="mine.yaml", **({"out": "new.json"} if "out" in names else {})
        )
        for name, names in takes.items()
    }
    asked["samples render"] += ["--image", "file"]
    at = asked["samples render"].index("--audio")
    asked["samples render"][at + 1] = "file"
    assert len(asked) > 18
    for case, (said, loaded) in zip(asked, refused(tmp_path, list(asked.values())), strict=True):
        assert "did you mean 'seed'" in said and "mine.yaml, line 1" in said, (case, said)
        assert not loaded, (case, loaded)


NAMES = {
    "synthetic film": (["--corpus", "demo_hdft", "--out", "new"], "demo_hdtf"),
    "corpora fetch": (["--corpus", "demo_hdft", "--out", "new"], "demo_hdtf"),
    "corpora index": (["--corpus", "demo_hdft", "--fetch", "file", "--out", "new"], "demo_hdtf"),
    "zoo make": (["vea", "--out", "new"], "vae"),
    "training run": (["--run", "fulll", "--features", "file", "--out", "new"], "full"),
    "samples make": (
        ["--method", "miror", "--corpus", "demo_hdtf", "--clips", "file", "--out", "new"],
        "mirror",
    ),
    "samples render": (
        ["--run", "there", "--image", "file", "--audio", "file", "--emotion", "angy", "--out", "new.mp4"],
        "angry",
    ),
    "score": (["--real", "there", "--fake", "there", "--metrics", "ssmi", "--out", "new.parquet"], "ssim"),
}


def test_a_name_that_is_not_known_is_refused_at_once(tmp_path):
    config = ["--config", str(ROOT / "config.yaml")]
    asked = {
        name: [*name.split(), *words, *(config if name != "score" else [])]
        for name, (words, _) in NAMES.items()
    }
    for case, (said, loaded) in zip(asked, refused(tmp_path, list(asked.values())), strict=True):
        assert f"{NAMES[case][1]!r}" in said and ("did you mean" in said or "is it" in said), (case, said)
        assert not loaded, (case, loaded)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["samples", "render", "--run", "there", "--audio", "file", "--out", "x.mp4"],
            "give either a video or an image",
        ),
        (
            ["samples", "render", "--run", "there", "--audio", "file", "--out", "x.mp4", "--intensity", "2"],
            "less than or equal to 1",
        ),
        (["score", "--real", "there", "--fake", "there"], "give a name that ends with .parquet"),
        (["zoo", "fetch", "inception-fdi"], "inception-fid"),
        (["zoo", "make", "vae", "--part", "vae", "--out", "x"], "expected NAME=FOLDER"),
        (["plan", "--out", "x.txt"], "must end in .json or .parquet"),
        (["clips", "cutt"], "cut"),
        (["skore"], "did you mean 'score'"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(tmp_path, words, message):
    [(said, loaded)] = refused(tmp_path, [words])
    assert message in said and not loaded, (said, loaded)
