"""The JSON Schemas of declared structures: what a request may contain, and what is written.

Responses and payloads of events are written alike, so their schemas are the same except for members
that a payload of an older schema version lacks. A schema allows the declared members only. Each
field has an example: one without is an error.
Next: shop/value_schemas.py
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from storelog.shop.event_kinds import EventKind
from storelog.shop.fields import Field, fields_of, request_fields_of
from storelog.shop.kinds import Choice, Example, ImportOnly, Kind, Lines, Upcast
from storelog.shop.value_schemas import Json, asked, written


def request_schema(structure: type[Struct]) -> Json:
    """Return the schema of a request. Its example leaves out fields that only an import may set."""
    fields = request_fields_of(structure)
    members = {field.json: _member(field, asked, request_schema) for field in fields}
    shown = [field.json for field in fields if not field.is_import_only]
    return _object(members, [f.json for f in fields if not f.is_optional], shown)


def response_schema(structure: type[Struct]) -> Json:
    """Return the schema of a structure as a response has it."""
    return _written_object(fields_of(structure))


def payload_schema(kind: EventKind, version: int) -> Json:
    """Return the schema of the payloads of a kind of event, of a schema version."""
    return _written_object(kind.fields_of_version(version))


def _written_object(fields: Iterable[Field]) -> Json:
    """Return the schema of fields; where some need a text of the choice, one for each text."""
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
            members[field.json] = _member(field, written, response_schema)
            # UNSET by default because other texts lack it; with its own text it is always there.
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
    # A member that an upcaster adds is null only in memory, when an older payload is read.
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
