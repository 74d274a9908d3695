"""What an order event adds to the figures. All figures come from the order events alone.

They lie in the customer's lane, so a deleted order leaves all figures at once.
Next: projector/ledger_writer.py
"""

from decimal import Decimal

from storelog.domain.money import line_amount
from storelog.envelope import milliseconds
from storelog.errors import PoisonRecord
from storelog.ledgers import PLACES, Fact
from storelog.projector.change import Change, OrderPayload


def fact_of(change: Change) -> Fact | None:
    """Return the fact of an order event, None for others. Raises PoisonRecord."""
    payload = change.payload
    if not isinstance(payload, OrderPayload):
        return None
    products: dict[int, tuple[int, int]] = {}
    for item in payload.orderItems:
        units, amount = products.get(item.productId, (0, 0))
        added = _whole(line_amount(item.quantity, item.price))
        products[item.productId] = (units + item.quantity, amount + added)
    lines = tuple((product, units, amount) for product, (units, amount) in products.items())
    sign = -1 if change.is_deletion else 1
    at_ms = milliseconds(payload.orderDate)
    return Fact(change.position, sign, at_ms, payload.customerId, lines)


def _whole(amount: Decimal) -> int:
    scaled = amount.scaleb(PLACES)
    whole = int(scaled)
    if whole != scaled:
        raise PoisonRecord(f"an amount of {amount} has more than {PLACES} places")
    return whole
