"""What all sections of the configuration are made of: the base of their models, the marks
on their fields, and what of their values shapes a result.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from eadbench.core.errors import EadbenchError

NOT_GIVEN = "pass it with --settings, or use --config"
# For `Field(json_schema_extra=...)`: the command reads it, but no result depends on it
# (logging, workers, caches, licences).
SHAPES_NOTHING: dict[str, Any] = {"shapes": False}


@dataclass(frozen=True)
class Ref:
    """Marks a field that names an entry of a mapping of the configuration, e.g.
    ``Ref("training.runs")``.
    """

    mapping: str


CorpusName = Annotated[str, Ref("corpora.sets")]
ArtefactName = Annotated[str, Ref("zoo.artefacts")]
RunName = Annotated[str, Ref("training.runs")]
MethodName = Annotated[str, Ref("samples.methods")]


@dataclass(frozen=True)
class Requires:
    """What an output needs of the stages before, by the names in the configuration.

    Attributes:
        artefacts: Of the zoo.
        clips, captions, features: Corpora whose tables it reads.
        runs: Role (``init``, ``syncnet``, ``run``) to the run that has it.
        after: Method whose results it reads.
    """

    artefacts: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    after: str | None = None


class Section(BaseModel):
    """Base of all section models: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_slips(cls, values: Any) -> Any:
        for key in cls.model_fields.keys() & values.keys() if isinstance(values, dict) else ():
            try:
                refuse_slips(cls.model_fields[key].annotation, values[key])
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from error
        return values

    def trim(self, dump: dict[str, Any]) -> None:
        """Remove from a dump of these values what they make irrelevant, e.g. the
        captioners that are not chosen.
        """

    def in_use(self) -> dict[str, Any]:
        """The fields whose names of other entries must be there; all by default."""
        return self.__dict__

    def unused_scalars(self) -> tuple[str, ...]:
        """Of ``seed`` and ``device``, what this entry of a named mapping does not use."""
        return ()

    def __getattr__(self, name: str) -> Any:
        if name in type(self).model_fields:
            raise EadbenchError(f"the settings lack {name!r} ({type(self).__name__})", name, NOT_GIVEN)
        return super().__getattr__(name)


def shaping(value: Any) -> Any:
    """What of some settings shapes a result, as JSON can hold it; for jobs' parameters
    and for the keys of what may be resumed.
    """
    if isinstance(value, Section):
        dump = {key: shaping(item) for key, item in value.__dict__.items() if shapes(type(value), key)}
        value.trim(dump)
        return dump
    if isinstance(value, dict):
        return {key: shaping(item) for key, item in value.items()}
    return [shaping(item) for item in value] if isinstance(value, (list, tuple)) else value


def incidental(value: Any) -> dict[str, Any]:
    """The rest: what a command reads and no result depends on."""
    if not isinstance(value, (Section, dict)):
        return {}
    is_section = isinstance(value, Section)
    rest = {}
    for key, item in (value.__dict__ if is_section else value).items():
        if is_section and not shapes(type(value), key):
            rest[key] = shaping(item)
        elif inner := incidental(item):
            rest[key] = inner
    return rest


def shapes(model: type[Section], key: str) -> bool:
    extra = model.model_fields[key].json_schema_extra
    return not (isinstance(extra, dict) and extra.get("shapes") is False)


def models_in(annotation: Any) -> list[type[Section]]:
    """Section models that a field's type is made of."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, Section) else []
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def checked_type(field: FieldInfo) -> Any:
    """The type of a field for a ``TypeAdapter``, with its constraints and
    :func:`refuse_slips`.
    """
    annotation = field.annotation
    return Annotated[(annotation, *field.metadata, BeforeValidator(partial(refuse_slips, annotation)))]


def refuse_slips(annotation: Any, value: Any) -> Any:
    """The value, if it is no slip of the pen that pydantic would accept: it takes ``yes``
    for the number 1.

    Raises:
        ValueError: For a truth value where the type has none, or a list of texts that
            holds one twice.
    """
    items = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(item, bool) for item in items) and not _has_bool(annotation):
        raise ValueError("`true`, `yes` and the like are neither numbers nor texts; quote what is a text")
    if len(items) > 1 and all(isinstance(item, str) for item in items) and len(set(items)) < len(items):
        raise ValueError(f"{next(item for item in items if items.count(item) > 1)!r} stands twice")
    return value


def _has_bool(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(map(_has_bool, get_args(annotation)))


def part_of(model: type[Section], values: Any) -> Any:
    """A section that may lack fields: those given are validated, reading another one
    raises (unless it shapes nothing: its default).
    """
    if not isinstance(values, dict):
        return model.model_validate(values)
    fields = model.model_fields
    is_complete = {key for key in fields if shapes(model, key)} <= set(values)
    has_inner_models = any(models_in(field.annotation) for field in fields.values())
    if is_complete and not has_inner_models:
        return model.model_validate(values)
    validated = {}
    for key, value in values.items():
        if key not in fields:
            model.model_validate({key: value})  # says which
        with _located(key):
            validated[key] = _part_of(fields[key].annotation, checked_type(fields[key]), value)
    for key, field in fields.items():
        if key not in validated and not shapes(model, key) and not field.is_required():
            validated[key] = field.get_default(call_default_factory=True)
    built = model.model_construct()
    object.__setattr__(built, "__dict__", validated)
    return built


def _part_of(annotation: Any, whole: Any, value: Any) -> Any:
    models = models_in(annotation)
    if not models or not isinstance(value, dict):
        return TypeAdapter(whole).validate_python(value)
    if is_mapping(annotation):
        entry = get_args(annotation)[1]
        validated = {}
        for key, item in value.items():
            with _located(key):
                validated[key] = _part_of(entry, entry, item)
        return validated
    for model in models if len(models) > 1 else ():
        if value.get("kind") in get_args(model.model_fields["kind"].annotation):
            return part_of(model, value)
    return part_of(models[0], value)


@contextmanager
def _located(key: str) -> Iterator[None]:
    """Adds a key to the place of the mistakes below it."""
    try:
        yield
    except ValidationError as error:
        lines = [
            {"type": e["type"], "loc": (key, *e["loc"]), "input": e["input"], "ctx": e.get("ctx", {})}
            for e in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, lines) from error


def is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict
