"""The Query Service's table: every endpoint, the least role that may call it, what it says.

Next: query_service/api.py
"""

from typing import Any

from storelog.query_service.api import QueryApi
from storelog.query_service.parameters import (
    CANCELLED,
    CUSTOMER,
    IN_STOCK,
    LIMIT,
    ORDER,
    PAGE,
    PRODUCT,
    RANGE,
)
from storelog.query_service.reads import Reads
from storelog.web.http import Handler, Operation, Route

_FRESH = ("Storelog-Position", "Storelog-Dead-Letters")
_TOP = {**RANGE, "limit": LIMIT}


def routes(reads: Reads) -> list[Route]:
    """Return the table, its handlers around one reader."""
    api = QueryApi(reads)
    orders = {**RANGE, **PAGE, **PRODUCT}
    sales = {**orders, **CUSTOMER, **ORDER, **CANCELLED}
    return [
        _one("/customers/{customerId}", api.get_customer, "Customer"),
        _one("/products/{productId}", api.get_product, "Product"),
        _one("/orders/{orderId}", api.get_order, "Order"),
        _many("/customers", api.list_customers, "Customers", PAGE),
        _many("/products", api.list_products, "Products", {**PAGE, **IN_STOCK}),
        _many("/orders", api.list_orders, "Orders", {**orders, **CUSTOMER}),
        _many("/customers/{customerId}/orders", api.list_customer_orders, "Orders", orders),
        _many("/product-sold", api.list_sales, "Sales", sales),
        _many("/analytics/total-sales", api.total_sales, "TotalSales", RANGE),
        _many("/analytics/sales-by-day", api.sales_by_day, "SalesByDay", RANGE),
        _many("/analytics/product-totals", api.product_totals, "ProductTotals", _TOP),
        _many("/analytics/top-customers", api.top_customers, "TopCustomers", _TOP),
    ]


def _one(path: str, handler: Handler, schema: str) -> Route:
    operation = Operation(f"One {schema.lower()}", 200, None, schema, headers=("ETag", *_FRESH))
    return Route("GET", path, "read", handler, operation)


def _many(path: str, handler: Handler, schema: str, query: dict[str, dict[str, Any]]) -> Route:
    words = path.rpartition("/")[2].replace("-", " ")
    operation = Operation(words.capitalize(), 200, None, schema, query, headers=_FRESH)
    return Route("GET", path, "read", handler, operation)
