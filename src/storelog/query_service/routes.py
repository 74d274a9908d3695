"""The Query Service's table: every endpoint, the least role that may call it, what it says.

Next: query_service/singles.py
"""

from typing import Any

from storelog.query_service.asof import AS_OF
from storelog.query_service.figures import FiguresApi
from storelog.query_service.history import HistoryApi
from storelog.query_service.listing import Listing
from storelog.query_service.live import MAX_TOPICS_LENGTH, NAMING, TOPICS, Live
from storelog.query_service.parameters import (
    CANCELLED,
    COUNT,
    CUSTOMER,
    IN_STOCK,
    LIMIT,
    ORDER,
    PAGE,
    PRODUCT,
    RANGE,
    SEARCH,
    SORT,
)
from storelog.query_service.reads import Reads
from storelog.query_service.singles import Singles
from storelog.query_service.tickets import TicketOffice
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER as CUSTOMERS
from storelog.shop.events import ENTITIES
from storelog.shop.events import PRODUCT as PRODUCTS
from storelog.shop.fields import unique_fields_of
from storelog.shop.kinds import MAX_ID
from storelog.shop.value_schemas import written
from storelog.web.http import Handler, Operation, Route

_FRESH = ("Storelog-Position", "Storelog-Dead-Letters")
_ASKED = ("Storelog-Wait-For", "Prefer")
_POSITION: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
_TOP = {**RANGE, "limit": LIMIT}
_TOPIC = f"({'|'.join(TOPICS)})"
_TOPICS = {
    "type": "string",
    "pattern": f"^{_TOPIC}(,{_TOPIC})*$",
    "maxLength": MAX_TOPICS_LENGTH,
    "examples": ["orders,products"],
}
_NAMING = {"type": "string", "enum": list(NAMING), "default": NAMING[0]}
_TICKET = {"type": "string", "description": "Of `POST /live/tickets`, in place of a key."}
_TICKETS = Operation("Get a ticket for /live", 201, None, "Ticket", headers=_FRESH)
_LIVE = Operation(
    "Follow the changes",
    200,
    None,
    "Changes",
    {"topics": _TOPICS, "after": _POSITION, "events": _NAMING, "ticket": _TICKET},
    headers=_FRESH,
    request_headers=("Last-Event-ID",),
    content_type="text/event-stream",
)


def routes(reads: Reads) -> list[Route]:
    """Return the table, its handlers around one reader."""
    singles, listing, figures = Singles(reads), Listing(reads), FiguresApi(reads)
    history = HistoryApi(reads)
    things = {**PAGE, **SEARCH, **COUNT}
    orders = {**RANGE, **PAGE, **PRODUCT, **SORT, **COUNT}
    sales = {**RANGE, **PAGE, **PRODUCT, **CUSTOMER, **ORDER, **CANCELLED, **COUNT}
    return [
        _one("/customers/{customerId}", singles.get_customer, "Customer"),
        _one("/products/{productId}", singles.get_product, "Product"),
        _one("/orders/{orderId}", singles.get_order, "Order"),
        _many("/customers", listing.list_customers, "Customers", {**things, **_unique(CUSTOMERS)}),
        _many(
            "/products",
            listing.list_products,
            "Products",
            {**things, **IN_STOCK, **_unique(PRODUCTS)},
        ),
        _many("/orders", listing.list_orders, "Orders", {**orders, **CUSTOMER}),
        _many("/customers/{customerId}/orders", listing.list_customer_orders, "Orders", orders),
        _many("/product-sold", listing.list_sales, "Sales", sales),
        *(_many(_history_path(kind), history.of(kind), "History", PAGE) for kind in ENTITIES),
        _many("/analytics/total-sales", figures.total_sales, "TotalSales", RANGE),
        _many("/analytics/sales-by-day", figures.sales_by_day, "SalesByDay", RANGE),
        _many("/analytics/product-totals", figures.product_totals, "ProductTotals", _TOP),
        _many("/analytics/top-customers", figures.top_customers, "TopCustomers", _TOP),
        Route("GET", "/live", "read", Live(reads).follow, _LIVE, takes_tickets=True),
        Route("POST", "/live/tickets", "read", TicketOffice(reads).issue, _TICKETS),
    ]


def _unique(kind: EntityKind) -> dict[str, dict[str, Any]]:
    """Return the parameters that ask for the entity with a value that no other has."""
    return {
        field.json: {**written(field.kind), "description": f"The {kind.name} with this value."}
        for field in unique_fields_of(kind.structure)
    }


def _history_path(kind: EntityKind) -> str:
    return f"/history/{kind.collection}/{{{kind.id_name}}}"


def _one(path: str, handler: Handler, schema: str) -> Route:
    operation = Operation(
        f"One {schema.lower()}",
        200,
        None,
        schema,
        AS_OF,
        headers=("ETag", *_FRESH),
        request_headers=_ASKED,
    )
    return Route("GET", path, "read", handler, operation)


def _many(path: str, handler: Handler, schema: str, query: dict[str, dict[str, Any]]) -> Route:
    words = path.rpartition("/")[2].replace("-", " ")
    if path.startswith("/history/"):
        words = f"history of one {path.split('/')[2].removesuffix('s')}"
    operation = Operation(
        words.capitalize(), 200, None, schema, {**query, **AS_OF}, (), _FRESH, _ASKED
    )
    return Route("GET", path, "read", handler, operation)
