"""Every command, configuration and program of README and docs: read by the real
parsers, and run where a machine can.
"""

import ast
import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from command_line import commands, parameters, parsing_only
from documents import COMMANDS, NOT_RUN, OTHERS, PAGES, ROOT, Block, blocks_of, inline, script_of

from eadbench.core.settings import SECTIONS, check, merge
from eadbench.samples.config import FOR_ALL, FOR_EACH
from eadbench.samples.templates import placeholders

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
BIN = Path(sys.executable).parent
# Pages that people write; the others are written by `make docs` and `benchmarks/study.py`.
GENERATED = ("reference.md", "metrics.md", "tables.md", "study_results.md", "study_readings.md")
PROSE = [page for page in PAGES if page.name not in GENERATED]
PROSE += [ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md", ROOT / "findings/README.md"]


def of(language: str, *said: str) -> list[Block]:
    return [
        block for block in BLOCKS if block.language == language and all(word in block.said for word in said)
    ]


def pipelines(line: str) -> list[list[str]]:
    """The commands of a shell line, as words, without redirections."""
    found = []
    for part in re.split(r"\s(?:&&|\|\||\||;)\s", line):
        words = shlex.split(re.sub(r"\s>>?\s*\S+", "", part), comments=True)
        words = words[1:] if words[:1] in (["$"], ["do"]) else words
        while words and re.match(r"\w+=", words[0]):
            words = words[1:]
        found += [words] if words else []
    return found


@pytest.fixture(scope="module")
def parse() -> Iterator[Callable[[list[str]], None]]:
    """Read the words of `eadbench` or `snakemake` with their own parsers."""
    from snakemake.cli import parse_args

    with parsing_only() as ours:

        def read(words: list[str]) -> None:
            if words[0] == "eadbench":
                ours(words[1:])
            else:
                here = Path.cwd()
                os.chdir(ROOT)  # its profiles
                try:
                    parse_args(words[1:])
                except SystemExit as end:
                    raise ValueError(f"snakemake does not take {shlex.join(words)}") from end
                finally:
                    os.chdir(here)

        yield read


@pytest.mark.parametrize("block", of("bash"), ids=str)
def test_every_command_is_one_that_its_parser_takes(block, parse):
    assert block.commands()
    shell = subprocess.run(
        ["bash", "-n"], input="\n".join(block.commands()).replace("$ ", ""), capture_output=True, text=True
    )
    assert shell.returncode == 0, shell.stderr
    for line in block.commands():
        if "..." in line.split():
            continue  # a sketch; its words are looked at below
        for words in pipelines(line):
            name = Path(words[0]).name
            assert name in (*COMMANDS, *OTHERS), f"{name}: a typo, or add it to OTHERS"
            if name == "make":
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), words
            elif name in COMMANDS:
                parse([name, *words[1:]])
            elif words[:3] == ["python", "-m", "eadbench"]:
                parse(["eadbench", *words[3:]])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_within_sentences_exist(page):
    known = {
        name: {option for _, option, _, _ in parameters(function)} for name, function in commands().items()
    }
    for line, words in inline(page):
        if words[0] != "eadbench":
            continue
        words = [word for word in words[1:] if word not in ("--help", "-h", "--version")]
        if not words or words[0].isupper():
            continue
        where = f"{page.name}:{line}: {shlex.join(words)}"
        if words[0].startswith("--"):
            assert words[0] in ("--threads", "--log"), where
            continue
        name = next((one for one in (" ".join(words[:2]), words[0]) if one in known), None)
        assert name or (len(words) == 1 and any(one.startswith(f"{words[0]} ") for one in known)), where
        for word in words if name else ():
            if word.startswith("--") and word.partition("=")[0] not in known[name]:
                assert word.replace("--no-", "--") in known[name] or word == "--zoo", where


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_every_configuration_is_valid_over_the_demo_s(block):
    given = yaml.safe_load(block.text)
    for key in reversed(block.said.get("under", "").split(".") if "under" in block.said else []):
        given = {key: given}
    assert set(given) <= {"seed", "device", "container", *SECTIONS}, "sections, or say `under=`"
    demo = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    settings = check(merge(demo, given))
    for method in (given.get("samples") or {}).get("methods", {}):
        entry = settings.samples.methods[method]
        command = getattr(entry, "command", "")
        assert placeholders(command) <= set(
            FOR_ALL if getattr(entry, "per", "") == "manifest" else FOR_EACH
        ), method
    assert "file" not in block.said or any(
        block.said["file"] in line for b in of("bash") if b.page == block.page for line in b.commands()
    )


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_every_program_compiles_and_every_session_says_what_it_shows(block):
    if block.text.startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(block.text, {}, str(block), str(block.page), block.line)
        assert test.examples
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0
    else:
        assert ast.parse(block.text).body
        assert "run" in block.said or "file" in block.said, "a session (>>>), or say `run` or `file=`"


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_every_toml_parses(block):
    assert tomllib.loads(block.text)


def test_every_block_says_what_it_is():
    assert {block.language for block in BLOCKS} <= {"bash", "yaml", "python", "toml", "text", ""}
    assert not [str(block) for block in BLOCKS if block.language == "" and "skip" not in block.said], (
        "a fence without a language"
    )
    assert len(of("bash")) > 15 and len(of("yaml")) >= 5 and len(of("python")) > 5


