"""Folds each event in the plainest code: verify's own fold, which nothing else uses.

A wrong fold of the projector is found because this one does the same by other code: both share the
reading of payloads, the names of fields and the packing of bytes, but nothing that adds or decides.
Next: verify/expected.py
"""

from dataclasses import dataclass
from typing import Any, assert_never, cast

from bson.int64 import Int64
from msgspec import UNSET

from storelog.documents.forms import document_of, members_of
from storelog.documents.histories import Entry
from storelog.documents.ledgers import Fact
from storelog.envelope import format_time, milliseconds
from storelog.read_models.change import Change
from storelog.shop.customer import CustomerDeleted
from storelog.shop.event_kinds import EventKind
from storelog.shop.events import ENTITIES
from storelog.shop.fields import field_at, fields_of, searched_fields_of, unique_fields_of
from storelog.shop.kinds import Money, Time
from storelog.shop.money import format_money
from storelog.shop.order import Order
from storelog.typed_cache import cached
from storelog.words import heads_of

Fields = dict[str, Any]
SALES = "product_sold"
# The collections of the words by which entities are found.
NAMES = {
    entity: f"{entity.name}_names" for entity in ENTITIES if searched_fields_of(entity.structure)
}
COLLECTIONS = (*(entity.collection for entity in ENTITIES), SALES, *NAMES.values())
# The time of deletion; all events that end an entity have it under the same name.
_DELETED_AT = field_at(CustomerDeleted.deleted_at)


@dataclass(slots=True)
class ExpectedWrite:
    """Fields that an event sets on one document; `is_mark`: on a document of another lane.

    `is_new`: the document begins with this event.
    """

    collection: str
    document_id: int
    fields: Fields
    is_new: bool = False
    is_mark: bool = False


def writes_of(change: Change) -> list[ExpectedWrite]:
    """Return all writes of an event."""
    kind = change.kind
    writes = [_whole(change) if kind.sets_all else _part(change)]
    if kind.entity in NAMES and kind.renames(change.event):
        writes.append(_named(change))
    match kind.sales:
        case None:
            pass
        case "made":
            writes.append(_sale(change))
        case "cancelled":
            mark = {"cancelled": True, "cancelPosition": Int64(change.position)}
            items = kind.line_ids(change.event)
            writes += [ExpectedWrite(SALES, Int64(item), mark, is_mark=True) for item in items]
        case _:
            assert_never(kind.sales)
    return writes


def _whole(change: Change) -> ExpectedWrite:
    """Return the write of an event that sets all fields of its document."""
    entity = change.kind.entity
    fields = document_of(change.event, entity.structure) | _life(change)
    return ExpectedWrite(entity.collection, Int64(_number(change)), fields, change.kind.begins)


def _part(change: Change) -> ExpectedWrite:
    """Return the write of an event that sets some fields of its document."""
    entity = change.kind.entity
    fields = members_of(change.event, change.kind)
    if change.kind.renames(change.event):
        fields["bodyPosition"] = Int64(change.position)
    fields |= {"version": change.version, "position": Int64(change.position)}
    return ExpectedWrite(entity.collection, Int64(_number(change)), fields)


def _named(change: Change) -> ExpectedWrite:
    entity = change.kind.entity
    values = [getattr(change.event, field.name) for field in searched_fields_of(entity.structure)]
    words = heads_of(" ".join(value for value in values if value is not None))
    for field in unique_fields_of(entity.structure):
        value = getattr(change.event, field.name)
        words += [] if value is None else [f"={field.json}:{value}"]
    if change.kind.ends:
        words = []
    fields = {"words": words, "position": Int64(change.position)}
    return ExpectedWrite(NAMES[entity], Int64(_number(change)), fields, change.kind.begins)


def _sale(change: Change) -> ExpectedWrite:
    sold = document_of(change.event) | {"position": Int64(change.position)}
    # The first field of the payload is the id of the sale.
    item_id = sold.pop(fields_of(change.kind.payload)[0].json)
    return ExpectedWrite(SALES, item_id, sold, is_new=True)


def _number(change: Change) -> int:
    return int(change.aggregate.rpartition("-")[2])


def _life(change: Change) -> Fields:
    fields: Fields = {
        "deleted": change.kind.ends,
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
    if change.kind.ends:
        fields[_DELETED_AT.json] = getattr(change.event, _DELETED_AT.name)
        fields["removed"] = origin
    if change.version == 1:
        fields["created"] = origin
    return fields


def fact_of(change: Change) -> Fact | None:
    """Return what an order event adds to the totals, None for other events."""
    if change.kind.ledger is None:
        return None
    order = cast(Order, change.event)
    lines: dict[int, list[int]] = {}
    for item in order.order_items:
        line = lines.setdefault(item.product_id, [0, 0])
        line[0] += item.quantity
        # Whole ten-thousandths, as the leaves pack amounts.
        line[1] += int(item.price * 10_000 * item.quantity)
    packed = tuple((product, units, amount) for product, (units, amount) in lines.items())
    at_ms = milliseconds(order.order_date)
    return Fact(change.position, change.kind.ledger, at_ms, order.customer_id, packed)


def entry_of(change: Change) -> Entry:
    """Return what an event of an entity with a history adds to it."""
    kind, facts = change.kind, dict[str, Any]()
    for field in fields_of(kind.entity.structure)[1:]:
        if field.name in kind.members:
            facts[field.json] = _as_json(getattr(change.event, kind.members[field.name]))
    for name, member in kind.about.items():
        value = getattr(change.event, member)
        # An absent member is not stored.
        if value is not None and value is not UNSET:
            facts[name] = _as_json(value)
    origin = change.origin
    return Entry(
        change.position,
        change.version,
        kind.name,
        origin.recorded_at,
        origin.caller,
        origin.correlation_id,
        facts,
    )


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [
            {field.json: _as_json(getattr(line, field.name)) for field in fields_of(type(line))}
            for line in value
        ]
    if isinstance(value, Money):
        return format_money(value)
    return format_time(value) if isinstance(value, Time) else value


def told_of(change: Change) -> Fields:
    """Return what live readers are told about an event."""
    return {
        "position": change.position,
        "eventType": change.kind.name,
        "aggregate": change.aggregate,
        "version": change.version,
        "recordedAt": format_time(change.origin.recorded_at),
        "correlationId": change.origin.correlation_id,
        "change": _members(change),
    }


@cached()
def _shown(kind: EventKind) -> frozenset[str]:
    return frozenset({_DELETED_AT.name, *(field.name for field in fields_of(kind.shown))})


def _members(change: Change) -> Fields:
    members: Fields = {}
    shown = _shown(change.kind)
    for field in fields_of(change.kind.payload):
        if field.name not in shown:
            continue
        value = getattr(change.event, field.name)
        if isinstance(value, tuple):
            members["lines"] = len(value)
        else:
            members[field.json] = _as_json(value)
    return members
