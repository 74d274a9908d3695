"""GET /products, GET /products/{productId}, GET /analytics/low-stock.

Next: read_models/orders/query.py
"""

from typing import Any

from storelog.documents.forms import body_of
from storelog.query_service.http.entities import get, list_all, list_parameters
from storelog.query_service.http.parameters import LIMIT, Parameters
from storelog.query_service.http.responses import respond
from storelog.query_service.http.route_parts import FLAG, many, of_the_present, one, page_schema
from storelog.query_service.positions.freshness import open_view, patience
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.shop.events import PRODUCT
from storelog.shop.fields import field_at
from storelog.shop.json_schema import response_schema
from storelog.shop.product import Product
from storelog.shop.value_schemas import ID, strict_object
from storelog.web.http import Handler, Request, Response, Route

SCHEMAS: dict[str, Any] = {
    "Product": response_schema(Product),
    "Products": page_schema("Product"),
    "LowStock": strict_object(
        items={"type": "array", "items": {"$ref": "#/components/schemas/Product"}}
    ),
}

# Stock is low at this number of units and below, unless a request names another.
LOW_STOCK = 10
_STOCK = field_at(Product.stock).json
_LOW_STOCK = {"atMost": {**ID, "default": LOW_STOCK}, "limit": LIMIT}


def low_stock(reads: Reads) -> Handler:
    """Return the handler that lists the products with the fewest units left."""

    async def handle(request: Request) -> Response:
        parameters = Parameters(request.query)
        limit, at_most = parameters.limit(), parameters.number("atMost") or LOW_STOCK
        parameters.done()
        wanted = {"deleted": False, _STOCK: {"$lte": at_most}}
        async with reading_mongodb(patience(request)):
            view = await open_view(reads, request)
            # No index serves this, since each sale would have to update it (decision 8).
            found = view.collection(PRODUCT.collection).find(wanted)
            few = await found.sort([(_STOCK, 1), ("_id", 1)]).limit(limit).to_list()
        return respond(view, {"items": [body_of(Product, each) for each in few]})

    return handle


def _in_stock(request: Request) -> dict[str, Any]:
    parameters = Parameters(request.query)
    in_stock = parameters.flag("inStock")
    parameters.done()
    return {} if in_stock is None else {"stockStatus": in_stock}


def routes(reads: Reads) -> list[Route]:
    """Return the routes, their handlers around one reader of MongoDB."""
    parameters = {**list_parameters(PRODUCT), "inStock": FLAG}
    return [
        one("/products/{productId}", get(reads, PRODUCT), "Product"),
        many("/products", list_all(reads, PRODUCT, _in_stock), "Products", parameters),
        of_the_present("/analytics/low-stock", low_stock(reads), "LowStock", _LOW_STOCK),
    ]
