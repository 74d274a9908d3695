"""What an import sends, as JSON, and whether the HTTP API's own checks would accept it.

Whatever these checks reject, the Command Service rejects, and nothing else: no value of its file
stops an import half-way.
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

# Invoices without a customer are those of one guest.
GUEST = ""
_SHOWN = 40
_ONE = Money(1)


def customer_of(number: str) -> tuple[str, str]:
    """Return the name and the e-mail address of the customer with this number."""
    if number == GUEST:
        return "Guest", "guest@example.invalid"
    return f"Customer {number}", f"customer-{number}@example.invalid"


def check_customer(number: str) -> None:
    """Raise ValueError if there can be no such customer."""
    name, email = customer_of(number)
    _check(f"CustomerID {number[:_SHOWN]!r} cannot be imported", NewCustomer(name, email))


@cached(100_000)
def check_name(description: str) -> None:
    """Raise ValueError if no product can have this name."""
    _check(f"Description {description[:_SHOWN]!r}", ChangedProduct(description, _ONE))


def check_stock(code: str, units: int) -> None:
    """Raise ValueError if a product cannot begin with so many units."""
    _check(f"StockCode {code[:_SHOWN]!r} needs {units} units", NewProduct("x", _ONE, units))


@cached(100_000)
def check_line(quantity: int, price: Decimal) -> None:
    """Raise ValueError if no order can have a line of so many units at this price."""
    line = OrderLine(1, quantity, Money(price))
    _check(f"Quantity {quantity} or UnitPrice {price}", NewOrder(1, (line,)))


@cached(100_000)
def check_date(date: datetime) -> None:
    """Raise ValueError if no order can have this date."""
    order = NewOrder(1, (OrderLine(1, 1),), Time.of(date))
    _check(f"InvoiceDate {date:%Y-%m-%d %H:%M:%S}", order)


def _check(what: str, said: Struct) -> None:
    try:
        requests.read(type(said), read_json(encode_json(said), "application/json"))
    except InvalidFields as error:
        wrong = error.facts["errors"]
        reasons = "; ".join(f"{each['pointer']} {each['detail']}" for each in wrong)
        raise ValueError(f"{what}: {reasons}") from error
