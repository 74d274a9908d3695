"""Text that means something to a database, a header, a log, a spreadsheet or a browser is text."""

import json
from urllib.parse import quote

import pytest

from support.http import Client
from support.system import ANN, CAKE_STAND, System

TEXTS = [
    '{"$gt": ""}', "$where", "$set", "a.b", "name.$[]", "'; DROP TABLE customers; --",
    '" OR "1"="1', "\\'); SELECT pg_sleep(10); --", "%s%s%n", "{0.__class__}", "${jndi:ldap://x}",
    "=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1+1",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "]]>", "&lt;", "javascript:1",
    "a\r\nX-Evil: 1", "\r\n\r\nHTTP/1.1 200 OK", "a\nlevel=error event=FORGED", "\u001b[31mred",
    "\u202egnp.exe", "\u2066x\u2069", "a\u0301", "\U0001f600", " ", "\ufeff", "null", "NULL",
]  # fmt: skip


@pytest.fixture(scope="module")
def named(shop: System) -> list[tuple[str, int, int]]:
    """A customer and a product of each name, projected."""
    made = [
        (text, shop.new_customer(name=text)["customerId"], shop.new_product(name=text)["productId"])
        for text in TEXTS
    ]
    shop.wait_projected()
    return made


def test_names_come_back_as_they_were_sent_from_every_place(
    shop: System, named: list[tuple[str, int, int]]
) -> None:
    before = shop.sql("SELECT count(*) AS n FROM customers")[0]["n"]
    for text, customer, product in named:
        assert shop.queries.get(f"/customers/{customer}").json["name"] == text
        assert shop.queries.get(f"/products/{product}").json["name"] == text
        event = shop.commands.get(f"/events?aggregate=customer-{customer}").json["items"][0]
        assert event["payload"]["name"] == text
    order = shop.new_order(named[0][1], *[(product, 1) for _, _, product in named])
    shop.wait_projected()
    lines = shop.queries.get(f"/orders/{order['orderId']}").json["orderItems"]
    assert [line["productName"] for line in lines] == TEXTS
    assert shop.sql("SELECT count(*) AS n FROM customers")[0]["n"] == before


def test_no_name_gets_into_a_header_or_out_of_json(
    shop: System, named: list[tuple[str, int, int]]
) -> None:
    for _, customer, product in named:
        for reply in (
            shop.queries.get(f"/customers/{customer}"),
            shop.commands.put(f"/products/{product}", CAKE_STAND | {"name": "x\r\nX-Evil: 1"}),
        ):
            assert reply.status == 200
            assert "x-evil" not in reply.headers
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["x-content-type-options"] == "nosniff"
            json.loads(reply.raw)


@pytest.mark.parametrize(
    "path",
    [
        "/orders?customerId[$gt]=0", "/orders?customerId=%7B%22$gt%22:0%7D", "/orders?$where=1",
        "/orders?customerId=1%20OR%201=1", "/products?inStock[$ne]=true", "/orders?cursor=%7B%7D",
        "/product-sold?productId=1;DROP", "/customers?limit=1%27", "/orders?from=$now",
    ],
)  # fmt: skip
def test_operators_in_parameters_are_rejected(queries: Client, path: str) -> None:
    reply = queries.get(path)
    assert (reply.status, reply.slug) == (422, "invalid-fields")


@pytest.mark.parametrize("text", TEXTS)
def test_the_log_of_events_is_asked_for_by_aggregates_only(commands: Client, text: str) -> None:
    reply = commands.get(f"/events?aggregate={quote('product-1' + text)}")
    assert (reply.status, reply.slug) == (422, "invalid-fields")


@pytest.mark.parametrize(
    "body",
    [
        ANN | {"$set": {"name": "x"}}, ANN | {"name.first": "x"}, ANN | {"_id": 1},
        ANN | {"customerId": 1}, ANN | {"__proto__": {}}, ANN | {"name": {"$gt": ""}},
        ANN | {"email": ["a@b"]}, ANN | {"phoneNumber": {"$ne": None}},
    ],
)  # fmt: skip
def test_operators_and_objects_in_bodies_are_rejected(commands: Client, body: object) -> None:
    reply = commands.post("/customers", body)
    assert (reply.status, reply.slug) == (422, "invalid-fields")


def test_a_key_of_quotes_is_a_key(commands: Client) -> None:
    key = {"Idempotency-Key": "';DROP/**/TABLE/**/idempotency_keys;--"}
    first, again = (commands.post("/customers", ANN, key) for _ in range(2))
    assert first.raw == again.raw
    assert again.headers["idempotency-replayed"] == "true"


def test_nothing_that_is_sent_makes_a_line_of_a_log(
    shop: System, named: list[tuple[str, int, int]]
) -> None:
    for client in (shop.commands, shop.queries):
        client.get("/nothing%0AFORGED", {"X-Correlation-Id": "a FORGED b"})
        client.get("/orders?from=%0D%0AFORGED", {"X-Request-Id": "FORGED\t"})
        client.send("POST", "/orders", raw=b'{"FORGED\\n": 1}')
    for name in ("command-service", "query-service", "relay", "projector"):
        assert "FORGED" not in shop.log_path(name).read_text("utf-8")


def test_the_page_of_the_documents_sets_text_only(commands: Client) -> None:
    page = commands.get("/docs")
    script = page.raw.partition(b"<script>")[2]
    assert b"textContent" in script
    for sink in (b"innerHTML", b"outerHTML", b"document.write", b"eval(", b"insertAdjacentHTML"):
        assert sink not in script
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
