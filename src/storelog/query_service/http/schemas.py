"""The JSON Schemas of the Query Service's bodies, for its OpenAPI document.

The schemas of read models are in their folders.
Next: query_service/http/routes.py
"""

from typing import Any

from storelog.query_service.http import operations
from storelog.query_service.http.route_parts import ANN_OR_NULL, MONEY
from storelog.read_models.listed import queries
from storelog.shop.events import EVENT_TYPES
from storelog.shop.value_schemas import COUNT, ID, TEXT_OR_NULL, TIME, strict_object

_TEXT: dict[str, Any] = {"type": "string", "examples": [EVENT_TYPES[0]]}
_STAND_OR_NULL: dict[str, Any] = {"type": ["string", "null"], "examples": ["Cake stand"]}
_ANYTHING: dict[str, Any] = {"examples": ["4.25"]}


def _items(schema: dict[str, Any]) -> dict[str, Any]:
    return strict_object(items={"type": "array", "items": schema})


_CHANGE = strict_object(field=_TEXT, **{"from": _ANYTHING, "to": _ANYTHING})
SCHEMAS: dict[str, Any] = {
    **{name: schema for query in queries() for name, schema in query.SCHEMAS.items()},
    "Changes": {
        "type": "string",
        "description": "Server-sent events: `id` is the position, `event` the event's type, `data`"
        " a JSON object {position, eventType, aggregate, version, recordedAt, correlationId,"
        " change}.",
        "examples": ["id: 1\nevent: CustomerDeleted\ndata: {...}\n\n"],
    },
    "Ticket": strict_object(ticket=_TEXT, expiresAt=TIME),
    "History": strict_object(
        items={
            "type": "array",
            "items": strict_object(
                position=ID,
                version=ID,
                eventType=_TEXT,
                recordedAt=TIME,
                caller=TEXT_OR_NULL,
                correlationId=_TEXT,
                changed={"type": "array", "items": _CHANGE},
                about={"type": "object", "examples": [{"reason": "Changed"}]},
            ),
        },
        nextCursor=TEXT_OR_NULL,
        lastSetBy={"type": "object", "additionalProperties": ID, "examples": [{"name": 1}]},
    ),
    "TotalSales": strict_object(totalSales=MONEY, unitsSold=COUNT, orders=COUNT),
    "SalesByDay": _items(
        strict_object(
            day={"type": "string", "format": "date"},
            totalSales=MONEY,
            unitsSold=COUNT,
            orders=COUNT,
        )
    ),
    "ProductTotals": _items(
        strict_object(productId=ID, productName=_STAND_OR_NULL, unitsSold=COUNT, totalSales=MONEY)
    ),
    "TopCustomers": _items(
        strict_object(customerId=ID, name=ANN_OR_NULL, orders=COUNT, totalSpent=MONEY)
    ),
    **operations.SCHEMAS,
}