def test_what_is_not_run_has_a_reason_and_every_reason_is_needed():
    left = [(block, line) for block in of("bash") for line in block.commands() if line not in block.to_run()]
    reasons = [next((part for part in NOT_RUN if part in line), None) for _, line in left]
    assert not [f"{block}: {line}" for (block, line), found in zip(left, reasons, strict=True) if not found]
    assert set(reasons) == set(NOT_RUN)
    missed = [str(b) for b in BLOCKS if b.language == "" and b.text.split()[0] in (*COMMANDS, *OTHERS)]
    assert not missed, "commands that are not looked at, since they follow a list: use a fence"


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = target.partition("#")
            aim = page.parent / name if name else page
            assert aim.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(aim), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Those of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_stays_within_88_columns(page):
    """Tables, blocks, images and a single word or command that is longer may be wider."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    lines = [line for line in text.splitlines() if not re.match(r" {4}| *\||!\[", line)]
    lines = [line for line in lines if re.search(r"\S\s+\S", re.sub(r"`[^`]*`", "code", line))]
    assert not [line for line in lines if len(line) > 88]


def test_architecture_lists_every_command_with_options_that_it_has():
    known = {
        name: {option for _, option, _, _ in parameters(function)} for name, function in commands().items()
    }
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("## Verbs")[2]
    listed = set()
    for line in re.findall(r"^    (.+)$", text.partition("\n## ")[0], re.M):
        name = next(one for one in (" ".join(line.split()[:2]), line.split()[0]) if one in known)
        listed.add(name)
        options = {option.replace("--no-", "--") for option in re.findall(r"--[a-z-]+", line)}
        assert options <= known[name], name
    assert listed == set(known)


def messages() -> list[str]:
    return re.findall(
        r"^\*\*`(.+?)`\*\*", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"), re.M
    )


@pytest.fixture(scope="module")
def sources() -> str:
    """All code of the package, with strings that go over several lines joined."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "eadbench").rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_every_call_of_snakemake_that_a_message_proposes_says_how_many_cores(sources):
    assert re.search(r"\{workflow_command\(", sources)
    assert not re.findall(r".*snakemake \{.*", sources)


def test_troubleshooting_holds_the_twenty_messages_that_people_meet():
    assert len(messages()) >= 20 and len(set(messages())) == len(messages())


@pytest.mark.parametrize("message", messages())
def test_every_message_of_troubleshooting_is_one_that_the_code_says(message, sources):
    pattern = r"[^\"\n]*".join(re.escape(part) for part in message.replace("{", "{{").split("…"))
    assert re.search(rf'f?"{pattern}', sources), message


@pytest.fixture
def workplace(smoke: Path, tmp_path: Path) -> Path:
    """A copy of the checkout with what the smoke pipeline made in it, and its
    configuration as `config.yaml`.
    """
    folder = prepare(tmp_path / "work", smoke, ("config.yaml", "config/smoke.yaml"))
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    # What the pages compare is on the HDTF-like corpus, where the smoke run renders
    # nothing.
    config["samples"]["methods"]["ground_truth"]["corpora"].append("demo_hdtf")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


def prepare(folder: Path, made: Path, configs: tuple[str, ...]) -> Path:
    """See ``workplace``.

    Args:
        folder: To make.
        made: Folder with ``results`` and ``.snakemake``.
        configs: Those that made them.
    """
    shutil.copytree(
        ROOT,
        folder,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git", ".venv", "results", "logs", ".snakemake", "__pycache__"),
    )
    for name in ("results", ".snakemake"):
        shutil.copytree(made / name, folder / name, symlinks=True)
    config: dict = {}
    for name in configs:
        config = merge(config, yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / ".venv").mkdir()  # make demo finds what it has installed
    (folder / ".venv/bin").symlink_to(BIN)
    (folder / ".venv/.installed").touch()
    return folder


def newcomer(folder: Path) -> None:
    """The files that the README's reader has: videos of some method with the real ones,
    a face and a speech.
    """
    made = folder / "results/samples/ground_truth/demo_mead/self/videos"
    for name in ("real", "mine"):
        shutil.copytree(made, folder / name)
    shutil.copy(next(made.glob("*.mp4")), folder / "face.mp4")
    shutil.copy(next((folder / "results/clips/demo_mead/shards").rglob("*.wav")), folder / "speech.wav")


def environment(folder: Path) -> dict[str, str]:
    """Of commands that work in a copy of the checkout."""
    path = f"{BIN}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


def run(page: Path, folder: Path, timeout: float) -> subprocess.CompletedProcess:
    """All that a page asks for, one command after the other, as a newcomer copies them."""
    script = folder / "page.sh"
    script.write_text(script_of(page))
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", script.name],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.pipeline
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if "echo" in script_of(page)], ids=lambda page: page.name
)
def test_every_command_of_a_page_does_what_it_says(page, workplace):
    if page.name == "scoring.md" and shutil.which("ffmpeg") is None:
        pytest.skip("the example calls ffmpeg")
    if page.name == "README.md":
        newcomer(workplace)
    if page.name == "methods.md":  # a demo has rendered these
        cell = "results/samples/ground_truth/demo_hdtf/self/samples.parquet"
        command = [BIN / "snakemake", "--cores", "2", "--", cell]
        subprocess.run(command, cwd=workplace, env=environment(workplace), check=True, timeout=600)
    done = run(page, workplace, 2300)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    assert "Traceback" not in done.stderr
