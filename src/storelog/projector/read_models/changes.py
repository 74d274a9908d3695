"""The collection `changes`: what changed at each position, for those who follow the log live.

Append-only: a document holds what one batch of one lane changed within one block of positions, as
the bytes that followers are sent. So "what changed after P" is found by equality on `block`, and
only what is new is read. A repeated event may stand in two documents, the same in both.
Next: projector/changes_writer.py
"""

import zlib
from typing import Any

import msgspec

from storelog.domain.money import format_money
from storelog.envelope import format_time
from storelog.projector.change import Change, CustomerPayload, OrderPayload, SalePayload
from storelog.read_side import BLOCK_POSITIONS

COLLECTION = "changes"
INDEXES = [[("block", 1)]]
_encode = msgspec.json.Encoder().encode


def block_of(position: int) -> int:
    """Return the number of the block that holds a position."""
    return (position - 1) // BLOCK_POSITIONS


def entry_of(change: Change) -> tuple[int, str, dict[str, Any]]:
    """Return what followers are told: the position, the event's type, and its facts.

    An order's lines are counted, not listed: a change stays within a few KiB.
    """
    facts = {
        "position": change.position,
        "eventType": change.event_type,
        "aggregate": change.aggregate,
        "version": change.version,
        "recordedAt": format_time(change.origin.recorded_at),
        "correlationId": change.origin.correlation_id,
        "change": _facts(change),
    }
    return change.position, change.event_type, facts


def _facts(change: Change) -> dict[str, Any]:
    payload = change.payload
    if isinstance(payload, CustomerPayload):
        facts: dict[str, Any] = {
            "customerId": payload.customerId,
            "name": payload.name,
            "email": payload.email,
            "phoneNumber": payload.phoneNumber,
        }
    elif isinstance(payload, OrderPayload):
        facts = {
            "orderId": payload.orderId,
            "orderDate": format_time(payload.orderDate),
            "customerId": payload.customerId,
            "lines": len(payload.orderItems),
            "totalPrice": format_money(payload.totalPrice),
        }
    elif isinstance(payload, SalePayload):
        return {
            "itemId": payload.itemId,
            "productId": payload.productId,
            "productName": payload.productName,
            "productPrice": format_money(payload.productPrice),
            "quantitySold": payload.quantitySold,
            "remainingStock": payload.remainingStock,
            "stockStatus": payload.stockStatus,
            "orderId": payload.orderId,
            "customerId": payload.customerId,
            "productTotalPrice": format_money(payload.productTotalPrice),
            "soldAt": format_time(payload.soldAt),
        }
    else:
        facts = {
            "productId": payload.productId,
            "name": payload.name,
            "price": format_money(payload.price),
            "stock": payload.stock,
            "stockStatus": payload.stockStatus,
        }
    if payload.deletedAt is not None:
        facts["deletedAt"] = format_time(payload.deletedAt)
    return facts


def pack(entries: list[tuple[int, str, dict[str, Any]]]) -> bytes:
    """Return entries as a document keeps them."""
    return zlib.compress(_encode(entries), 1)
