"""From documents to the contract's bodies. Next: query_service/answers.py"""

from functools import lru_cache
from typing import Any

from bson.decimal128 import Decimal128

from storelog.domain.money import format_money
from storelog.envelope import format_time

Document = dict[str, Any]


def customer(found: Document) -> Document:
    """Return a customer's body."""
    return {
        "customerId": int(found["_id"]),
        "name": found["name"],
        "email": found["email"],
        "phoneNumber": found["phoneNumber"],
    }


def product(found: Document) -> Document:
    """Return a product's body."""
    return {
        "productId": int(found["_id"]),
        "name": found["name"],
        "price": _money(found["price"]),
        "stock": int(found["stock"]),
        "stockStatus": found["stockStatus"],
    }


def order(found: Document, customer_name: str | None) -> Document:
    """Return an order's body; `customer_name` is the customer's name now."""
    return {
        "orderId": int(found["_id"]),
        "orderDate": format_time(found["orderDate"]),
        "customerId": int(found["customerId"]),
        "customerName": customer_name,
        "orderItems": [
            {
                "itemId": int(item["itemId"]),
                "productId": int(item["productId"]),
                "productName": item["productName"],
                "quantity": int(item["quantity"]),
                "price": _money(item["price"]),
            }
            for item in found["orderItems"]
        ],
        "totalPrice": _money(found["totalPrice"]),
    }


def sale(found: Document) -> Document:
    """Return a sale's body."""
    return {
        "itemId": int(found["_id"]),
        "productId": int(found["productId"]),
        "productName": found["productName"],
        "productPrice": _money(found["productPrice"]),
        "quantitySold": int(found["quantitySold"]),
        "remainingStock": int(found["remainingStock"]),
        "stockStatus": found["stockStatus"],
        "orderId": int(found["orderId"]),
        "customerId": int(found["customerId"]),
        "productTotalPrice": _money(found["productTotalPrice"]),
        "soldAt": format_time(found["soldAt"]),
        "cancelled": found.get("cancelled", False),
    }


def _money(amount: Decimal128) -> str:
    return _written(amount.bid)


@lru_cache(maxsize=4_096)
def _written(amount: bytes) -> str:
    """Return an amount's words. Prices repeat, and each takes 5 us to turn into a decimal."""
    return format_money(Decimal128.from_bid(amount).to_decimal())
