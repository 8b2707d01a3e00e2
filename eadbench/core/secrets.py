"""Secrets of the configuration: taken from the environment by name, and kept out of
logs and records.

A secret is a value of a method's ``env:``, or the user, password or key in an address.
Written as ``${NAME}`` it is looked up when it is needed and stands nowhere else;
written out it is masked in what eadbench writes, while Snakemake's own records and the
list of processes still show it.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from eadbench.core.errors import EadbenchError

HIDDEN = "***"
SHORTEST = 6  # shorter values (0, true, cuda) are no secrets, and masking them would make logs unreadable
REFERENCE = re.compile(r"\$\{(\w+)\}|^\$(\w+)$")
IN_ADDRESS = re.compile(r"(?<=://)[^\s/@'\"]+(?=@)")
IN_QUERY = re.compile(
    r"(?<=[?&])((?:api[_-]?key|key|token|access_token|secret|password)=)[^&#\s'\"]+", re.IGNORECASE
)
_known: set[str] = set()


def expand(text: str, where: str) -> str:
    """Replace ``${NAME}`` (or a text that is ``$NAME``) by that variable of the
    environment.

    Raises:
        EadbenchError: If the environment has none of that name.
    """

    def value(match: re.Match) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise EadbenchError(
                f"variable {name} is not in the environment",
                where,
                f"export {name}=... before you start the workflow",
            )
        keep_hidden(os.environ[name])
        return os.environ[name]

    return REFERENCE.sub(value, text)


def missing(text: str) -> list[str]:
    """Names of the variables of a text that the environment does not have."""
    names = [match[1] or match[2] for match in REFERENCE.finditer(text)]
    return [name for name in names if name not in os.environ]


def keep_hidden(value: str) -> None:
    """Have :func:`hide` mask a value from now on."""
    if len(value) >= SHORTEST:
        _known.add(value)


def note(config: Any) -> None:
    """Remember the secrets that a configuration writes out, for :func:`hide`."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key == "env" and isinstance(value, dict):
                for secret in map(str, value.values()):
                    if not REFERENCE.search(secret):
                        keep_hidden(secret)
            note(value)
    elif isinstance(config, list):
        for value in config:
            note(value)


def hide(text: str) -> str:
    """A text without the secrets that are known, and without users, passwords and keys
    in addresses.
    """
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return IN_QUERY.sub(rf"\g<1>{HIDDEN}", IN_ADDRESS.sub(HIDDEN, text))


def hide_in_file(path: Path) -> None:
    """Mask known secrets in a file of some other program's words, such as its log; a
    special file is left alone.
    """
    if not _known or not path.is_file():
        return
    original = data = path.read_bytes()
    for value in sorted(_known, key=len, reverse=True):
        data = data.replace(value.encode(), HIDDEN.encode())
    if data != original:
        path.write_bytes(data)


def masked(value: Any) -> Any:
    """A configuration, or whatever JSON can hold, without its secrets; references to
    the environment stay.
    """
    if isinstance(value, dict):
        return {
            key: _masked_env(item) if key == "env" and isinstance(item, dict) else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return hide(value) if isinstance(value, str) else value


def masked_command(argv: list[str]) -> list[str]:
    """The words of a command without the secrets of its ``--settings``, which stay
    valid JSON.
    """
    words = list(argv)
    for place in range(1, len(words)):
        if words[place - 1] == "--settings":
            try:
                words[place] = json.dumps(masked(json.loads(words[place])))
            except ValueError:
                continue
    return [hide(word) for word in words]


def _masked_env(env: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) if REFERENCE.fullmatch(str(value)) else HIDDEN for name, value in env.items()}
