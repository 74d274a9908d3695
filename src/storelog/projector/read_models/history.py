"""What an event adds to the history of its customer or product.

An order has two events at most: what is to know of them stands in its own document.
Next: projector/history_writer.py
"""

from storelog.domain.money import format_money
from storelog.histories import FIELDS, Entry, Facts
from storelog.projector.change import Change, CustomerPayload, ProductPayload, SalePayload


def entry_of(change: Change) -> Entry:
    """Return what a change of a customer or product adds to its history."""
    payload, facts = change.payload, Facts()
    if isinstance(payload, SalePayload):
        facts = {
            "stock": payload.remainingStock,
            "stockStatus": payload.stockStatus,
            "orderId": payload.orderId,
            "itemId": payload.itemId,
            "customerId": payload.customerId,
            "quantity": payload.quantitySold,
            "pricePaid": format_money(payload.productPrice),
        }
    elif isinstance(payload, ProductPayload):
        facts = {
            "name": payload.name,
            "price": format_money(payload.price),
            "stock": payload.stock,
            "stockStatus": payload.stockStatus,
        }
        about = ("reason", "delta", "note", "orderId")
        facts |= {n: value for n in about if (value := getattr(payload, n)) is not None}
    elif isinstance(payload, CustomerPayload):
        facts = {name: getattr(payload, name) for name in FIELDS["customer"]}
    origin = change.origin
    return Entry(
        change.position,
        change.version,
        change.event_type,
        origin.recorded_at,
        origin.caller,
        origin.correlation_id,
        facts,
    )
