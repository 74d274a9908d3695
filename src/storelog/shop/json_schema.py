"""The JSON Schemas of declared structures: what a request may say, and what is written.

Responses and payloads of events are written alike, so their schemas are the same, but for the
members that a payload of an older schema version lacks. No schema has members beside the declared
ones, and each has an example: a field without one is an error.
Next: command_service/schemas.py
"""

from collections.abc import Callable, Iterable
from typing import Any, assert_never

from msgspec import Struct

from storelog.shop.characters import BETWEEN_DIGITS, UNSEEN
from storelog.shop.event_kinds import EventKind
from storelog.shop.fields import Field, fields_of, request_fields_of
from storelog.shop.kinds import (
    Amount,
    Choice,
    EmailAddress,
    Example,
    Flag,
    ImportOnly,
    Instant,
    Kind,
    Lines,
    PhoneNumber,
    Text,
    Upcast,
    Whole,
)

Json = dict[str, Any]
TIME: Json = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
_NO_NUL = r"^[^\x00]*$"
_BETWEEN = rf"[{BETWEEN_DIGITS}()\[\]]*"


def request_schema(structure: type[Struct]) -> Json:
    """Return the schema of a request. What only an import may say is not in its example."""
    fields = request_fields_of(structure)
    members = {field.json: _member(field, _asked, request_schema) for field in fields}
    shown = [field.json for field in fields if not field.is_import_only]
    return _object(members, [f.json for f in fields if not f.is_optional], shown)


def response_schema(structure: type[Struct]) -> Json:
    """Return the schema of a structure as a response has it."""
    return _written_object(fields_of(structure))


def payload_schema(kind: EventKind, version: int) -> Json:
    """Return the schema of the payloads of a kind of event, of a schema version."""
    return _written_object(kind.fields_of_version(version))


def value_schema(kind: Kind, description: str) -> Json:
    """Return the schema of a value of a kind, as a parameter."""
    return {**_written(kind), "description": description}


def _written_object(fields: Iterable[Field]) -> Json:
    """Return the schema of fields; where some are only there with a text, one for each text."""
    choice = next((field for field in fields if isinstance(field.kind, Choice)), None)
    if choice is None or all(field.only_with is None for field in fields):
        return _object_of(fields)
    assert isinstance(choice.kind, Choice)
    schemas = [_object_of(fields, choice, text) for text in choice.kind.texts]
    return {"oneOf": schemas, "examples": [schema["examples"][0] for schema in schemas]}


def _object_of(fields: Iterable[Field], choice: Field | None = None, text: str = "") -> Json:
    members, required = {}, []
    for field in fields:
        if field.only_with in (None, text):
            members[field.json] = _member(field, _written, response_schema)
            if field.only_with or not field.is_unset:
                required.append(field.json)
    if choice is not None:
        members[choice.json] = {"const": text, "examples": [text]}
    return _object(members, required, list(members))


def _object(members: Json, required: list[str], shown: list[str]) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": members,
        "examples": [{name: members[name]["examples"][0] for name in shown}],
    }


def _member(
    field: Field, of_kind: Callable[[Kind], Json], of_lines: Callable[[type[Struct]], Json]
) -> Json:
    if field.line is not None and isinstance(field.kind, Lines):
        schema = _array(field.kind, of_lines(field.line))
    else:
        schema = of_kind(field.kind)
    if field.is_nullable and field.mark(Upcast) is None:
        if "type" in schema:
            schema["type"] = [schema["type"], "null"]
        else:
            schema = {"anyOf": [schema, {"type": "null"}]}
    only = field.mark(ImportOnly)
    if only is not None:
        schema["description"] = f"Import only: {only.description}"
    return {**schema, "examples": [_example(field, schema)]}


def _array(kind: Lines, items: Json) -> Json:
    most = {} if kind.most is None else {"maxItems": kind.most}
    return {"type": "array", "items": items, "minItems": kind.fewest, **most}


def _example(field: Field, schema: Json) -> Any:
    if isinstance(field.kind, Lines):
        return [schema["items"]["examples"][0]]
    if isinstance(field.kind, Choice):
        return field.kind.texts[0]
    mark = field.mark(Example)
    if mark is None:
        raise TypeError(f"{field.name} has no Example to show in its JSON Schema")
    return mark.value


def _asked(kind: Kind) -> Json:
    """Return the schema of a value that a client sends."""
    match kind:
        case Amount():
            return {"oneOf": [_number(kind), {"type": "string", "pattern": _digits(kind)}]}
        case EmailAddress():
            seen, outer = f"[^@{UNSEEN}]*", rf"[^@\s{UNSEEN}]"
            return {**_written(kind), "pattern": f"^{outer}{seen}@{seen}{outer}$"}
        case PhoneNumber():
            return {
                "type": "string",
                "maxLength": kind.typed,
                "pattern": _dialled(kind),
                "description": "Blanks, dots, hyphens, brackets and a (0) after a country code"
                " are left out.",
            }
        case Instant():
            # The years of its limits.
            return {**TIME, "pattern": "^(19|2[0-9])[0-9]{2}-"}
        case Whole() | Text() | Flag() | Choice() | Lines():
            return _written(kind)
        case _:
            assert_never(kind)


def _number(kind: Amount) -> Json:
    step = float(f"1e-{kind.places}")
    return {"type": "number", "minimum": 0, "maximum": int(kind.highest), "multipleOf": step}


def _digits(kind: Amount) -> str:
    return rf"^[0-9]{{1,{len(str(kind.highest))}}}(\.[0-9]{{1,{kind.places}}})?$"


def _dialled(kind: PhoneNumber) -> str:
    digit, most = f"{_BETWEEN}[0-9]", kind.longest - 1
    number = rf"\+({digit}){{1,{most}}}|[0-9]({digit}){{0,{most}}}"
    return f"^({_BETWEEN}({number}){_BETWEEN})?$"


def _written(kind: Kind) -> Json:
    """Return the schema of a value that is written, by this release or by one before it."""
    match kind:
        case Whole():
            return {"type": "integer", "minimum": kind.lowest, "maximum": kind.highest}
        case Text():
            return _text(kind.shortest, kind.longest, _NO_NUL)
        case EmailAddress():
            return _text(kind.shortest, kind.longest, r"^[^@\x00]*@[^@\x00]*$")
        case PhoneNumber():
            return _text(0, kind.longest, _NO_NUL)
        case Amount():
            places = "2" if kind.stored == 2 else f"2,{kind.stored}"
            return {"type": "string", "pattern": rf"^\d+\.\d{{{places}}}$"}
        case Instant():
            return dict(TIME)
        case Flag():
            return {"type": "boolean"}
        case Choice():
            return {"enum": list(kind.texts)}
        case Lines():
            raise TypeError("lines without a structure")
        case _:
            assert_never(kind)


def _text(shortest: int, longest: int, pattern: str) -> Json:
    least = {"minLength": shortest} if shortest else {}
    return {"type": "string", **least, "maxLength": longest, "pattern": pattern}
