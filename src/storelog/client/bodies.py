"""The bodies of responses as typed and frozen structs: money is Decimal, times are aware.

Members that a newer service adds are ignored.
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
    """A customer; a change that names its `version` is rejected if there is a newer one."""

    version: int | None = None


class Product(product.Product, frozen=True, rename="camel"):
    """A product with its stock in units after its newest event; `version` as for a customer."""

    version: int | None = None


class Order(order.Order, frozen=True, rename="camel"):
    """An order; `customer_name` is the customer's current name, from the Query Service only."""

    customer_name: str | None = None
    version: int | None = None


class Sale(product.ProductSold, frozen=True, rename="camel"):
    """One order line as it was sold."""

    cancelled: bool


class TotalSales(msgspec.Struct, frozen=True, rename="camel"):
    """The shop's totals."""

    total_sales: Money
    units_sold: int
    orders: int


class DaySales(msgspec.Struct, frozen=True, rename="camel"):
    """The totals of one UTC day."""

    day: date
    total_sales: Money
    units_sold: int
    orders: int


class ProductTotal(msgspec.Struct, frozen=True, rename="camel"):
    """One product's totals."""

    product_id: int
    product_name: str | None
    units_sold: int
    total_sales: Money


class TopCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """One customer's totals."""

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
    """One field that an event changed, with its values in JSON; None where it had none before."""

    field: str
    before: Any = msgspec.field(name="from")
    after: Any = msgspec.field(name="to")


class HistoryEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One event of an entity's history: who changed what; `about` has its other facts."""

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
    # Absent in lists that always fit on one page, such as those of analytics.
    next_cursor: str | None = None


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """One page of the log; the next page begins after, or before, the named position, if any."""

    items: list[Event]
    next_after: int | None
    next_before: int | None = None


class Ready(msgspec.Struct, frozen=True):
    """The body of a service that is ready; only the Query Service has a `position`."""

    status: str
    position: int = 0


class Line(msgspec.Struct, frozen=True):
    """One line of an order to place; only an import may name the price of one unit."""

    product_id: int
    quantity: int
    price: MoneyGiven | None = None


def money_of(amount: MoneyGiven) -> Money:
    """Return an exact amount. Raises TypeError for a float, ValueError for an invalid amount."""
    if isinstance(amount, float):
        # 0.1 has no exact float: the shop would charge another amount than the caller wrote.
        raise TypeError("money is never a float: use Decimal, int or str")
    try:
        exact = Money(amount)
    except ArithmeticError as error:
        raise ValueError(f"{amount!r} is not an amount") from error
    if not exact.is_finite():
        raise ValueError(f"{amount!r} is not a number")
    return exact
