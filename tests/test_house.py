"""The house itself: layers, formats, schemas in step with the code, nothing of this
machine in a file.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eadbench.core.settings import STAGES, load

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("snakefmt", "--check", "Snakefile", "workflow"),
        ("lint-imports",),
    ],
)
def test_formats_and_layers(command):
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflow_lints():
    done = run("snakemake", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "files",
    [
        ["config.yaml"],
        ["config.yaml", "config/smoke.yaml"],
        ["config.yaml", "config/study.yaml"],
        ["config.yaml", "config/long.yaml"],
        ["config.yaml", "config/study.yaml", "config/study_readings.yaml"],
        ["config/paper.yaml"],
        ["config/paper.yaml", "config/rehearsal.yaml"],
    ],
)
def test_the_configurations_are_valid(files):
    load(None, [ROOT / name for name in files], whole=True)


def test_null_takes_a_named_entry_out(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text(
        "training: {runs: {no_stda: null}}\nsamples: {methods: {no_stda: null}, max_clips: null}\n"
    )
    settings = load(None, [ROOT / "config.yaml", over])
    assert "no_stda" not in settings.samples.methods and "no_stda" not in settings.training.runs
    assert "no_tfrm" in settings.samples.methods and settings.samples.max_clips is None


def test_one_subpackage_per_stage():
    for stage in STAGES:
        assert (ROOT / "eadbench" / stage / "config.py").exists(), stage
        assert (ROOT / "workflow/rules" / f"{stage}.smk").exists(), stage
        assert (ROOT / "tests" / stage).is_dir(), stage


def test_a_public_class_name_means_one_thing():
    places: dict[str, list[str]] = {}
    for file in sorted((ROOT / "eadbench").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    assert not {name: files for name, files in places.items() if len(files) > 1}


def test_no_path_of_a_machine_and_no_big_file_is_tracked():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    bad = re.compile(r"/(root/(?!\.cache)|home/(?!me/)\w+/|work/\w)")
    for name in filter(None, names):
        path = ROOT / name
        if not path.is_file():  # also links to folders
            continue
        assert path.stat().st_size < 1_000_000, f"{name} is too big for the repository"
        if path.suffix in (".py", ".smk", ".yaml", ".md", ".toml", ""):
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not bad.search(text), f"{name} holds a path of a machine"
