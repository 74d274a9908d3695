"""Reads a declared structure: its fields with their kinds and marks, in the order of declaration.

Guarantees that a room can rely on what it derives from a declaration: a field without a kind, or
with a mark that does not fit, is an error when the declaration is read.
Next: shop/event_kinds.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import (
    Annotated,
    Any,
    TypeVar,
    Union,
    assert_never,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import UNSET, Struct, UnsetType

from storelog.shop.kinds import (
    Amount,
    Choice,
    EmailAddress,
    Flag,
    ImportOnly,
    Instant,
    IsComputed,
    IsPersonal,
    Kind,
    Lines,
    Mark,
    OnlyWith,
    PhoneNumber,
    Reference,
    Searched,
    Since,
    Text,
    Unique,
    Whole,
)
from storelog.typed_cache import cached

M = TypeVar("M", bound=Mark)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `name` in Python and SQL, `json` in JSON and documents.

    `line` is the structure of an array's objects. `is_optional`: it has a default, so input may
    lack it. `is_unset`: that default is UNSET, so output may lack it too. `is_nullable`: it may be
    null.
    """

    name: str
    json: str
    kind: Kind
    line: type[Struct] | None
    is_optional: bool
    is_unset: bool
    is_nullable: bool
    marks: tuple[Mark, ...]

    def mark(self, kind: type[M]) -> M | None:
        """Return the outermost mark of a kind, if the field has it."""
        # Marks are listed from the inside out, so a field can override the mark of its type.
        return next((mark for mark in reversed(self.marks) if isinstance(mark, kind)), None)

    @property
    def is_computed(self) -> bool:
        """Whether the value follows from other fields."""
        return self.mark(IsComputed) is not None

    @property
    def is_personal(self) -> bool:
        """Whether the value is about a person."""
        return self.mark(IsPersonal) is not None

    @property
    def is_import_only(self) -> bool:
        """Whether only an import may set it."""
        return self.mark(ImportOnly) is not None

    @property
    def is_id(self) -> bool:
        """Whether it is a number that names something."""
        return getattr(self.kind, "is_id", False)

    @property
    def since(self) -> Since | None:
        """The version of the structure that added the field, None for the first version."""
        return self.mark(Since)

    @property
    def reference(self) -> str | None:
        """The collection whose document the id names."""
        mark = self.mark(Reference)
        return None if mark is None else mark.collection

    @property
    def unique(self) -> Unique | None:
        """The slug of the rejection where the value must be unique."""
        return self.mark(Unique)

    @property
    def only_with(self) -> str | None:
        """The text of the structure's choice that the field is limited to."""
        mark = self.mark(OnlyWith)
        return None if mark is None else mark.text


_FIELDS: dict[type[Struct], tuple[Field, ...]] = {}


def fields_of(structure: type[Struct]) -> tuple[Field, ...]:
    """Return the fields of a declared structure. Raises TypeError for one without a kind."""
    fields = _FIELDS.get(structure)
    if fields is None:
        hints = get_type_hints(structure, include_extras=True)
        members = msgspec.structs.fields(structure)
        fields = tuple(_field(structure, each, hints[each.name]) for each in members)
        _check_choice(structure, fields)
        _check_marks(structure, fields)
        _FIELDS[structure] = fields
    return fields


def field_at(member: object) -> Field:
    """Return the field of an attribute of a declared class, as in `field_at(Product.stock)`."""
    attribute: Any = member
    fields = fields_of(attribute.__objclass__)
    return next(field for field in fields if field.name == attribute.__name__)


def request_fields_of(structure: type[Struct]) -> tuple[Field, ...]:
    """Return the fields of a request. Raises TypeError where one is computed."""
    fields = fields_of(structure)
    for field in fields:
        if field.is_computed:
            raise TypeError(
                f"{structure.__name__}.{field.name}: no client may set what is computed"
            )
    return fields


def _check_choice(structure: type[Struct], fields: tuple[Field, ...]) -> None:
    choices = [field.kind.texts for field in fields if isinstance(field.kind, Choice)]
    for field in fields:
        if field.only_with is not None and (
            len(choices) != 1 or field.only_with not in choices[0] or not field.is_unset
        ):
            raise TypeError(
                f"{structure.__name__}.{field.name} is not UNSET without a text of one choice"
            )


def _check_marks(structure: type[Struct], fields: tuple[Field, ...]) -> None:
    # Without holes: each version is one step of upcasting (EventKind.steps).
    versions = {field.since.version for field in fields if field.since is not None}
    if versions != set(range(2, len(versions) + 2)):
        raise TypeError(f"{structure.__name__} has newer fields of other versions than 2, 3, ...")
    for field in fields:
        wrong = {
            "had a value that it cannot have": field.since is not None
            and not _could_be(field, field.since.before),
            "is searched by its words and is not a text": field.mark(Searched) is not None
            and not isinstance(field.kind, Text | EmailAddress | PhoneNumber | Choice),
            "is unique and is not a text": field.unique is not None
            and not isinstance(field.kind, Text),
        }
        for what in (text for text, is_wrong in wrong.items() if is_wrong):
            raise TypeError(f"{structure.__name__}.{field.name} {what}")


def _could_be(field: Field, value: Any) -> bool:
    """Tell whether a value may be the field's value in JSON."""
    if value is None:
        return field.is_nullable
    match field.kind:
        case Whole():
            return type(value) is int
        case Flag():
            return isinstance(value, bool)
        case Text() | EmailAddress() | PhoneNumber() | Choice() | Amount() | Instant():
            return isinstance(value, str)
        case Lines():
            return False
        case _:
            assert_never(field.kind)


@cached()
def values_before(structure: type[Struct]) -> Mapping[str, Any]:
    """Return the fields added later, by their names in JSON, each with its value before that."""
    return {field.json: field.since.before for field in fields_of(structure) if field.since}


def searched_fields_of(structure: type[Struct]) -> list[Field]:
    """Return the fields by whose words an entity is found."""
    return [field for field in fields_of(structure) if field.mark(Searched) is not None]


@cached()
def unique_fields_of(structure: type[Struct]) -> tuple[Field, ...]:
    """Return the fields whose values no two entities may share."""
    return tuple(field for field in fields_of(structure) if field.unique is not None)


def _field(structure: type[Struct], found: msgspec.structs.FieldInfo, hint: Any) -> Field:
    types: list[Any] = []
    said: list[Any] = []
    _unfold(hint, types, said)
    kinds = [each for each in said if isinstance(each, Kind)]
    if len(kinds) != 1:
        raise TypeError(f"{structure.__name__}.{found.name} has {len(kinds)} kinds, not one")
    line = next((get_args(t)[0] for t in types if get_origin(t) is tuple), None)
    if isinstance(kinds[0], Lines) != (line is not None):
        raise TypeError(f"{structure.__name__}.{found.name}: lines are a tuple of a structure")
    return Field(
        found.name,
        found.encode_name,
        kinds[0],
        line,
        found.default is not msgspec.NODEFAULT,
        found.default is UNSET,
        type(None) in types,
        tuple(each for each in said if isinstance(each, Mark)),
    )


def _unfold(hint: Any, types: list[Any], said: list[Any]) -> None:
    """Collect the plain types of an annotation, and the kinds and marks on them."""
    # get_type_hints leaves nested Annotated inside unions, as in `Personal[Name] | None`.
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *marks = get_args(hint)
        _unfold(inner, types, said)
        said += marks
    elif origin in (Union, UnionType):
        for part in get_args(hint):
            _unfold(part, types, said)
    elif hint is not UnsetType:
        types.append(hint)
