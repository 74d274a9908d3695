"""The commands, each with an Idempotency-Key, so that it may be sent again and has one effect.

Next: client/queries.py
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from storelog.client.bodies import Customer, Line, Money, Order, Product, money_text
from storelog.client.session import Session, versioned
from storelog.envelope import format_time


class Commands(Session):
    """What changes the shop. `key` is the Idempotency-Key, made up where none is given."""

    async def create_customer(
        self, name: str, email: str, phone_number: str | None = None, *, key: str | None = None
    ) -> Customer:
        """Create a customer."""
        body = {"name": name, "email": email, "phoneNumber": phone_number}
        return versioned(await self.command("POST", "/customers", body, key), Customer)

    async def update_customer(
        self,
        customer_id: int,
        name: str,
        email: str,
        phone_number: str | None = None,
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Customer:
        """Replace a customer. Raises VersionIsStale when `if_version` is not the newest."""
        body = {"name": name, "email": email, "phoneNumber": phone_number}
        path = f"/customers/{customer_id}"
        return versioned(await self.command("PUT", path, body, key, if_version), Customer)

    async def delete_customer(
        self, customer_id: int, *, if_version: int | None = None, key: str | None = None
    ) -> None:
        """Delete a customer. Raises VersionIsStale when `if_version` is not the newest."""
        await self.command("DELETE", f"/customers/{customer_id}", None, key, if_version)

    async def create_product(
        self, name: str, price: Money, stock: int, *, key: str | None = None
    ) -> Product:
        """Create a product with so many units in stock."""
        body = {"name": name, "price": money_text(price), "stock": stock}
        return versioned(await self.command("POST", "/products", body, key), Product)

    async def update_product(
        self,
        product_id: int,
        name: str,
        price: Money,
        stock: int | None = None,
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Product:
        """Replace a product; without `stock` the stock stays. Raises VersionIsStale."""
        body: dict[str, Any] = {"name": name, "price": money_text(price)}
        if stock is not None:
            body["stock"] = stock
        path = f"/products/{product_id}"
        return versioned(await self.command("PUT", path, body, key, if_version), Product)

    async def adjust_stock(
        self,
        product_id: int,
        delta: int,
        reason: str,
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Product:
        """Add to a product's stock, or take from it. Raises InsufficientStock, VersionIsStale."""
        path, body = f"/products/{product_id}/stock-adjustments", {"delta": delta, "reason": reason}
        return versioned(await self.command("POST", path, body, key, if_version), Product)

    async def delete_product(
        self, product_id: int, *, if_version: int | None = None, key: str | None = None
    ) -> None:
        """Delete a product. Raises VersionIsStale when `if_version` is not the newest."""
        await self.command("DELETE", f"/products/{product_id}", None, key, if_version)

    async def place_order(
        self,
        customer_id: int,
        lines: Sequence[Line],
        *,
        order_date: datetime | None = None,
        key: str | None = None,
    ) -> Order:
        """Place an order, all or nothing. Raises InsufficientStock.

        Only an import may name `order_date` or a line's price.
        """
        body: dict[str, Any] = {
            "customerId": customer_id,
            "orderItems": [_line(line) for line in lines],
        }
        if order_date is not None:
            body["orderDate"] = format_time(order_date)
        return versioned(await self.command("POST", "/orders", body, key), Order)

    async def delete_order(
        self, order_id: int, *, if_version: int | None = None, key: str | None = None
    ) -> None:
        """Delete an order; its stock goes back. Raises VersionIsStale."""
        await self.command("DELETE", f"/orders/{order_id}", None, key, if_version)


def _line(line: Line) -> dict[str, Any]:
    sent: dict[str, Any] = {"productId": line.product_id, "quantity": line.quantity}
    if line.price is not None:
        sent["price"] = money_text(line.price)
    return sent
