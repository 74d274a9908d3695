"""The forms of declared structures in documents: written from a structure, read to a body.

An entity's own id is stored under its Python name, all other fields under their names in JSON. A
field that refers to another collection is stored as a DBRef as well. Guarantees that a value is
written and read exactly: money as a decimal, times as dates, ids as 64-bit numbers.
Next: read_models/orders/model.py
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, assert_never

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from msgspec import Struct

from storelog.envelope import format_time, parse_time
from storelog.shop.event_kinds import EventKind
from storelog.shop.fields import Field, fields_of, searched_fields_of
from storelog.shop.kinds import (
    Amount,
    Choice,
    EmailAddress,
    Flag,
    Instant,
    Kind,
    Lines,
    PhoneNumber,
    Text,
    Whole,
)
from storelog.shop.money import format_money
from storelog.typed_cache import cached

Document = dict[str, Any]
Conversion = Callable[[Any], Any]


@cached(4_096)
def decimal128(digits: str) -> Decimal128:
    """Return a number from its digits. Cached: making one is slow, and a shop has few prices."""
    # By digits, not by the number: 1.0 equals 1.00, and the cache would mix up their places.
    return Decimal128(digits)


def document_of(structure: Struct, kind: type[Struct] | None = None) -> Document:
    """Return a structure's fields as a document has them; `kind`: only the fields of that one."""
    document: Document = {}
    for name, get, form, reference, collection in _writers(kind or type(structure)):
        value = get(structure)
        if form is not None:
            value = form(value)
        if collection is not None:
            # The same bytes as a DBRef object, which takes the driver many times as long to encode.
            document[reference] = {"$ref": collection, "$id": value}
        document[name] = value
    return document


def members_of(event: Struct, kind: EventKind) -> Document:
    """Return the fields of its entity that an event sets, each with its member's value."""
    return {
        name: get(event) if form is None else form(get(event))
        for name, get, form in _member_writers(kind)
    }


@cached()
def _writers(
    kind: type[Struct],
) -> tuple[tuple[str, Conversion, Conversion | None, str, str | None], ...]:
    """Return how each field is written: its name, what reads it, what converts it (None: nothing),
    and the name and the collection of its reference, if it refers to one.
    """
    return tuple(
        (name, attrgetter(field.name), _writer(field), _name_of_reference(name), field.reference)
        for field in fields_of(kind)
        for name in (document_name(kind, field),)
    )


@cached()
def _member_writers(kind: EventKind) -> tuple[tuple[str, Conversion, Conversion | None], ...]:
    structure = kind.entity.structure
    return tuple(
        (document_name(structure, field), attrgetter(kind.members[field.name]), _writer(field))
        for field in fields_of(structure)
        if field.name in kind.members
    )


def document_name(kind: type[Struct], field: Field) -> str:
    """Return the name of a field in the documents of a structure."""
    is_own_id = field.is_id and field.name == f"{kind.__name__.lower()}_id"
    return field.name if is_own_id else field.json


def _name_of_reference(name: str) -> str:
    return name.removesuffix("Id")


def _writer(field: Field) -> Conversion | None:
    form = _form_of(field)
    if form is None or not field.is_nullable:
        return form
    return lambda value: None if value is None else form(value)


def _form_of(field: Field) -> Conversion | None:
    """Return what converts a value to its form in documents, None where nothing has to."""
    match field.kind:
        case Whole(is_id=True):
            return Int64
        case Amount():
            return lambda amount: decimal128(str(amount))
        case Lines():
            return lambda lines: [document_of(line) for line in lines]
        case Whole() | Text() | EmailAddress() | PhoneNumber() | Instant() | Flag() | Choice():
            return None
        case _:
            assert_never(field.kind)


def _as_it_is(value: Any) -> Any:
    return value


def fields_of_facts(kind: type[Struct], facts: Mapping[str, Any]) -> Document:
    """Return the fields of a structure's documents from facts in their JSON form.

    A field that is newer than the facts gets the value declared for older data.
    """
    document: Document = {}
    for field in fields_of(kind)[1:]:
        if field.json in facts:
            document[document_name(kind, field)] = _from_json(field, facts[field.json])
        elif field.since is not None:
            document[document_name(kind, field)] = _from_json(field, field.since.before)
    return document


