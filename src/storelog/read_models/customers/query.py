"""GET /customers, GET /customers/{customerId}. Next: read_models/products/query.py"""

from typing import Any

from storelog.query_service.http.entities import get, list_all, list_parameters
from storelog.query_service.http.route_parts import many, one, page_schema
from storelog.query_service.positions.reads import Reads
from storelog.shop.customer import Customer
from storelog.shop.events import CUSTOMER
from storelog.shop.json_schema import response_schema
from storelog.web.http import Route

SCHEMAS: dict[str, Any] = {
    "Customer": response_schema(Customer),
    "Customers": page_schema("Customer"),
}


def routes(reads: Reads) -> list[Route]:
    """Return the routes, their handlers around one reader of MongoDB."""
    parameters = list_parameters(CUSTOMER)
    return [
        one("/customers/{customerId}", get(reads, CUSTOMER), "Customer"),
        many("/customers", list_all(reads, CUSTOMER), "Customers", parameters),
    ]
