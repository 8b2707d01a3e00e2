"""Names in the configuration that name its entries: each must be there, and nothing may
wait for itself.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import WHOLE, nearest
from eadbench.core.section import Ref, Section, is_mapping

if TYPE_CHECKING:
    from eadbench.core.settings import Settings


def check_references(settings: "Settings", dropped: dict[str, set[str]]) -> None:
    """All that is named must be there, and nothing may wait for itself.

    ``tables`` may go on naming what a later file removed: its rows and columns are left
    out.

    Args:
        settings: The configuration.
        dropped: Mapping such as ``training.runs`` -> names that a later file removed.

    Raises:
        EadbenchError: With all names that are not there, or the circle.
    """
    unknown: dict[tuple[str, str], list[str]] = {}
    edges: dict[tuple[str, str], dict[str, str]] = {}
    for section in settings.given:
        for path, mapping, name in references(getattr(settings, section), section):
            if mapping.partition(".")[0] not in settings.given:
                continue
            entries = _entries(settings, mapping)
            may_be_dropped = section == "tables" and name in dropped.get(mapping, ())
            if name not in entries and not may_be_dropped:
                paths = unknown.setdefault((mapping, name), [])
                paths += [path] if path not in paths else []
            elif path.startswith(f"{mapping}."):
                rest = path.removeprefix(f"{mapping}.")
                entry = next((other for other in entries if rest.startswith(f"{other}.")), None)
                edges.setdefault((mapping, entry), {})[name] = path
    if unknown:
        raise _unknown_names(settings, unknown, dropped)
    for mapping, entry in edges:
        if circle := _circle(edges, mapping, entry, ()):
            raise EadbenchError(
                f"{mapping}: {' -> '.join(circle)} is a circle",
                edges[mapping, circle[0]][circle[1]],
                "let one of them name another",
            )


def _entries(settings: "Settings", mapping: str) -> dict[str, Any]:
    """The entries of a mapping such as ``training.runs``."""
    section, _, key = mapping.partition(".")
    return getattr(getattr(settings, section), key)


def _unknown_names(
    settings: "Settings", unknown: dict[tuple[str, str], list[str]], dropped: dict[str, set[str]]
) -> EadbenchError:
    """The error about names that no mapping has, each once: mapping and name -> where it
    stands.
    """
    messages, places, hint = [], [], WHOLE
    for (mapping, name), (first, *others) in unknown.items():
        places.append(first)
        if name in dropped.get(mapping, ()):
            reason, hint = f": `{name}: null` takes it out", "let them name another, or take them out, too"
            places.append(f"{mapping}.{name}")
        else:
            entries = _entries(settings, mapping)
            reason = nearest(name, entries) or f" (known: {', '.join(entries) or 'none'})"
        message = f"{first}: {name!r} is not in {mapping}{reason}"
        if others:
            message += f"; also named by {', '.join(others[:4])}"
        if len(others) > 4:
            message += f" and {len(others) - 4} more"
        messages.append(message)
    return EadbenchError(
        "the configuration names what is not there: " + "; ".join(messages), "; ".join(places), hint
    )


def _circle(
    edges: dict[tuple[str, str], dict[str, str]], mapping: str, name: str, seen: tuple[str, ...]
) -> tuple[str, ...]:
    if name in seen:
        return (*seen[seen.index(name) :], name)
    for other in edges.get((mapping, name), {}):
        if circle := _circle(edges, mapping, other, (*seen, name)):
            return circle
    return ()


def references(
    value: Any, path: str, annotation: Any = None, metadata: tuple[Any, ...] = ()
) -> Iterator[tuple[str, str, str]]:
    """Every name in a section that names an entry of some mapping: (where it stands,
    the mapping, the name). Unread fields are skipped.
    """
    if isinstance(value, Section):
        read = value.in_use()
        for key, field in type(value).model_fields.items():
            if key in read:
                yield from references(read[key], f"{path}.{key}", field.annotation, tuple(field.metadata))
        return
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    if isinstance(value, str):
        ref = next((mark for mark in metadata if isinstance(mark, Ref)), None) or _ref_of(annotation)
        if ref:
            yield path, ref.mapping, value
    elif isinstance(value, dict):
        keys, values = get_args(annotation) if is_mapping(annotation) else (None, None)
        for key, item in value.items():
            yield from references(key, f"{path}.{key}", keys)
            yield from references(item, f"{path}.{key}", values)
    elif isinstance(value, (list, tuple)):
        # ``list[X]``, or one of the choices of ``list[X] | None``
        choices = (annotation, *get_args(annotation))
        lists = [get_args(choice) for choice in choices if get_origin(choice) in (list, tuple)]
        inner = next(filter(None, lists), (None,))[0]
        for number, item in enumerate(value):
            yield from references(item, f"{path}.{number}", inner)


def _ref_of(annotation: Any) -> Ref | None:
    """The mark in ``RunName | None``."""
    for choice in get_args(annotation):
        if get_origin(choice) is Annotated:
            for mark in get_args(choice)[1:]:
                if isinstance(mark, Ref):
                    return mark
    return None
