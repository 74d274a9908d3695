"""A declaration that leaves something open, or contradicts itself, is an error when it is read."""

from dataclasses import replace
from typing import Annotated, Any

import pytest
from msgspec import UNSET, Struct, UnsetType

from storelog.command_service import requests
from storelog.shop.checks import check_declared, check_entity, check_event
from storelog.shop.event_kinds import EntityKind, EventKind
from storelog.shop.events import CUSTOMER, ENTITIES, EVENTS, KINDS, ORDER, PRODUCT
from storelog.shop.fields import fields_of
from storelog.shop.json_schema import request_schema, response_schema
from storelog.shop.kinds import (
    Choice,
    Computed,
    Example,
    Id,
    Lines,
    Name,
    OnlyWith,
    Price,
    Reference,
    Searched,
    Since,
    Stock,
    Text,
    Unique,
    Upcast,
    YesNo,
)
from storelog.shop.order import OrderOwner
from storelog.shop.product import Product, ProductSold, Sku


class WithoutKind(Struct, frozen=True):
    name: str


class WithTwoKinds(Struct, frozen=True):
    name: Annotated[str, Text(1, 2), Choice(("a",))]


class WithoutExample(Struct, frozen=True):
    name: Annotated[str, Text(1, 2)]


class SaysWhatIsComputed(Struct, frozen=True):
    is_new: Computed[YesNo]


class WithUnknownText(Struct, frozen=True):
    why: Annotated[str, Choice(("Fell",))]
    note: Annotated[Name, OnlyWith("Sold")] | UnsetType = UNSET


