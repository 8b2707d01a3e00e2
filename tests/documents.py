"""The fenced blocks of README and docs, and what each of them has to be.

After the language, a fence may say more (GitHub shows none of it):

    bash skip=WORD,WORD    parsed; commands that hold one of these words are not
                           run (downloads, GPUs, other machines)
    bash skip              parsed, nothing of it is run
    yaml file=NAME         the configuration file that the commands below name
    yaml under=a.b         what stands there is an entry of this mapping
    python file=NAME       the program that the commands below run
    python run             run in its turn, like a command
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "config/README.md"])
COMMANDS = ("eadbench", "snakemake")
# Programs besides that blocks may call; their options are theirs.
OTHERS = (
    "accelerate",
    "apptainer",
    "cd",
    "chromium",
    "conda",
    "cp",
    "docker",
    "done",
    "export",
    "ffmpeg",
    "for",
    "git",
    "grep",
    "hf",
    "make",
    "mkdir",
    "nvidia-smi",
    "pip",
    "printf",
    "python",
    "sed",
    "snakedeploy",
    "source",
    "torchrun",
)


# Part of a command that no test runs as it stands -> why.
NOT_RUN = {
    "make test": "the tests themselves",
    "make rehearsal": "hours",
    "corpus.yaml": "a folder that the reader has; tests/corpora/test_folder.py reads one",
    "-m rehearsal": "hours",
    "config/study.yaml": "48 trainings",
    "training modules": "two runs of a demo; tests/training makes the same table of small ones",
    "config/long.yaml": "films ten minutes; tests/workflow plans it",
    "--actors 40": "films for an hour",
    "audit": "minutes; tests/audit runs the command on smaller clips",
    "--evaluators official": "downloads",
    "{also: [silent]}": "every method of a demo once more; tests/workflow plans it",
    "eadbench prepare": "ends with 1 where something lacks; tests/plan runs it",
    "--use-conda": "downloads",
    "pip install": "downloads",
    "snakedeploy": "downloads; tests/workflow/test_module.py runs what it writes",
    "hf download": "downloads",
    "chromium": "a picture of this README, of a full demo",
    "images/frames.jpg": "a picture of this README, of a full demo",
    "--processes 4": "a sketch",
    "torchrun": "other machines",
}


@dataclass(frozen=True)
class Block:
    """A fenced or indented block.

    Attributes:
        page, line: Where it stands.
        language: ``bash``, ``yaml``, ``python``, ``toml``, ``text``, or empty.
        said: What else the fence says: name to value.
        text: The block.
    """

    page: Path
    line: int
    language: str
    said: dict[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """The lines of a shell block, continued ones joined, without comments."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        return [
            line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")
        ]

    def to_run(self) -> list[str]:
        """Its commands without those that a test cannot run."""
        if "skip" not in self.said:
            return self.commands()
        words = self.said["skip"].split(",")
        return [
            line
            for line in self.commands()
            if self.said["skip"] and not any(word in line.split() for word in words)
        ]


def blocks_of(page: Path) -> Iterator[Block]:
    """All blocks of a page, in order; indented ones are commands where they begin with
    one, else text.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        start = at
        if fence := re.match(r"```(\S*) ?(.*)$", lines[at]):
            at = next((k for k in range(at + 1, len(lines)) if lines[k] == "```"), len(lines))
            said = {key: value for key, _, value in (word.partition("=") for word in fence[2].split())}
            yield Block(page, start + 1, fence[1], said, "\n".join(lines[start + 1 : at]) + "\n")
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                at += 1
            text = "\n".join(line[4:] for line in lines[start:at]).rstrip() + "\n"
            first = re.split(r"[\s=]", text.removeprefix("$ "))[0]
            is_list = any(re.match(r" *([-*]|\d+\.) ", line) for line in lines[max(0, start - 3) : start])
            yield Block(
                page,
                start + 1,
                "bash" if first in (*COMMANDS, *OTHERS) and not is_list else "",
                {"skip": ""},
                text,
            )
            continue
        at += 1


def inline(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and words of every command of ours between backticks."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"(?<!`)`((?:eadbench|snakemake) [^`]+)`(?!`)", text):
        yield text[: found.start()].count("\n") + 1, shlex.split(found[1].replace("\n", " "), comments=True)


def script_of(page: Path) -> str:
    """A shell script with all that a page asks for, in its order."""
    parts = []
    for block in blocks_of(page):
        name = block.said.get("file")
        if name:
            parts += [f"cat > {shlex.quote(name)} <<'END OF FILE'\n{block.text}END OF FILE"]
        elif block.language == "bash" and (commands := block.to_run()):
            parts += [f"echo '## {block}'", *commands]
        elif block.language == "python" and "run" in block.said:
            parts += [f"echo '## {block}'", f"python <<'END OF FILE'\n{block.text}END OF FILE"]
    return "\n".join(parts) + "\n"
