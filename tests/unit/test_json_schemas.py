"""The JSON Schemas of declared structures with a field of every kind and mark, written out."""

from dataclasses import replace
from typing import Annotated, Any

from msgspec import UNSET, Struct, UnsetType

from storelog.command_service import requests
from storelog.shop.checks import check_event
from storelog.shop.event_kinds import EventKind, Json
from storelog.shop.events import KINDS
from storelog.shop.json_schema import payload_schema, request_schema, response_schema
from storelog.shop.kinds import (
    Choice,
    Computed,
    Email,
    Example,
    Id,
    ImportOnly,
    Lines,
    Name,
    OnlyWith,
    Personal,
    Phone,
    Price,
    Quantity,
    Reference,
    Since,
    Stock,
    Text,
    Total,
    Unique,
    Upcast,
    When,
    Whole,
    YesNo,
)

MAX_ID = 9_223_372_036_854_775_807
AT = "2026-01-31T12:00:00.005Z"
Sku = Annotated[str, Text(1, 64), Example("LAMP-1"), Unique("sku-taken")]


class Part(Struct, frozen=True, rename="camel"):
    """A line."""

    part_id: Annotated[Id, Reference("parts")]
    price: Annotated[Price, ImportOnly("what was paid.")] | UnsetType = UNSET


class NewThing(Struct, frozen=True, rename="camel"):
    """A request with a field of every kind that a client may say."""

    full_name: Personal[Annotated[Name, Example("Ann")]]
    email: Annotated[Email, Example("a@b")]
    price: Price | None
    height: Annotated[int, Whole(-5, 5), Example(-2)]
    parts: Annotated[tuple[Part, ...], Lines(1, 3)]
    phone: Annotated[Phone, Example("+44")] | None = None
    sku: Sku | UnsetType | None = UNSET
    made_at: Annotated[When, ImportOnly("when it was made.")] | UnsetType = UNSET


class Made(Struct, frozen=True, rename="camel"):
    """A line of what is written."""

    part_id: Id
    count: Quantity


class Thing(Struct, frozen=True, rename="camel"):
    """What is written, with a field of every kind and mark."""

    product_id: Id
    full_name: Personal[Annotated[Name, Example("Ann")]]
    email: Annotated[Email, Example("a@b")]
    phone: Annotated[Phone, Example(None)] | None
    price: Price
    total: Total
    made_at: When
    is_new: Computed[YesNo]
    colour: Annotated[str, Choice(("red", "blue"))]
    parts: Annotated[tuple[Made, ...], Lines(1, 3)]
    sku: Annotated[Sku | None, Since(version=2, before=None)] = None
    weight: Annotated[Stock, Since(version=3, before=0)] = 0


class Turned(Struct, frozen=True, rename="camel"):
    """An event whose members go with a choice; one of them came by an upcaster."""

    product_id: Id
    why: Annotated[str, Choice(("Fell", "Sold"))]
    note: (
        Annotated[Name, Example("ouch"), OnlyWith("Fell"), Upcast(before=2)] | UnsetType | None
    ) = UNSET
    price: Annotated[Price, OnlyWith("Sold")] | UnsetType = UNSET
    sku: Annotated[Sku | None, Since(version=2, before=None)] = None


def kind(payload: type[Struct], **said: Any) -> EventKind:
    declared = replace(KINDS["ProductSold"], payload=payload, sets={}, about={}, shown=payload)
    return replace(declared, **said)


def whole(lowest: int, highest: int, shown: int) -> Json:
    return {"type": "integer", "minimum": lowest, "maximum": highest, "examples": [shown]}


def closed(required: str, example: Json, **properties: Json) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
        "examples": [example],
    }


ID = whole(1, MAX_ID, 5)
NAME = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\x00]*$"}
SKU = {"type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": r"^[^\x00]*$"}
TIME = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
    "examples": [AT],
}
MONEY = {"type": "string", "pattern": r"^\d+\.\d{2,8}$", "examples": ["12.75"]}
MONEY_ASKED = {
    "oneOf": [
        {"type": "number", "minimum": 0, "maximum": 9_999_999_999, "multipleOf": 0.0001},
        {
            "type": "string",
            "maxLength": 40,
            "pattern": r"^(-?0+(\.0+)?|0*[0-9]{1,10}(\.[0-9]{1,4}0*)?)$",
            "not": {"pattern": r"^0*9999999999\.0*[1-9]"},
        },
    ]
}


def test_a_request_may_say_what_its_declaration_says() -> None:
    schema = request_schema(NewThing)
    # Their patterns are long; test_limits_of_fields.py tries them.
    assert schema["properties"]["email"].pop("pattern").count("@") == 5
    assert "[0-9]" in schema["properties"]["phone"].pop("pattern")
    example = {
        "fullName": "Ann",
        "email": "a@b",
        "price": "12.75",
        "height": -2,
        "parts": [{"partId": 5}],
        "phone": "+44",
        "sku": "LAMP-1",
    }
    part = closed(
        "partId",
        {"partId": 5},
        partId=ID,
        price={**MONEY_ASKED, "description": "Import only: what was paid.", "examples": ["12.75"]},
    )
    assert schema == closed(
        "fullName email price height parts",
        example,
        fullName={**NAME, "examples": ["Ann"]},
        email={"type": "string", "minLength": 3, "maxLength": 254, "examples": ["a@b"]},
        price={"anyOf": [MONEY_ASKED, {"type": "null"}], "examples": ["12.75"]},
        height=whole(-5, 5, -2),
        parts={
            "type": "array",
            "items": part,
            "minItems": 1,
            "maxItems": 3,
            "examples": [[{"partId": 5}]],
        },
        phone={
            "type": ["string", "null"],
            "maxLength": 1_000,
            "description": "Blanks, dots, hyphens, brackets and a (0) after a country code are left"
            " out.",
            "examples": ["+44"],
        },
        sku={**SKU, "examples": ["LAMP-1"]},
        madeAt={
            "type": "string",
            "format": "date-time",
            "pattern": "^(19|2[0-9])[0-9]{2}-",
            "description": "Import only: when it was made.",
            "examples": [AT],
        },
    )