class WithoutAbsence(Struct, frozen=True):
    why: Annotated[str, Choice(("Fell",))]
    note: Annotated[Name, OnlyWith("Fell")]


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (WithoutKind, "WithoutKind.name has 0 kinds, not one"),
        (WithTwoKinds, "WithTwoKinds.name has 2 kinds, not one"),
        (WithoutExample, "name has no Example"),
        (WithUnknownText, "WithUnknownText.note is not UNSET without a text of one choice"),
        (WithoutAbsence, "WithoutAbsence.note is not UNSET without a text of one choice"),
    ],
)
def test_a_field_that_is_not_wholly_declared_is_an_error(
    structure: type[Struct], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        response_schema(structure)


def test_no_request_says_what_is_computed() -> None:
    for derive in (request_schema, lambda structure: requests.read(structure, {})):
        with pytest.raises(TypeError, match="no client may set what is computed"):
            derive(SaysWhatIsComputed)


class WithoutUpcaster(Product, frozen=True, rename="camel"):
    note: Annotated[Name, Example("ouch"), Upcast(before=2)] | UnsetType | None = UNSET


class NewerLine(Struct, frozen=True, rename="camel"):
    item_id: Id
    sku: Annotated[Name | None, Since(version=2, before=None)] = None


class WithNewerLines(Product, frozen=True, rename="camel"):
    parts: Annotated[tuple[NewerLine, ...], Lines(1)] = ()


def kind(payload: type[Struct]) -> EventKind:
    return replace(KINDS["ProductCreated"], payload=payload)


def test_an_event_whose_past_is_not_declared_is_an_error() -> None:
    with pytest.raises(TypeError, match="has an upcast member without its upcaster"):
        check_event(kind(WithoutUpcaster))
    with pytest.raises(TypeError, match="has lines with a newer field"):
        check_event(kind(WithNewerLines))


def event(name: str, **said: Any) -> EventKind:
    return replace(KINDS[name], **said)


class SoldMaybe(ProductSold, frozen=True, rename="camel"):
    left: Annotated[Stock, Example(1)] | UnsetType = UNSET


class SoldWithIdLater(Struct, frozen=True, rename="camel"):
    price: Price
    product_id: Id
    stock: Stock


class WithoutCustomer(Struct, frozen=True, rename="camel"):
    order_id: Id


class Renamed(Struct, frozen=True, rename="camel"):
    product_id: Id
    name: Name
    new_sku: Sku | None
    sku: Sku | None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (event("ProductSold", sets={"taste": "item_id"}), "sets what its entity does not have"),
        (event("ProductSold", sets={"stock": "left"}), "says what it has no member for"),
        (event("ProductSold", sets={"stock": "order_id"}), "from a member of another kind"),
        (
            event("ProductSold", payload=SoldMaybe, sets={"stock": "left"}),
            "from a member that may be absent",
        ),
        (event("ProductSold", sets={"product_id": "product_id"}), "sets its entity's id"),
        (event("ProductSold", sets={"name": "product_name"}), "found by, not all"),
        (
            event(
                "ProductSold", payload=Renamed, sets={"name": "name", "sku": "new_sku"}, about={}
            ),
            "shows what it does not have",
        ),
        (
            event(
                "ProductSold",
                payload=Renamed,
                shown=Renamed,
                sets={"name": "name", "sku": "new_sku"},
                about={},
            ),
            "is found by from another member",
        ),
        (event("ProductSold", about={"stock": "order_id"}), "tells as its own what is a field"),
        (event("ProductSold", about={"why": "reason"}), "says what it has no member for"),
        (event("ProductSold", begins=True), "begins without setting all"),
        (event("ProductDeleted", begins=True), "begins and ends at once"),
        (event("ProductDeleted", ends=False), "ends without deleted_at"),
        (event("OrderCreated", ledger=2), "adds to the totals other than once"),
        (event("ProductSold", ledger=1), "adds to the totals and is no order"),
        (
            event("OrderCreated", payload=WithoutCustomer, sets={}, shown=WithoutCustomer),
            "lacks its owner's id",
        ),
        (event("CustomerUpdated", sales="cancelled"), "cancels sales without lines"),
        (
            event(
                "ProductSold",
                payload=SoldWithIdLater,
                sets={"stock": "stock"},
                about={},
                shown=SoldWithIdLater,
            ),
            "is a sale and does not have its id first",
        ),
        (event("ProductSold", live=()), "is carried by no live topic"),
        (event("ProductSold", live=("products", "products")), "carried twice by a live topic"),
    ],
)
def test_an_event_that_contradicts_itself_is_an_error(kind: EventKind, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        check_event(kind)


class Parcel(Struct, frozen=True, rename="camel"):
    parcel_id: Id
    truck_id: Annotated[Id, Reference("trucks")]


class Late(Struct, frozen=True, rename="camel"):
    name: Name
    parcel_id: Id


@pytest.mark.parametrize(
    ("entity", "words"),
    [
        (
            EntityKind("parcel", Parcel, "parcels", None, None),
            "refers to a collection that there is not",
        ),
        (EntityKind("parcel", Late, "parcels", None, None), "is not named as its structure is"),
        (EntityKind("late", Late, "late", None, None), "does not have its id first"),
        (replace(ORDER, owner=(PRODUCT, OrderOwner)), "does not name its owner"),
        (
            replace(ORDER, owner=(replace(CUSTOMER), OrderOwner)),
            "has an owner that is not declared",
        ),
    ],
)
def test_an_entity_that_contradicts_its_structure_is_an_error(
    entity: EntityKind, words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        check_entity(entity, ENTITIES)


@pytest.mark.parametrize(
    ("entities", "events", "words"),
    [
        (ENTITIES, (*EVENTS, replace(EVENTS[0], begins=False)), "2 events have the name"),
        ((*ENTITIES, replace(ORDER)), EVENTS, "2 entities have the name 'order'"),
        (
            (*ENTITIES, replace(ORDER, name="buy")),
            EVENTS,
            "2 entities have the collection 'orders'",
        ),
        (
            ENTITIES,
            tuple(replace(k, sales="made") if k.name == "OrderDeleted" else k for k in EVENTS),
            "sales are made by ProductSold, OrderDeleted",
        ),
        (ENTITIES, [k for k in EVENTS if not k.begins], "customer does not begin with one kind"),
        (
            (CUSTOMER, replace(PRODUCT, bound="customers"), ORDER),
            EVENTS,
            "2 entities have the bound 'customers'",
        ),
        (ENTITIES[:2], EVENTS, "is of an entity that is not declared"),
        (
            (*ENTITIES, replace(ORDER, name="buy", collection="buys", bound=None)),
            EVENTS,
            "order, buy have lines, for which there is one table",
        ),
    ],
)
def test_declarations_that_contradict_one_another_are_an_error(
    entities: tuple[EntityKind, ...], events: tuple[EventKind, ...], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        check_declared(entities, events)


class NeverNull(Struct, frozen=True):
    sku: Annotated[Sku, Since(version=2, before=None)]


class NotANumber(Struct, frozen=True):
    stock: Annotated[Stock, Since(version=2, before="8")]


class WithGap(Struct, frozen=True):
    sku: Annotated[Sku | None, Since(version=3, before=None)]


class FoundByNumber(Struct, frozen=True):
    stock: Annotated[Stock, Searched()]


class UniqueNumber(Struct, frozen=True):
    stock: Annotated[Stock, Unique("stock-taken")]


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (NeverNull, "NeverNull.sku had a value that it cannot have"),
        (NotANumber, "NotANumber.stock had a value that it cannot have"),
        (WithGap, "WithGap has newer fields of other versions than 2, 3"),
        (FoundByNumber, "FoundByNumber.stock is searched by its words and is not a text"),
        (UniqueNumber, "UniqueNumber.stock is unique and is not a text"),
    ],
)
def test_a_mark_that_does_not_fit_its_field_is_an_error(
    structure: type[Struct], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        fields_of(structure)
