"""From documents to the contract's bodies. Next: query_service/answers.py"""

from typing import Any

from storelog.documents.forms import body_of
from storelog.shop.customer import Customer
from storelog.shop.order import Order
from storelog.shop.product import Product, ProductSold

Document = dict[str, Any]


def customer(found: Document) -> Document:
    """Return a customer's body."""
    return body_of(Customer, found)


def product(found: Document) -> Document:
    """Return a product's body."""
    return body_of(Product, found)


def order(found: Document, customer_name: str | None) -> Document:
    """Return an order's body; `customer_name` is the customer's name now."""
    body: Document = {}
    for name, value in body_of(Order, found).items():
        body[name] = value
        if name == "customerId":
            body["customerName"] = customer_name
    return body


def sale(found: Document) -> Document:
    """Return a sale's body."""
    return {**body_of(ProductSold, found), "cancelled": found.get("cancelled", False)}
