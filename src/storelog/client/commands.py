"""The commands, each with an Idempotency-Key, so that sending it again has no second effect.

Next: client/queries.py
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType

from storelog.client.bodies import Customer, Line, MoneyGiven, Order, Product, money_of
from storelog.client.session import Session, versioned
from storelog.shop.customer import NewCustomer
from storelog.shop.kinds import Time
from storelog.shop.order import NewOrder, OrderLine
from storelog.shop.product import ChangedProduct, NewProduct, StockAdjustment


class Commands(Session):
    """The calls that change the shop. `key` is the Idempotency-Key, a random one by default."""

    async def create_customer(
        self, name: str, email: str, phone_number: str | None = None, *, key: str | None = None
    ) -> Customer:
        """Create a customer."""
        body = NewCustomer(name, email, phone_number)
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
        body = NewCustomer(name, email, phone_number)
        path = f"/customers/{customer_id}"
        return versioned(await self.command("PUT", path, body, key, if_version), Customer)

    async def delete_customer(
        self, customer_id: int, *, if_version: int | None = None, key: str | None = None
    ) -> None:
        """Delete a customer. Raises VersionIsStale when `if_version` is not the newest."""
        await self.command("DELETE", f"/customers/{customer_id}", None, key, if_version)

    async def create_product(
        self,
        name: str,
        price: MoneyGiven,
        stock: int,
        *,
        sku: str | None = None,
        key: str | None = None,
    ) -> Product:
        """Create a product with `stock` units."""
        body = NewProduct(name, money_of(price), stock, sku)
        return versioned(await self.command("POST", "/products", body, key), Product)

    async def update_product(
        self,
        product_id: int,
        name: str,
        price: MoneyGiven,
        stock: int | None = None,
        *,
        sku: str | UnsetType | None = UNSET,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Product:
        """Replace a product; without `stock` or `sku` it stays. Raises VersionIsStale."""
        body = ChangedProduct(name, money_of(price), UNSET if stock is None else stock, sku)
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
        path, body = f"/products/{product_id}/stock-adjustments", StockAdjustment(delta, reason)
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
        """Place an order with all its lines, or none. Raises InsufficientStock.

        Only an import may name `order_date` or a line's price.
        """
        date = UNSET if order_date is None else Time.of(order_date)
        body = NewOrder(customer_id, tuple(map(_line, lines)), date)
        return versioned(await self.command("POST", "/orders", body, key), Order)

    async def delete_order(
        self, order_id: int, *, if_version: int | None = None, key: str | None = None
    ) -> None:
        """Delete an order and return its units to stock. Raises VersionIsStale."""
        await self.command("DELETE", f"/orders/{order_id}", None, key, if_version)


def _line(line: Line) -> OrderLine:
    price = UNSET if line.price is None else money_of(line.price)
    return OrderLine(line.product_id, line.quantity, price)
