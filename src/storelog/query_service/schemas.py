"""The JSON Schemas of the Query Service's bodies, for its OpenAPI document.

Those of entities and sales follow the declarations, with what the Query Service adds to them.
Next: query_service/routes.py
"""

from typing import Any

from storelog.query_service import bodies
from storelog.shop.customer import Customer
from storelog.shop.events import EVENT_TYPES
from storelog.shop.json_schema import response_schema
from storelog.shop.order import Order
from storelog.shop.product import Product, ProductSold
from storelog.shop.value_schemas import ID, TIME, strict_object

_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_MONEY: dict[str, Any] = {"type": "string", "pattern": r"^\d+\.\d{2,}$", "examples": ["4.25"]}
_TEXT: dict[str, Any] = {"type": "string", "examples": [EVENT_TYPES[0]]}
_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
_ANN_OR_NULL: dict[str, Any] = {"type": ["string", "null"], "examples": ["Ann Miller"]}
_STAND_OR_NULL: dict[str, Any] = {"type": ["string", "null"], "examples": ["Cake stand"]}
_ANYTHING: dict[str, Any] = {"examples": ["4.25"]}
_FLAG: dict[str, Any] = {"type": "boolean"}


def _items(schema: dict[str, Any]) -> dict[str, Any]:
    return strict_object(items={"type": "array", "items": schema})


def _page(name: str) -> dict[str, Any]:
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}
    page = strict_object(items=items, nextCursor=_TEXT_OR_NULL)
    page["properties"] |= {"count": _COUNT, "countIsExact": _FLAG}
    return page


_CHANGE = strict_object(field=_TEXT, **{"from": _ANYTHING, "to": _ANYTHING})
SCHEMAS: dict[str, Any] = {
    "Customer": response_schema(Customer),
    "Product": response_schema(Product),
    "Order": strict_object(**bodies.with_name(response_schema(Order)["properties"], _ANN_OR_NULL)),
    "Sale": strict_object(**response_schema(ProductSold)["properties"], cancelled=_FLAG),
    "Changes": {
        "type": "string",
        "description": "Server-sent events: `id` is the position, `event` the event's type, `data`"
        " a JSON object {position, eventType, aggregate, version, recordedAt, correlationId,"
        " change}.",
        "examples": ["id: 1\nevent: CustomerDeleted\ndata: {...}\n\n"],
    },
    "Ticket": strict_object(ticket=_TEXT, expiresAt=TIME),
    "Customers": _page("Customer"),
    "Products": _page("Product"),
    "Orders": _page("Order"),
    "Sales": _page("Sale"),
    "History": strict_object(
        items={
            "type": "array",
            "items": strict_object(
                position=ID,
                version=ID,
                eventType=_TEXT,
                recordedAt=TIME,
                caller=_TEXT_OR_NULL,
                correlationId=_TEXT,
                changed={"type": "array", "items": _CHANGE},
                about={"type": "object", "examples": [{"reason": "Changed"}]},
            ),
        },
        nextCursor=_TEXT_OR_NULL,
        lastSetBy={"type": "object", "additionalProperties": ID, "examples": [{"name": 1}]},
    ),
    "TotalSales": strict_object(totalSales=_MONEY, unitsSold=_COUNT, orders=_COUNT),
    "SalesByDay": _items(
        strict_object(
            day={"type": "string", "format": "date"},
            totalSales=_MONEY,
            unitsSold=_COUNT,
            orders=_COUNT,
        )
    ),
    "ProductTotals": _items(
        strict_object(productId=ID, productName=_STAND_OR_NULL, unitsSold=_COUNT, totalSales=_MONEY)
    ),
    "TopCustomers": _items(
        strict_object(customerId=ID, name=_ANN_OR_NULL, orders=_COUNT, totalSpent=_MONEY)
    ),
}
