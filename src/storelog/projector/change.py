"""An event as the read models see it: its place in the log, and its payload, checked and typed.

Whatever does not hold to the schema raises PoisonRecord, before anything is folded.
Next: projector/read_models/orders.py
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from storelog.domain.order import MAX_LINES
from storelog.envelope import Envelope
from storelog.errors import PoisonRecord
from storelog.event_codec import read_payload
from storelog.upcasters import CURRENT_VERSION

# What MongoDB can hold, so that a record that breaks it is found here and not when it is written.
Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]


class CustomerPayload(msgspec.Struct):
    """The payload of the customer events."""

    customerId: Whole
    name: str
    email: str
    phoneNumber: str | None
    deletedAt: Moment | None = None


class ProductPayload(msgspec.Struct):
    """The payload of ProductCreated, ProductUpdated and ProductDeleted."""

    productId: Whole
    name: str
    price: Decimal
    stock: Whole
    stockStatus: bool
    deletedAt: Moment | None = None
    reason: str | None = None
    delta: int | None = None
    note: str | None = None
    orderId: int | None = None


class SalePayload(msgspec.Struct):
    """The payload of ProductSold."""

    itemId: Whole
    productId: Whole
    productName: str
    productPrice: Decimal
    quantitySold: Whole
    remainingStock: Whole
    stockStatus: bool
    orderId: Whole
    customerId: Whole
    productTotalPrice: Decimal
    soldAt: Moment


class ItemPayload(msgspec.Struct):
    """One line of an order."""

    itemId: Whole
    productId: Whole
    productName: str
    quantity: Whole
    price: Decimal


Items = Annotated[list[ItemPayload], Meta(max_length=MAX_LINES)]


class OrderPayload(msgspec.Struct):
    """The payload of the order events."""

    orderId: Whole
    orderDate: Moment
    customerId: Whole
    orderItems: Items
    totalPrice: Decimal
    deletedAt: Moment | None = None


Payload = CustomerPayload | ProductPayload | SalePayload | OrderPayload
_TYPES: dict[str, type[Payload]] = {
    "CustomerCreated": CustomerPayload,
    "CustomerUpdated": CustomerPayload,
    "CustomerDeleted": CustomerPayload,
    "ProductCreated": ProductPayload,
    "ProductUpdated": ProductPayload,
    "ProductSold": SalePayload,
    "ProductDeleted": ProductPayload,
    "OrderCreated": OrderPayload,
    "OrderDeleted": OrderPayload,
}
_DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class Origin:
    """When an event was recorded, which key asked for it (None without keys), by what call."""

    recorded_at: datetime
    caller: str | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """One event to fold. `version` is the aggregate's, `position` the log's."""

    position: int
    event_type: str
    aggregate: str
    version: int
    payload: Payload
    origin: Origin

    @property
    def is_deletion(self) -> bool:
        """Whether the event is the thing's last."""
        return self.event_type.endswith("Deleted")


def read_change(
    position: int,
    event_type: str,
    aggregate: str,
    version: int,
    schema_version: int,
    payload: bytes,
    origin: Origin,
) -> Change:
    """Return the change that an event's payload bytes describe. Raises PoisonRecord."""
    decoder = _DECODERS.get(event_type)
    if decoder is None:
        raise PoisonRecord(f"unknown event type {event_type!r}")
    try:
        if schema_version == CURRENT_VERSION[event_type]:
            read = decoder.decode(payload)
        else:
            current = read_payload(event_type, schema_version, payload)
            read = msgspec.convert(current, _TYPES[event_type])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonRecord(f"{event_type}: {error}") from error
    if _subject(read) != aggregate:
        raise PoisonRecord(f"{event_type} of {_subject(read)} came under the key {aggregate!r}")
    if not all(amount.is_finite() for amount in _amounts(read)):
        raise PoisonRecord(f"{event_type} has an amount that is no number")
    if event_type.endswith("Deleted") and getattr(read, "deletedAt", None) is None:
        raise PoisonRecord(f"{event_type} lacks deletedAt")
    return Change(position, event_type, aggregate, version, read, origin)


def change_of_event(event: Envelope) -> Change:
    """Return the change that an event of the log describes. Raises PoisonRecord."""
    return read_change(
        event.position,
        event.event_type,
        event.aggregate,
        event.version,
        event.schema_version,
        event.payload,
        Origin(event.recorded_at, event.caller, event.correlation_id),
    )


def _subject(payload: Payload) -> str:
    if isinstance(payload, CustomerPayload):
        return f"customer-{payload.customerId}"
    if isinstance(payload, OrderPayload):
        return f"order-{payload.orderId}"
    return f"product-{payload.productId}"


def _amounts(payload: Payload) -> Iterable[Decimal]:
    if isinstance(payload, SalePayload):
        return (payload.productPrice, payload.productTotalPrice)
    if isinstance(payload, ProductPayload):
        return (payload.price,)
    if isinstance(payload, OrderPayload):
        return (payload.totalPrice, *(item.price for item in payload.orderItems))
    return ()
