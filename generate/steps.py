"""One request of the Postman collection, and short ways to write it.

A path is as in the OpenAPI documents; `{customerId}` and "{{customerId}}" are values that an
earlier step saved. `checks` and `saves` are JavaScript on `body` and `header(name)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Step:
    """One request: `service` is command or query; `problem` is the slug of an expected problem."""

    name: str
    service: str
    method: str
    path: str
    status: int = 200
    body: Json = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    saves: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """One chapter of the story."""

    name: str
    about: str
    steps: tuple[Step, ...]


def post(name: str, path: str, body: Json, status: int = 201, **more: Any) -> Step:
    """Return a POST to the Command Service, 201 unless said otherwise."""
    return Step(name, "command", "POST", path, status, body, **more)


def put(name: str, path: str, body: Json, status: int = 200, **more: Any) -> Step:
    """Return a PUT to the Command Service."""
    return Step(name, "command", "PUT", path, status, body, **more)


def delete(name: str, path: str, status: int = 204, **more: Any) -> Step:
    """Return a DELETE to the Command Service."""
    return Step(name, "command", "DELETE", path, status, **more)


def read(name: str, path: str, **more: Any) -> Step:
    """Return a GET of the Query Service."""
    return Step(name, "query", "GET", path, **more)


def order(quantity: int, product: str = "{{productId}}") -> Json:
    """Return an order's body for one product."""
    items = [{"productId": product, "quantity": quantity}]
    return {"customerId": "{{customerId}}", "orderItems": items}


def equal(what: str, value: str) -> str:
    """Return a check that two values are equal."""
    return f"pm.expect({what}).to.eql({value});"


def variable(name: str) -> str:
    """Return the JavaScript of a saved value."""
    return f'pm.collectionVariables.get("{name}")'
