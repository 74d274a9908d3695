"""The reads, each including everything that this client's commands wrote before.

A range includes `start` and excludes `end`. `as_of` is a position or a time, as of which the shop
is shown.
Next: client/blocking.py
"""

from datetime import date, datetime
from typing import Any, Literal

from storelog.client.bodies import (
    Customer,
    DaySales,
    Event,
    EventPage,
    HistoryEvent,
    Order,
    Page,
    Product,
    ProductTotal,
    Ready,
    Sale,
    TopCustomer,
    TotalSales,
)
from storelog.client.session import Listing, Session, read, versioned
from storelog.client.transport import Success
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.shop.fields import field_at
from storelog.shop.product import NewProduct

TimeOrDay = datetime | date
AsOf = int | datetime
_SKU = field_at(NewProduct.sku).json


def _ids(
    customer_id: int | None, product_id: int | None, order_id: int | None = None
) -> dict[str, Any]:
    numbers = {CUSTOMER: customer_id, PRODUCT: product_id, ORDER: order_id}
    return {kind.id_name: number for kind, number in numbers.items()}


class Queries(Session):
    """The calls that read the shop."""

    async def get_customer(self, customer_id: int, *, as_of: AsOf | None = None) -> Customer:
        """Return a customer. Raises ThingNotFound."""
        return versioned(await self.get(f"/customers/{customer_id}", {"asOf": as_of}), Customer)

    async def get_product(self, product_id: int, *, as_of: AsOf | None = None) -> Product:
        """Return a product. Raises ThingNotFound."""
        return versioned(await self.get(f"/products/{product_id}", {"asOf": as_of}), Product)

    async def get_order(self, order_id: int, *, as_of: AsOf | None = None) -> Order:
        """Return an order. Raises ThingNotFound."""
        return versioned(await self.get(f"/orders/{order_id}", {"asOf": as_of}), Order)

    def list_customers(
        self, *, words: str | None = None, sort: str | None = None, as_of: AsOf | None = None
    ) -> Listing[Customer]:
        """List customers, those whose names have the words; `sort` is id or -id."""
        asked = {"q": words, "sort": sort, "asOf": as_of}
        return Listing(self, "/customers", Page[Customer], asked)

    def list_products(
        self,
        *,
        words: str | None = None,
        sku: str | None = None,
        in_stock: bool | None = None,
        sort: str | None = None,
        as_of: AsOf | None = None,
    ) -> Listing[Product]:
        """List products, those whose names have the words; `sort` is id or -id."""
        asked = {"q": words, _SKU: sku, "inStock": in_stock, "sort": sort, "asOf": as_of}
        return Listing(self, "/products", Page[Product], asked)

    def list_orders(
        self,
        *,
        customer_id: int | None = None,
        product_id: int | None = None,
        start: TimeOrDay | None = None,
        end: TimeOrDay | None = None,
        sort: str | None = None,
        as_of: AsOf | None = None,
    ) -> Listing[Order]:
        """List orders, the newest first; `sort` is -orderDate or orderDate."""
        asked = {**_ids(customer_id, product_id), "from": start, "to": end}
        more = {"sort": sort, "asOf": as_of}
        return Listing(self, "/orders", Page[Order], {**asked, **more})

    def list_sales(
        self,
        *,
        customer_id: int | None = None,
        product_id: int | None = None,
        order_id: int | None = None,
        start: TimeOrDay | None = None,
        end: TimeOrDay | None = None,
        cancelled: bool = False,
        as_of: AsOf | None = None,
    ) -> Listing[Sale]:
        """List sales, the newest first; with `cancelled` those of deleted orders only."""
        asked = _ids(customer_id, product_id, order_id)
        span = {"from": start, "to": end, "cancelled": cancelled or None, "asOf": as_of}
        return Listing(self, "/product-sold", Page[Sale], {**asked, **span})

    def history(
        self,
        kind: Literal["customer", "order", "product"],
        number: int,
        *,
        as_of: AsOf | None = None,
    ) -> Listing[HistoryEvent]:
        """List the events of one entity, newest first; also of a deleted one.

        Iterating raises ThingNotFound.
        """
        path = f"/history/{kind}s/{number}"
        return Listing(self, path, Page[HistoryEvent], {"asOf": as_of})

    async def total_sales(
        self,
        start: TimeOrDay | None = None,
        end: TimeOrDay | None = None,
        *,
        as_of: AsOf | None = None,
    ) -> TotalSales:
        """Return the shop's totals for [start, end)."""
        return read(await self._totals("total-sales", start, end, as_of), TotalSales)

    async def sales_by_day(
        self,
        start: TimeOrDay | None = None,
        end: TimeOrDay | None = None,
        *,
        as_of: AsOf | None = None,
    ) -> list[DaySales]:
        """Return the totals of each UTC day with sales."""
        return read(await self._totals("sales-by-day", start, end, as_of), Page[DaySales]).items

    async def product_totals(
        self,
        start: TimeOrDay | None = None,
        end: TimeOrDay | None = None,
        *,
        limit: int = 50,
        as_of: AsOf | None = None,
    ) -> list[ProductTotal]:
        """Return the products with the highest sales, in that order."""
        response = await self._totals("product-totals", start, end, as_of, limit)
        return read(response, Page[ProductTotal]).items

    async def low_stock(self, at_most: int = 10, *, limit: int = 50) -> list[Product]:
        """Return the products with at most `at_most` units left, those with the fewest first."""
        asked = {"atMost": at_most, "limit": limit}
        response = await self.get("/analytics/low-stock", asked)
        return read(response, Page[Product]).items

    async def top_customers(
        self,
        start: TimeOrDay | None = None,
        end: TimeOrDay | None = None,
        *,
        limit: int = 50,
        as_of: AsOf | None = None,
    ) -> list[TopCustomer]:
        """Return the customers who spent most."""
        response = await self._totals("top-customers", start, end, as_of, limit)
        return read(response, Page[TopCustomer]).items

    async def list_events(
        self, *, aggregate: str | None = None, after: int = 0, limit: int = 1_000
    ) -> list[Event]:
        """Return events of the log above a position, in order; an empty list at the log's end.

        A page may have fewer events than `limit` although more follow, if they are large.
        """
        asked = {"aggregate": aggregate, "after": after, "limit": limit}
        return read(await self.get_log(asked), EventPage).items

    async def projected(self) -> int:
        """Return the current position of the read model, without waiting."""
        return read(await self.get("/health/ready", is_waiting=False), Ready).position

    async def _totals(
        self,
        name: str,
        start: TimeOrDay | None,
        end: TimeOrDay | None,
        as_of: AsOf | None,
        limit: int | None = None,
    ) -> Success:
        asked = {"from": start, "to": end, "limit": limit, "asOf": as_of}
        return await self.get(f"/analytics/{name}", asked)
