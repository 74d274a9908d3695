"""What an import sends, as JSON, and whether the HTTP API's own checks would accept it.

Whatever these checks reject, the Command Service rejects, and nothing else: no value of its file
stops an import half-way.
Next: traffic/retail_import.py
"""

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from storelog.command_service import requests
from storelog.envelope import format_time
from storelog.errors import InvalidFields
from storelog.shop.customer import NewCustomer
from storelog.shop.money import format_money
from storelog.shop.order import NewOrder
from storelog.shop.product import ChangedProduct
from storelog.web.json_body import read_json

# Invoices without a customer are those of one guest.
GUEST = ""
_SHOWN = 40


def customer_of(number: str) -> tuple[str, str]:
    """Return the name and the e-mail address of the customer with this number."""
    if number == GUEST:
        return "Guest", "guest@example.invalid"
    return f"Customer {number}", f"customer-{number}@example.invalid"


def check_customer(number: str) -> None:
    """Raise ValueError if there can be no such customer."""
    name, email = customer_of(number)
    body = {"name": name, "email": email}
    _check(f"CustomerID {number[:_SHOWN]!r} cannot be imported", NewCustomer, body)


@lru_cache(maxsize=100_000)
def check_name(description: str) -> None:
    """Raise ValueError if no product can have this name."""
    body = {"name": description, "price": "1"}
    _check(f"Description {description[:_SHOWN]!r}", ChangedProduct, body)


def check_stock(code: str, units: int) -> None:
    """Raise ValueError if a product cannot begin with so many units."""
    body = {"name": "x", "price": "1", "stock": units}
    _check(f"StockCode {code[:_SHOWN]!r} needs {units} units", ChangedProduct, body)


@lru_cache(maxsize=100_000)
def check_line(quantity: int, price: Decimal) -> None:
    """Raise ValueError if no order can have a line of so many units at this price."""
    line = {"productId": 1, "quantity": quantity, "price": format_money(price)}
    columns = f"Quantity {quantity} or UnitPrice {price}"
    _check(columns, NewOrder, {"customerId": 1, "orderItems": [line]})


@lru_cache(maxsize=100_000)
def check_date(date: datetime) -> None:
    """Raise ValueError if no order can have this date."""
    line = {"productId": 1, "quantity": 1}
    body = {"customerId": 1, "orderItems": [line], "orderDate": format_time(date)}
    _check(f"InvoiceDate {date:%Y-%m-%d %H:%M:%S}", NewOrder, body)


def _check(what: str, structure: type[Struct], body: Any) -> None:
    try:
        requests.read(structure, read_json(msgspec.json.encode(body), "application/json"))
    except InvalidFields as error:
        wrong = error.facts["errors"]
        reasons = "; ".join(f"{each['pointer']} {each['detail']}" for each in wrong)
        raise ValueError(f"{what}: {reasons}") from error