class Loose(Struct, frozen=True, rename="camel"):
    """A request that may leave out its lines."""

    full_name: Annotated[Name, Example("Ann")]
    parts: Annotated[tuple[Part, ...], Lines(1, 3)] | UnsetType = UNSET


def test_lines_may_be_left_out_where_they_are_declared_so() -> None:
    assert request_schema(Loose)["required"] == ["fullName"]
    said = requests.read(Loose, {"fullName": "Ann"})
    assert said == Loose("Ann")
    assert not requests.is_import(said)


PART = closed("partId count", {"partId": 5, "count": 2}, partId=ID, count=whole(1, 1_000_000, 2))
FIRST_REQUIRED = "productId fullName email phone price total madeAt isNew colour parts"
FIRST_EXAMPLE: Json = {
    "productId": 5,
    "fullName": "Ann",
    "email": "a@b",
    "phone": None,
    "price": "12.75",
    "total": "25.50",
    "madeAt": AT,
    "isNew": True,
    "colour": "red",
    "parts": [{"partId": 5, "count": 2}],
}
FIRST: dict[str, Json] = {
    "productId": ID,
    "fullName": {**NAME, "examples": ["Ann"]},
    "email": {
        "type": "string",
        "minLength": 3,
        "maxLength": 254,
        "pattern": r"^[^@\x00]*@[^@\x00]*$",
        "examples": ["a@b"],
    },
    "phone": {
        "type": ["string", "null"],
        "maxLength": 15,
        "pattern": r"^[^\x00]*$",
        "examples": [None],
    },
    "price": MONEY,
    "total": {"type": "string", "pattern": r"^\d+\.\d{2}$", "examples": ["25.50"]},
    "madeAt": TIME,
    "isNew": {"type": "boolean", "examples": [True]},
    "colour": {"enum": ["red", "blue"], "examples": ["red"]},
    "parts": {
        "type": "array",
        "items": PART,
        "minItems": 1,
        "maxItems": 3,
        "examples": [[{"partId": 5, "count": 2}]],
    },
}
WITH_SKU = {**FIRST, "sku": {**SKU, "examples": ["LAMP-1"]}}
WITH_WEIGHT = {**WITH_SKU, "weight": whole(0, 2_147_483_647, 8)}
EXAMPLE_WITH_SKU = {**FIRST_EXAMPLE, "sku": "LAMP-1"}
WHOLE_THING = closed(
    f"{FIRST_REQUIRED} sku weight", {**EXAMPLE_WITH_SKU, "weight": 8}, **WITH_WEIGHT
)


def test_a_response_has_every_field_whatever_release_wrote_it() -> None:
    assert response_schema(Thing) == WHOLE_THING


def test_a_payload_of_an_older_version_lacks_the_fields_that_came_later() -> None:
    declared = kind(Thing)
    assert declared.version == 3
    assert payload_schema(declared, 1) == closed(FIRST_REQUIRED, FIRST_EXAMPLE, **FIRST)
    assert payload_schema(declared, 2) == closed(
        f"{FIRST_REQUIRED} sku", EXAMPLE_WITH_SKU, **WITH_SKU
    )
    assert payload_schema(declared, 3) == WHOLE_THING


def test_a_payload_with_a_choice_has_a_schema_for_each_text() -> None:
    declared = kind(Turned, upcasters={1: lambda payload: {"note": None, **payload}})
    check_event(replace(declared, shown=Turned))
    assert declared.version == 3
    note, sku = {**NAME, "examples": ["ouch"]}, {**SKU, "examples": ["LAMP-1"]}
    fell = {"const": "Fell", "examples": ["Fell"]}
    sold = {"const": "Sold", "examples": ["Sold"]}
    one, other = {"productId": 5, "why": "Fell"}, {"productId": 5, "why": "Sold", "price": "12.75"}
    first = closed("productId why", one, productId=ID, why=fell)
    second = closed("productId why price", other, productId=ID, why=sold, price=MONEY)
    assert payload_schema(declared, 1) == {"oneOf": [first, second], "examples": [one, other]}
    noted = {**one, "note": "ouch"}
    first = closed("productId why note", noted, productId=ID, why=fell, note=note)
    assert payload_schema(declared, 2) == {"oneOf": [first, second], "examples": [noted, other]}
    noted, other = {**noted, "sku": "LAMP-1"}, {**other, "sku": "LAMP-1"}
    first = closed("productId why note sku", noted, productId=ID, why=fell, note=note, sku=sku)
    second = closed("productId why price sku", other, productId=ID, why=sold, price=MONEY, sku=sku)
    assert payload_schema(declared, 3) == {"oneOf": [first, second], "examples": [noted, other]}
