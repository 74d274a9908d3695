"""What each event leaves behind, in the plainest code: verify's own fold, which nobody else uses.

A wrong fold of the projector is found because this one says the same in other words: it shares the
reading of payloads, the names of fields and the packing of bytes, and nothing that adds or decides.
Next: verify/expected.py
"""

from dataclasses import dataclass
from typing import Any, assert_never

from bson.int64 import Int64
from msgspec import UNSET, Struct

from storelog.documents.forms import document_of
from storelog.envelope import format_time, milliseconds
from storelog.histories import Entry
from storelog.ledgers import Fact
from storelog.read_models.change import Change
from storelog.shop.customer import Customer, CustomerCreated, CustomerDeleted
from storelog.shop.events import Event
from storelog.shop.fields import fields_of, searched_fields_of, unique_fields_of
from storelog.shop.kinds import Money, Time
from storelog.shop.money import format_money
from storelog.shop.order import Order, OrderCreated, OrderDeleted
from storelog.shop.product import (
    Product,
    ProductCreated,
    ProductDeleted,
    ProductSold,
    ProductUpdated,
)
from storelog.words import heads_of

Fields = dict[str, Any]
COLLECTIONS = (
    "customers",
    "products",
    "orders",
    "product_sold",
    "customer_names",
    "product_names",
)
# Why a product was updated is not told, only what it is then.
_REASON = ("reason", "delta", "note", "order_id", "returned")


@dataclass(slots=True)
class Write:
    """Fields that an event sets on one document; `is_mark`: beside those of the document's owner.

    `is_new`: the document begins with this event.
    """

    collection: str
    document_id: int
    fields: Fields
    is_new: bool = False
    is_mark: bool = False


def writes_of(change: Change) -> list[Write]:
    """Return what an event sets."""
    event = change.event
    match event:
        case Customer():
            return [
                _whole("customers", change, Customer),
                _named("customer_names", change, Customer),
            ]
        case Product():
            writes = [_whole("products", change, Product)]
            if not isinstance(event, ProductUpdated) or event.reason == "Changed":
                writes.append(_named("product_names", change, Product))
            return writes
        case ProductSold():
            return _sale(change, event)
        case Order():
            mark = {"cancelled": True, "cancelPosition": Int64(change.position)}
            cancelled = event.order_items if is_last(change) else ()
            return [
                _whole("orders", change, Order),
                *(
                    Write("product_sold", Int64(item.item_id), mark, is_mark=True)
                    for item in cancelled
                ),
            ]
        case _:
            assert_never(event)


def _whole(collection: str, change: Change, structure: type[Struct]) -> Write:
    """Return the write of a document that the event says all of."""
    fields = document_of(change.event, structure) | _life(change)
    return Write(collection, Int64(_number(change)), fields, _is_first(change))


def _named(collection: str, change: Change, structure: type[Struct]) -> Write:
    values = [getattr(change.event, field.name) for field in searched_fields_of(structure)]
    words = heads_of(" ".join(value for value in values if value is not None))
    for field in unique_fields_of(structure):
        value = getattr(change.event, field.name)
        words += [] if value is None else [f"={field.json}:{value}"]
    if is_last(change):
        words = []
    fields = {"words": words, "position": Int64(change.position)}
    return Write(collection, Int64(_number(change)), fields, _is_first(change))


def _sale(change: Change, sale: ProductSold) -> list[Write]:
    product = {
        "stock": sale.remaining_stock,
        "stockStatus": sale.stock_status,
        "version": change.version,
        "position": Int64(change.position),
    }
    sold = document_of(sale) | {"position": Int64(change.position)}
    del sold["itemId"]
    return [
        Write("products", Int64(sale.product_id), product),
        Write("product_sold", Int64(sale.item_id), sold, is_new=True),
    ]


def _number(change: Change) -> int:
    return int(change.aggregate.rpartition("-")[2])


def _is_first(change: Change) -> bool:
    return isinstance(change.event, CustomerCreated | ProductCreated | OrderCreated)


def is_last(change: Change) -> bool:
    """Tell whether a document's entity ends with an event."""
    return isinstance(change.event, CustomerDeleted | ProductDeleted | OrderDeleted)


def _life(change: Change) -> Fields:
    fields: Fields = {
        "deleted": is_last(change),
        "bodyPosition": Int64(change.position),
        "version": change.version,
        "position": Int64(change.position),
    }
    origin = {
        "position": Int64(change.position),
        "recordedAt": change.origin.recorded_at,
        "caller": change.origin.caller,
        "correlationId": change.origin.correlation_id,
    }
    if isinstance(change.event, CustomerDeleted | ProductDeleted | OrderDeleted):
        fields["deletedAt"], fields["removed"] = change.event.deleted_at, origin
    if change.version == 1:
        fields["created"] = origin
    return fields


def fact_of(change: Change) -> Fact | None:
    """Return what an order event adds to the totals, None for other events."""
    order = change.event
    if not isinstance(order, OrderCreated | OrderDeleted):
        return None
    lines: dict[int, list[int]] = {}
    for item in order.order_items:
        line = lines.setdefault(item.product_id, [0, 0])
        line[0] += item.quantity
        line[1] += int(item.price * 10_000 * item.quantity)
    packed = tuple((product, units, amount) for product, (units, amount) in lines.items())
    sign = 1 if isinstance(order, OrderCreated) else -1
    return Fact(change.position, sign, milliseconds(order.order_date), order.customer_id, packed)


def entry_of(change: Change) -> Entry:
    """Return what an event of an entity with a history adds to it."""
    event, facts = change.event, dict[str, Any]()
    if isinstance(event, ProductSold):
        facts["stock"] = event.remaining_stock
        facts["stockStatus"] = event.stock_status
        facts["orderId"] = event.order_id
        facts["itemId"] = event.item_id
        facts["customerId"] = event.customer_id
        facts["quantity"] = event.quantity_sold
        facts["pricePaid"] = format_money(event.product_price)
    else:
        for field in fields_of(change.kind.entity.structure)[1:]:
            facts[field.json] = _as_told(getattr(event, field.name))
    if isinstance(event, ProductUpdated):
        facts["reason"] = event.reason
        if event.delta is not UNSET:
            facts["delta"] = event.delta
        if event.note is not UNSET and event.note is not None:
            facts["note"] = event.note
        if event.order_id is not UNSET:
            facts["orderId"] = event.order_id
    origin = change.origin
    return Entry(
        change.position,
        change.version,
        type(event).__name__,
        origin.recorded_at,
        origin.caller,
        origin.correlation_id,
        facts,
    )


def _as_told(value: Any) -> Any:
    if isinstance(value, tuple):
        return [
            {field.json: _as_told(getattr(line, field.name)) for field in fields_of(type(line))}
            for line in value
        ]
    if isinstance(value, Money):
        return format_money(value)
    return format_time(value) if isinstance(value, Time) else value


def told_of(change: Change) -> Fields:
    """Return what live readers are told of an event."""
    return {
        "position": change.position,
        "eventType": type(change.event).__name__,
        "aggregate": change.aggregate,
        "version": change.version,
        "recordedAt": format_time(change.origin.recorded_at),
        "correlationId": change.origin.correlation_id,
        "change": _members(change.event),
    }


def _members(event: Event) -> Fields:
    members: Fields = {}
    for field in fields_of(type(event)):
        value = getattr(event, field.name)
        if isinstance(event, ProductUpdated) and field.name in _REASON:
            continue
        if isinstance(value, tuple):
            members["lines"] = len(value)
        else:
            members[field.json] = _as_told(value)
    return members
