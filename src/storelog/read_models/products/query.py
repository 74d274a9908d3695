"""GET /products, GET /products/{productId}. Next: read_models/orders/query.py"""

from typing import Any

from storelog.query_service.http.entities import get, list_all, list_parameters
from storelog.query_service.http.parameters import Parameters
from storelog.query_service.http.route_parts import FLAG, many, one, page_schema
from storelog.query_service.positions.reads import Reads
from storelog.shop.events import PRODUCT
from storelog.shop.json_schema import response_schema
from storelog.shop.product import Product
from storelog.web.http import Request, Route

SCHEMAS: dict[str, Any] = {"Product": response_schema(Product), "Products": page_schema("Product")}


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
    ]
