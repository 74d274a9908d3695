"""What the services answer, as typed and frozen structs: money is Decimal, times are aware.

Members that a newer service adds are passed over.
Next: client/transport.py
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
Money = Decimal | int | str


class Customer(msgspec.Struct, frozen=True, rename="camel"):
    """A customer; `version` is what a change may name to be refused if it is not the newest."""

    customer_id: int
    name: str
    email: str
    phone_number: str | None
    version: int | None = None


class Product(msgspec.Struct, frozen=True, rename="camel"):
    """A product with its stock (units) after its newest event; `version` as a customer's."""

    product_id: int
    name: str
    price: Decimal
    stock: int
    stock_status: bool
    version: int | None = None


class OrderItem(msgspec.Struct, frozen=True, rename="camel"):
    """One line of an order; `price` is what one unit cost then."""

    item_id: int
    product_id: int
    product_name: str
    quantity: int
    price: Decimal


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """An order; `customer_name` is the customer's name now, and only the Query Service says it."""

    order_id: int
    order_date: datetime
    customer_id: int
    order_items: list[OrderItem]
    total_price: Decimal
    customer_name: str | None = None
    version: int | None = None


class Sale(msgspec.Struct, frozen=True, rename="camel"):
    """One order line as it was sold."""

    item_id: int
    product_id: int
    product_name: str
    product_price: Decimal
    quantity_sold: int
    remaining_stock: int
    stock_status: bool
    order_id: int
    customer_id: int
    product_total_price: Decimal
    sold_at: datetime
    cancelled: bool


class TotalSales(msgspec.Struct, frozen=True, rename="camel"):
    """The shop's figures."""

    total_sales: Decimal
    units_sold: int
    orders: int


class DaySales(msgspec.Struct, frozen=True, rename="camel"):
    """The figures of one UTC day."""

    day: date
    total_sales: Decimal
    units_sold: int
    orders: int


class ProductTotal(msgspec.Struct, frozen=True, rename="camel"):
    """One product's figures."""

    product_id: int
    product_name: str | None
    units_sold: int
    total_sales: Decimal


class TopCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """One customer's figures."""

    customer_id: int
    name: str | None
    orders: int
    total_spent: Decimal


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
    """One page of the log."""

    items: list[Event]
    next_after: int | None


class Ready(msgspec.Struct, frozen=True):
    """What a service that is ready says; `position` is the Query Service's."""

    status: str
    position: int = 0


class Line(msgspec.Struct, frozen=True):
    """One line of an order to place; only an import may name the price of one unit."""

    product_id: int
    quantity: int
    price: Money | None = None


def money_text(amount: Money) -> str:
    """Return an amount as the services read it, digit by digit. Raises TypeError for a float."""
    if isinstance(amount, float):
        raise TypeError("money is never a float: use Decimal, int or str")
    return f"{amount:f}" if isinstance(amount, Decimal) else str(amount)
