"""An event as the read models see it: its place in the log, and its payload, checked and typed.

Whatever does not hold to the schema raises PoisonRecord, before anything is folded.
Next: projector/read_models/orders.py
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from storelog.errors import PoisonRecord
from storelog.event_codec import read_payload
from storelog.upcasters import CURRENT_VERSION


class CustomerPayload(msgspec.Struct):
    """The payload of the customer events."""

    customerId: int
    name: str
    email: str
    phoneNumber: str | None
    deletedAt: datetime | None = None


class ProductPayload(msgspec.Struct):
    """The payload of ProductCreated, ProductUpdated and ProductDeleted."""

    productId: int
    name: str
    price: Decimal
    stock: int
    stockStatus: bool
    deletedAt: datetime | None = None


class SalePayload(msgspec.Struct):
    """The payload of ProductSold."""

    itemId: int
    productId: int
    productName: str
    productPrice: Decimal
    quantitySold: int
    remainingStock: int
    stockStatus: bool
    orderId: int
    customerId: int
    productTotalPrice: Decimal
    soldAt: datetime


class ItemPayload(msgspec.Struct):
    """One line of an order."""

    itemId: int
    productId: int
    productName: str
    quantity: int
    price: Decimal


class OrderPayload(msgspec.Struct):
    """The payload of the order events."""

    orderId: int
    orderDate: datetime
    customerId: int
    orderItems: list[ItemPayload]
    totalPrice: Decimal
    deletedAt: datetime | None = None


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
class Change:
    """One event to fold. `version` is the aggregate's, `position` the log's."""

    position: int
    event_type: str
    aggregate: str
    version: int
    payload: Payload

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
    if event_type.endswith("Deleted") and getattr(read, "deletedAt", None) is None:
        raise PoisonRecord(f"{event_type} lacks deletedAt")
    return Change(position, event_type, aggregate, version, read)


def _subject(payload: Payload) -> str:
    if isinstance(payload, CustomerPayload):
        return f"customer-{payload.customerId}"
    if isinstance(payload, OrderPayload):
        return f"order-{payload.orderId}"
    return f"product-{payload.productId}"
