"""Documents and histories that are older than a field: they are read with its value of before."""

from typing import Annotated

import bson
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from msgspec import Struct

from storelog.documents.forms import body_of, document_of, fields_of_facts
from storelog.envelope import parse_time
from storelog.shop.kinds import (
    Id,
    Money,
    Name,
    Price,
    Reference,
    Since,
    Stock,
    Time,
    When,
    YesNo,
)

AT = "2026-01-31T12:00:00.005Z"


class Thing(Struct, frozen=True, rename="camel"):
    """A structure with a newer field of each kind."""

    thing_id: Id
    name: Name
    old_price: Annotated[Price, Since(2, "0.00")]
    made_at: Annotated[When, Since(2, "2000-01-01T00:00:00.000Z")]
    maker_id: Annotated[Id | None, Since(2, None)]
    left_over: Annotated[Stock, Since(3, 7)]
    is_new: Annotated[YesNo, Since(3, before=False)]
    word: Annotated[Name | None, Since(3, "none")]


OLD = {"_id": Int64(5), "name": "Lamp"}
NEW = Thing(5, "Lamp", Money("1.50"), Time.of(parse_time(AT)), 9, 3, True, None)
BODY = {
    "thingId": 5,
    "name": "Lamp",
    "oldPrice": "1.50",
    "madeAt": AT,
    "makerId": 9,
    "leftOver": 3,
    "isNew": True,
    "word": None,
}
BEFORE = {
    "oldPrice": "0.00",
    "madeAt": "2000-01-01T00:00:00.000Z",
    "makerId": None,
    "leftOver": 7,
    "isNew": False,
    "word": "none",
}


def test_a_document_older_than_a_field_has_its_value_of_before() -> None:
    assert body_of(Thing, OLD) == {"thingId": 5, "name": "Lamp", **BEFORE}


def test_a_document_as_new_as_its_fields_has_theirs() -> None:
    assert body_of(Thing, {"_id": 5, **document_of(NEW)}) == BODY


def test_a_history_older_than_a_field_has_its_value_of_before() -> None:
    document = fields_of_facts(Thing, {"name": "Lamp"})
    assert document["oldPrice"] == Decimal128("0.00")
    assert document["madeAt"] == parse_time("2000-01-01T00:00:00.000Z")
    assert body_of(Thing, {"_id": 5, **document}) == {"thingId": 5, "name": "Lamp", **BEFORE}


def test_facts_of_every_kind_are_read_as_documents_have_them() -> None:
    facts = {name: value for name, value in BODY.items() if name != "thingId"}
    document = fields_of_facts(Thing, facts)
    written = document_of(NEW)
    assert document == {name: written[name] for name in document}
    assert type(document["makerId"]) is Int64
    assert body_of(Thing, {"_id": 5, **document}) == BODY


class Owned(Struct, frozen=True, rename="camel"):
    """A structure that refers to another collection."""

    owned_id: Id
    owner_id: Annotated[Id, Reference("customers")]


def test_a_reference_has_the_bytes_of_a_dbref() -> None:
    expected = {"owned_id": Int64(7), "owner": DBRef("customers", Int64(9)), "ownerId": Int64(9)}
    assert bson.encode(document_of(Owned(7, 9))) == bson.encode(expected)
