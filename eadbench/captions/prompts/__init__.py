"""Prompts as files, each with its version in the head."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from eadbench.core.errors import EadbenchError

AGAIN = (
    "That was not the JSON object asked for. Answer again with exactly that one JSON object, in "
    "English, and nothing else."
)


@dataclass(frozen=True)
class Prompt:
    """A prompt's text and what rows call it: the version in the file's head and the
    first digits of the text's hash.
    """

    text: str
    version: str


def load_prompt(name: str) -> Prompt:
    """A prompt of this package by name, or any file of the same form by path.

    Raises:
        EadbenchError: If it is missing or has no version.
    """
    own = files(__name__).joinpath(f"{name}.md")
    path = own if "/" not in name and own.is_file() else Path(name)
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EadbenchError(
            "no such prompt",
            f"captions.prompt: {name}",
            "it is a name in eadbench/captions/prompts or the path of a file",
        ) from error
    _, _, rest = content.partition("---\n")
    head, sign, text = rest.partition("\n---\n")
    version = (yaml.safe_load(head) or {}).get("version") if sign else None
    if not version:
        raise EadbenchError("the prompt has no version", path, "begin the file with ---, version: NAME, ---")
    return Prompt(text.strip(), f"{version}+{hashlib.sha256(text.strip().encode()).hexdigest()[:8]}")
