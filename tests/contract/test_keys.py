"""API keys and roles on both services: every endpoint, every role."""

from collections.abc import Iterator
from hashlib import sha256

import pytest

from storelog.config import ROLES
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.system import ANN, CAKE_STAND, System

# Method, path, body, and the least role that may.
COMMANDS: list[tuple[str, str, object, str]] = [
    ("POST", "/customers", ANN, "write"),
    ("PUT", "/customers/1", ANN, "write"),
    ("DELETE", "/customers/77", None, "write"),
    ("POST", "/products", CAKE_STAND, "write"),
    ("PUT", "/products/1", CAKE_STAND, "write"),
    ("DELETE", "/products/77", None, "write"),
    ("POST", "/products/1/stock-adjustments", {"delta": 1, "reason": "x"}, "write"),
    ("POST", "/orders", {}, "write"),
    ("DELETE", "/orders/77", None, "write"),
    ("GET", "/events", None, "read"),
    ("GET", "/", None, "read"),
    ("GET", "/openapi.json", None, "read"),
    ("GET", "/docs", None, "read"),
]
QUERIES: list[tuple[str, str, object, str]] = [
    ("GET", path, None, "read")
    for path in (
        "/", "/customers", "/customers/1", "/customers/1/orders", "/products", "/products/1",
        "/orders", "/orders/1", "/product-sold", "/analytics/total-sales",
        "/analytics/product-totals", "/analytics/sales-by-day", "/analytics/top-customers",
        "/openapi.json", "/docs",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def locked(servers: EmbeddedServers) -> Iterator[System]:
    keys = ",".join(f"{role}-er:{role}:{sha256(role.encode()).hexdigest()}" for role in ROLES)
    with System(new_settings(servers), environment={"STORELOG_API_KEYS": keys}) as system:
        yield system


@pytest.mark.parametrize(("method", "path", "body", "least"), COMMANDS + QUERIES)
def test_each_endpoint_takes_its_role_and_higher(
    locked: System, method: str, path: str, body: object, least: str
) -> None:
    service = locked.commands if (method, path, body, least) in COMMANDS else locked.queries
    for role in ROLES:
        reply = Client(service.url, role).send(method, path, body)
        if ROLES.index(role) < ROLES.index(least):
            assert (reply.status, reply.slug) == (403, "forbidden")
        else:
            assert reply.status not in (401, 403)
    for key in (None, "wrong", ""):
        reply = Client(service.url, key).send(method, path, body)
        assert (reply.status, reply.slug) == (401, "unauthenticated")
        assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_needs_no_key(locked: System, path: str) -> None:
    assert locked.commands.get(path).status == 200
    assert locked.queries.get(path).status == 200


def test_only_an_import_may_say_when_and_for_how_much(locked: System) -> None:
    importer, writer = Client(locked.commands.url, "import"), Client(locked.commands.url, "write")
    product = importer.post("/products", CAKE_STAND).json["productId"]
    customer = importer.post("/customers", ANN).json["customerId"]
    line = {"productId": product, "quantity": 1}
    dated = {"customerId": customer, "orderItems": [line], "orderDate": "2011-01-01T00:00:00Z"}
    priced = {"customerId": customer, "orderItems": [{**line, "price": "0.5"}]}
    for body in (dated, priced):
        reply = writer.post("/orders", body)
        assert (reply.status, reply.slug) == (403, "import-not-allowed")
    key = {"Idempotency-Key": "import/x"}
    assert writer.post("/customers", ANN, key).slug == "import-not-allowed"
    assert importer.post("/customers", ANN, key).status == 201
    placed = importer.post("/orders", dated).json
    assert placed["orderDate"] == "2011-01-01T00:00:00.000Z"
    assert importer.post("/orders", priced).json["totalPrice"] == "0.50"
    sold = importer.get(f"/events?aggregate=product-{product}").json["items"][1]
    assert sold["payload"]["soldAt"] == placed["orderDate"]


def test_each_key_has_its_own_space_of_idempotency_keys(locked: System) -> None:
    key = {"Idempotency-Key": "shared"}
    writer = Client(locked.commands.url, "write").post("/customers", ANN, key)
    admin = Client(locked.commands.url, "admin").post("/customers", ANN, key)
    assert writer.json["customerId"] != admin.json["customerId"]


def test_the_log_names_who_it_was_and_never_the_key(locked: System) -> None:
    Client(locked.commands.url, "write").post("/customers", ANN)
    callers = {row["caller"] for row in locked.sql("SELECT DISTINCT caller FROM events")}
    assert "write-er" in callers
    assert "write" not in callers
