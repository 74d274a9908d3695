"""From documents to the contract's bodies. Next: query_service/answers.py"""

from typing import Any

from storelog.documents.forms import body_of
from storelog.shop.customer import Customer
from storelog.shop.events import CUSTOMER
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
    return with_name(body_of(Order, found), customer_name)


def with_name(order: Document, customer_name: Any) -> Document:
    """Return the members of an order with that of its customer's name after the customer's id."""
    members: Document = {}
    for name, value in order.items():
        members[name] = value
        if name == CUSTOMER.id_name:
            members["customerName"] = customer_name
    return members


def sale(found: Document) -> Document:
    """Return a sale's body."""
    return {**body_of(ProductSold, found), "cancelled": found.get("cancelled", False)}
