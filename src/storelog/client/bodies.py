"""What the services answer, as typed and frozen structs: money is Decimal, times are aware.

Members that a newer service adds are passed over.
Next: client/transport.py
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from storelog.shop import customer, order, product
from storelog.shop.kinds import Money

T = TypeVar("T")
MoneyGiven = Decimal | int | str


class Customer(customer.Customer, frozen=True, rename="camel"):
    """A customer; `version` is what a change may name to be refused if it is not the newest."""

    version: int | None = None


class Product(product.Product, frozen=True, rename="camel"):
    """A product with its stock (units) after its newest event; `version` as a customer's."""

    version: int | None = None


class Order(order.Order, frozen=True, rename="camel"):
    """An order; `customer_name` is the customer's name now, and only the Query Service says it."""

    customer_name: str | None = None
    version: int | None = None


class Sale(product.ProductSold, frozen=True, rename="camel"):
    """One order line as it was sold."""

    cancelled: bool


class TotalSales(msgspec.Struct, frozen=True, rename="camel"):
    """The shop's figures."""

    total_sales: Money
    units_sold: int
    orders: int


class DaySales(msgspec.Struct, frozen=True, rename="camel"):
    """The figures of one UTC day."""

    day: date
    total_sales: Money
    units_sold: int
    orders: int


class ProductTotal(msgspec.Struct, frozen=True, rename="camel"):
    """One product's figures."""

    product_id: int
    product_name: str | None
    units_sold: int
    total_sales: Money


class TopCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """One customer's figures."""

    customer_id: int
    name: str | None
    orders: int
    total_spent: Money


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One event of the log; `payload` is its JSON as it was written."""

    position: int
    event_id: str
    event_type: str
    aggregate: str
    version: int
    schema_version: int
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str
    payload: Mapping[str, Any]


class Changed(msgspec.Struct, frozen=True):
    """One field that an event changed, as JSON shows its values; None before there was any."""

    field: str
    before: Any = msgspec.field(name="from")
    after: Any = msgspec.field(name="to")


class HistoryEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One event of a thing's history: who changed what; `about` is what else it says."""

    position: int
    version: int
    event_type: str
    recorded_at: datetime
    caller: str | None
    correlation_id: str
    changed: list[Changed]
    about: Mapping[str, Any]


class Page(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = None


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """One page of the log; it goes on after, or before, the position that is named, if one is."""

    items: list[Event]
    next_after: int | None
    next_before: int | None = None


class Ready(msgspec.Struct, frozen=True):
    """What a service that is ready says; `position` is the Query Service's."""

    status: str
    position: int = 0


class Line(msgspec.Struct, frozen=True):
    """One line of an order to place; only an import may name the price of one unit."""

    product_id: int
    quantity: int
    price: MoneyGiven | None = None


def money_of(amount: MoneyGiven) -> Money:
    """Return an amount exactly. Raises TypeError for a float, ValueError for what is no amount."""
    if isinstance(amount, float):
        raise TypeError("money is never a float: use Decimal, int or str")
    try:
        exact = Money(amount)
    except ArithmeticError as error:
        raise ValueError(f"{amount!r} is no amount") from error
    if not exact.is_finite():
        raise ValueError(f"{amount!r} is no number")
    return exact
