"""What an order event adds to the totals. All totals come from the order events alone.

These are in the customer's lane, so a deleted order leaves all totals at the same position.
Next: projector/write/ledger_writer.py
"""

from decimal import Decimal
from typing import cast

from storelog.documents.ledgers import PLACES, Fact
from storelog.envelope import milliseconds
from storelog.errors import PoisonRecord
from storelog.read_models.change import Change
from storelog.shop.money import line_amount
from storelog.shop.order import Order

# In ten-thousandths: some thousand times the largest amount that the limits allow for an order.
_MOST = 10**27


def fact_of(change: Change) -> Fact | None:
    """Return the fact of an order event, None for others. Raises PoisonRecord."""
    sign = change.kind.ledger
    if sign is None:
        return None
    event = cast(Order, change.event)
    products: dict[int, tuple[int, int]] = {}
    for item in event.order_items:
        units, amount = products.get(item.product_id, (0, 0))
        added = _whole(line_amount(item.quantity, item.price))
        products[item.product_id] = (units + item.quantity, amount + added)
    if sum(amount for _, amount in products.values()) > _MOST:
        raise PoisonRecord("the order's lines come to more than the totals can hold")
    lines = tuple((product, units, amount) for product, (units, amount) in products.items())
    at_ms = milliseconds(event.order_date)
    return Fact(change.position, sign, at_ms, event.customer_id, lines)


def _whole(amount: Decimal) -> int:
    scaled = amount.scaleb(PLACES)
    whole = int(scaled)
    if whole != scaled:
        raise PoisonRecord(f"an amount of {amount} has more than {PLACES} places")
    return whole
