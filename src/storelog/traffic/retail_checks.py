"""Checks the values of an import by the HTTP API's own checks, before anything is sent.

They reject exactly what the Command Service rejects, so no value of the file can stop an import
half-way.
Next: traffic/retail_import.py
"""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from storelog.command_service import requests
from storelog.errors import InvalidFields
from storelog.shop.customer import NewCustomer
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import Money, Time
from storelog.shop.order import NewOrder, OrderLine
from storelog.shop.product import ChangedProduct, NewProduct
from storelog.typed_cache import cached
from storelog.web.json_body import read_json

# All invoices without a customer belong to one guest.
GUEST = ""
_SHOWN = 40
_ONE = Money(1)


def customer_of(number: str) -> tuple[str, str]:
    """Return the name and the e-mail address of the customer with this number."""
    if number == GUEST:
        return "Guest", "guest@example.invalid"
    return f"Customer {number}", f"customer-{number}@example.invalid"


def check_customer(number: str) -> None:
    """Raise ValueError if a customer cannot have this number."""
    name, email = customer_of(number)
    _check(f"CustomerID {number[:_SHOWN]!r} cannot be imported", NewCustomer(name, email))


@cached(100_000)
def check_name(description: str) -> None:
    """Raise ValueError if a product cannot have this name."""
    _check(f"Description {description[:_SHOWN]!r}", ChangedProduct(description, _ONE))


def check_stock(code: str, units: int) -> None:
    """Raise ValueError if a product cannot be created with this many units."""
    _check(f"StockCode {code[:_SHOWN]!r} needs {units} units", NewProduct("x", _ONE, units))


@cached(100_000)
def check_line(quantity: int, price: Decimal) -> None:
    """Raise ValueError if an order cannot have a line with this quantity and price."""
    line = OrderLine(1, quantity, Money(price))
    _check(f"Quantity {quantity} or UnitPrice {price}", NewOrder(1, (line,)))


@cached(100_000)
def check_date(date: datetime) -> None:
    """Raise ValueError if an order cannot have this date."""
    order = NewOrder(1, (OrderLine(1, 1),), Time.of(date))
    _check(f"InvoiceDate {date:%Y-%m-%d %H:%M:%S}", order)


def _check(what: str, said: Struct) -> None:
    # As bytes and back, since the Command Service checks what it reads from JSON.
    try:
        requests.read(type(said), read_json(encode_json(said), "application/json"))
    except InvalidFields as error:
        wrong = error.facts["errors"]
        reasons = "; ".join(f"{each['pointer']} {each['detail']}" for each in wrong)
        raise ValueError(f"{what}: {reasons}") from error
