"""The collection `totals`: units, sales and orders, kept up with every order.

All figures come from the order events, so they all lie in the customer's lane and a deleted order
leaves all of them at once. Few documents, each with many entries, so that a whole year is read in
a few hundred: the shop by month with an entry a day; products and customers by id in buckets, for
all time and for each day.
Next: projector/totals_writer.py
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from storelog.domain.money import line_amount
from storelog.projector.change import Change, OrderPayload

COLLECTION = "totals"
INDEXES = [[("kind", 1), ("period", 1)]]
ALL_TIME = "all"
BUCKET_OF_ALL = 128
BUCKET_OF_DAY = 512


@dataclass(frozen=True, slots=True)
class Key:
    """One document: what is summed, over which time, by which lane, for which bucket of ids."""

    kind: str
    period: str
    lane: int
    bucket: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.period}/{self.lane}/{self.bucket}"


@dataclass(frozen=True, slots=True)
class Delta:
    """What one order adds to one entry (or takes away)."""

    key: Key
    entry: str
    position: int
    units: int
    sales: Decimal
    orders: int


def fold(change: Change, lane: int) -> Iterator[Delta]:
    """Return what the change adds to the figures."""
    payload = change.payload
    if not isinstance(payload, OrderPayload):
        return
    sign = -1 if change.is_deletion else 1
    day = f"{payload.orderDate:%Y-%m-%d}"
    products: dict[int, tuple[int, Decimal]] = {}
    units, sales = 0, Decimal(0)
    for item in payload.orderItems:
        amount = line_amount(item.quantity, item.price)
        before = products.get(item.productId, (0, Decimal(0)))
        products[item.productId] = (before[0] + item.quantity, before[1] + amount)
        units, sales = units + item.quantity, sales + amount
    at = change.position
    whole = (at, sign * units, sign * sales, sign)
    yield Delta(Key("shop", day[:7], lane, 0), day, *whole)
    for key in _keys("customer", payload.customerId, day, lane):
        yield Delta(key, str(payload.customerId), *whole)
    for product, (count, amount) in products.items():
        for key in _keys("product", product, day, lane):
            yield Delta(key, str(product), at, sign * count, sign * amount, sign)


def _keys(kind: str, number: int, day: str, lane: int) -> tuple[Key, Key]:
    return (
        Key(kind, ALL_TIME, lane, number // BUCKET_OF_ALL),
        Key(kind, day, lane, number // BUCKET_OF_DAY),
    )
