"""Command lines with placeholders, filled without a shell."""

import shlex
from collections.abc import Mapping
from string import Formatter

from eadbench.core.errors import EadbenchError


def split(command: str, where: str) -> list[str]:
    """Split a command line once, before anything is filled in, so that values with
    spaces or quotes stay one argument.

    Raises:
        EadbenchError: If a quotation is not closed, or there is nothing.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise EadbenchError(
            f"the command cannot be split: {error}", where, "check its quotation marks"
        ) from error
    if not words:
        raise EadbenchError("the command is empty", where)
    return words


def placeholders(text: str) -> set[str]:
    """Names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def fill(words: list[str], values: Mapping[str, object], where: str) -> list[str]:
    """Fill the placeholders of every word.

    Raises:
        EadbenchError: If a placeholder is unknown.
    """
    return [fill_one(word, values, where) for word in words]


def fill_one(text: str, values: Mapping[str, object], where: str) -> str:
    """Fill the placeholders of one text. Only plain names: no attributes, no indices.

    Raises:
        EadbenchError: If a placeholder is unknown.
    """
    unknown = placeholders(text) - set(values)
    if unknown:
        raise EadbenchError(
            f"unknown placeholder {{{min(unknown)}}}", where, f"known: {', '.join(sorted(values))}"
        )
    texts = {name: "" if value is None else str(value) for name, value in values.items()}
    return text.format_map(texts)
