"""The Query Service's table of endpoints: each with the lowest role that may call it.

The routes of a read model are in its folder.

Next: read_models/customers/query.py
"""

from typing import Any

from storelog.query_service.http.analytics import AnalyticsApi
from storelog.query_service.http.entity_history import HistoryApi
from storelog.query_service.http.operations import health_route
from storelog.query_service.http.parameters import LIMIT, PAGE, RANGE
from storelog.query_service.http.processes import Processes
from storelog.query_service.http.route_parts import FRESH, many
from storelog.query_service.live.stream import MAX_TOPICS_LENGTH, NAMING, TOPICS, LiveStream
from storelog.query_service.live.tickets import TicketOffice
from storelog.query_service.positions.reads import Reads
from storelog.read_models.listed import queries
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import ENTITIES
from storelog.shop.kinds import MAX_ID
from storelog.web.http import Operation, Route

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
_TICKET = {"type": "string", "description": "A ticket from `POST /live/tickets`, instead of a key."}
_TICKETS = Operation("Get a ticket for /live", 201, None, "Ticket", headers=FRESH)
_LIVE = Operation(
    "Follow the changes",
    200,
    None,
    "Changes",
    {"topics": _TOPICS, "after": _POSITION, "events": _NAMING, "ticket": _TICKET},
    errors=(409,),
    headers=FRESH,
    request_headers=("Last-Event-ID", "Storelog-History"),
    content_type="text/event-stream",
)


def routes(reads: Reads, processes: Processes) -> list[Route]:
    """Return the table; its handlers share a reader of MongoDB and the processes' health."""
    totals, history = AnalyticsApi(reads), HistoryApi(reads)
    return [
        *(route for query in queries() for route in query.routes(reads)),
        *(many(_history_path(kind), history.of(kind), "History", PAGE) for kind in ENTITIES),
        many("/analytics/total-sales", totals.total_sales, "TotalSales", RANGE),
        many("/analytics/sales-by-day", totals.sales_by_day, "SalesByDay", RANGE),
        many("/analytics/product-totals", totals.product_totals, "ProductTotals", _TOP),
        many("/analytics/top-customers", totals.top_customers, "TopCustomers", _TOP),
        Route("GET", "/live", "read", LiveStream(reads).follow, _LIVE, takes_tickets=True),
        Route("POST", "/live/tickets", "read", TicketOffice(reads).issue, _TICKETS),
        health_route(reads, processes),
    ]


def _history_path(kind: EntityKind) -> str:
    return f"/history/{kind.collection}/{{{kind.id_name}}}"