def _from_json(field: Field, value: Any) -> Any:
    if value is None:
        return None
    line = field.line
    match field.kind:
        case Whole(is_id=True):
            return Int64(value)
        case Amount():
            return decimal128(value)
        case Instant():
            return parse_time(value)
        case Whole() | Text() | EmailAddress() | PhoneNumber() | Flag() | Choice():
            return value
        case Lines() if line is not None:
            return [_line_of_facts(line, each) for each in value]
        case Lines():
            raise TypeError("lines without a structure")
        case _:
            assert_never(field.kind)


def _line_of_facts(line: type[Struct], facts: Mapping[str, Any]) -> Document:
    return {
        document_name(line, field): _from_json(field, facts[field.json])
        for field in fields_of(line)
    }


def body_of(kind: type[Struct], found: Mapping[str, Any]) -> Document:
    """Return the JSON body of a document of a structure.

    A field that is newer than the document gets the value declared for older data.
    """
    plain, newer = _readers(kind)
    body = {name: form(found[of]) for name, of, form in plain}
    for name, of, form, before in newer:
        body[name] = form(found[of]) if of in found else before
    return body


MemberReader = tuple[str, str, Conversion]


@cached()
def _readers(
    kind: type[Struct],
) -> tuple[tuple[MemberReader, ...], tuple[tuple[str, str, Conversion, Any], ...]]:
    """Return how each field is read: those of the first version, and those added later."""
    first = fields_of(kind)[0].name
    plain, newer = [], []
    for field in fields_of(kind):
        of = "_id" if field.name == first else document_name(kind, field)
        reader = (field.json, of, _reader(field))
        if field.since is None:
            plain.append(reader)
        else:
            newer.append((*reader, field.since.before))
    return tuple(plain), tuple(newer)


def _reader(field: Field) -> Conversion:
    form = _json_form_of(field)
    return (lambda value: None if value is None else form(value)) if field.is_nullable else form


def _json_form_of(field: Field) -> Conversion:
    line = field.line
    match field.kind:
        case Whole():
            return int
        case Amount():
            return money_of
        case Instant():
            return format_time
        case Lines() if line is not None:
            return lambda lines: [line_body_of(line, each) for each in lines]
        case Text() | EmailAddress() | PhoneNumber() | Flag() | Choice() | Lines():
            return _as_it_is
        case _:
            assert_never(field.kind)


def line_body_of(kind: type[Struct], found: Mapping[str, Any]) -> Document:
    """Return the body of one line of a document."""
    return {name: form(found[name]) for name, form in _line_readers(kind)}


@cached()
def _line_readers(kind: type[Struct]) -> tuple[tuple[str, Conversion], ...]:
    return tuple((field.json, _reader(field)) for field in fields_of(kind))


def money_of(amount: Decimal128) -> str:
    """Return an amount of a document as JSON shows it."""
    return _written(amount.bid)


@cached(4_096)
def _written(amount: bytes) -> str:
    """Return an amount as text. Cached: prices repeat, and converting one takes 5 us."""
    return format_money(Decimal128.from_bid(amount).to_decimal())


def oldest_fields(kind: type[Struct]) -> list[str]:
    """Return the names in documents of the fields that every document has: none added later."""
    return [document_name(kind, field) for field in fields_of(kind) if field.since is None]


def searched_names_of(kind: type[Struct]) -> list[str]:
    """Return the names in documents of the fields by whose words an entity is found."""
    return [document_name(kind, field) for field in searched_fields_of(kind)]


def types_of(kind: type[Struct]) -> dict[str, str | list[str]]:
    """Return the BSON types of a structure's fields, by their names in documents."""
    return {document_name(kind, field): _type_of(field) for field in fields_of(kind)}


def _type_of(field: Field) -> str | list[str]:
    name = _type_of_kind(field.kind)
    if not field.is_nullable:
        return name
    return [*([name] if isinstance(name, str) else name), "null"]


def _type_of_kind(kind: Kind) -> str | list[str]:
    match kind:
        case Whole(is_id=True):
            return "long"
        case Whole():
            return ["int", "long"]
        case Amount():
            return "decimal"
        case Instant():
            return "date"
        case Flag():
            return "bool"
        case Lines():
            return "array"
        case Text() | EmailAddress() | PhoneNumber() | Choice():
            return "string"
        case _:
            assert_never(kind)
