"""HTTP itself: every wrong request gets the right problem, on both services, never a 500."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from openapi_spec_validator import validate

from generate.openapi import documents
from support.http import Client
from support.system import System

SERVICES = ["commands", "queries"]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, shop: System) -> Client:
    client: Client = getattr(shop, request.param)
    return client


def test_each_service_says_what_it_is(service: Client) -> None:
    assert service.get("/").json.keys() == {"name", "version", "currency"}
    assert service.get("/health/live").status == 200
    ready = service.get("/health/ready")
    assert (ready.status, ready.json["status"]) == (200, "ready")
    assert b"<html" in service.get("/docs").raw.lower()


def test_its_openapi_document_is_valid_and_lists_the_problems(service: Client) -> None:
    document = service.get("/openapi.json").json
    validate(document)
    assert document in json.loads(json.dumps(list(documents().values()))), "what generate/ reads"
    for path in document["paths"].values():
        for operation in path.values():
            always = {"400", "408", "422", "431", "503"}
            if operation["x-role"] != "public":
                always |= {"401", "403", "429"}
            assert always <= operation["responses"].keys()


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/orders/0", "/orders/01", "/orders/-1", "/orders/x", "/orders/1.0", "/orders/",
     "//orders", "/orders/9223372036854775808", "/orders/1/2", "/orders%2F1", "/%00",
     "/customers/%D9%A1", "/customers/1%D9%A1"],
)  # fmt: skip
def test_unknown_paths_and_invalid_ids_are_404(service: Client, path: str) -> None:
    reply = service.get(path)
    assert reply.status == 404
    assert reply.slug == "not-found"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 400),
        (["Host: localhost", "Host: 127.0.0.1"], 400),
        (["Host: localhost", "Authorization: Bearer a", "Authorization: Bearer b"], 400),
        (["Host: localhost", "X-Correlation-Id: a", "x-correlation-id: b"], 400),
        (
            ["Host: localhost", 'If-None-Match: "a"', 'If-None-Match: "b"', "X-Own: 1", "X-Own: 2"],
            200,
        ),
    ],
)
def test_a_field_that_two_readers_could_read_differently_is_400(
    service: Client, fields: list[str], status: int
) -> None:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.sendall("\r\n".join(["GET / HTTP/1.1", *fields, "Connection: close", "", ""]).encode())
        assert raw.recv(65_536).startswith(b"HTTP/1.1 %d " % status)


def test_lists_that_come_in_two_fields_are_one_list(service: Client) -> None:
    tag = service.get("/").etag
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        tags = f'If-None-Match: {tag}\r\nIf-None-Match: "x"\r\n'
        raw.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{tags}\r\n".encode())
        assert raw.recv(65_536).startswith(b"HTTP/1.1 304 ")


def test_a_method_that_is_not_there_is_405_with_allow(service: Client) -> None:
    reply = service.send("PATCH", "/orders", {})
    assert (reply.status, reply.slug) == (405, "method-not-allowed")
    assert reply.headers["allow"]


def test_head_is_get_without_its_body(queries: Client) -> None:
    head, get = queries.send("HEAD", "/products"), queries.get("/products")
    assert (head.status, head.raw) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_a_body_over_1_mib_is_413(commands: Client) -> None:
    reply = commands.send("POST", "/customers", raw=b"x" * (1024 * 1024 + 1))
    assert (reply.status, reply.slug) == (413, "too-large")


def test_a_chunked_body_over_1_mib_is_413(commands: Client) -> None:
    address = urlsplit(commands.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=20)
    chunks = (b"x" * 65_536 for _ in range(17))
    connection.request("POST", "/customers", chunks, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_that_is_not_json_is_400_or_415(commands: Client) -> None:
    reply = commands.send("POST", "/customers", raw=b"{", headers={"Content-Type": "text/plain"})
    assert (reply.status, reply.slug) == (415, "unsupported-media-type")
    for raw in (b"", b"{", b'{"name":1,"name":2}', b"\xff", b"[" * 100_000):
        reply = commands.send("POST", "/customers", raw=raw)
        assert (reply.status, reply.slug) == (400, "malformed-request")


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "1"},
        {"If-Match": ""},
        {"If-Match": "W/1"},
        {"If-Match": '"1" "2"'},
        {"If-Match": '"1", *'},
        {"Idempotency-Key": "a b"},
        {"Idempotency-Key": "x" * 256},
        {"Idempotency-Key": ""},
    ],
)
def test_bad_headers_are_400(commands: Client, headers: dict[str, str]) -> None:
    reply = commands.put("/customers/1", {"name": "x", "email": "a@b"}, headers)
    assert (reply.status, reply.slug) == (400, "malformed-request")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/orders?limit=0", "?limit"),
        ("/orders?limit=501", "?limit"),
        ("/orders?limit=x", "?limit"),
        ("/orders?nothing=1", "?nothing"),
        ("/orders?cursor=abc", "?cursor"),
        ("/orders?from=yesterday", "?from"),
        ("/orders?from=2011-02-30", "?from"),
        ("/orders?from=2011-01-02&to=2011-01-01", "?from"),
        ("/orders?from=2011-01-01T00:00:00", "?from"),
        ("/product-sold?from=2011-01-02&to=2011-01-01", "?from"),
        ("/customers/1/orders?from=2011-01-02&to=2011-01-01", "?from"),
        ("/analytics/total-sales?from=2011-01-02&to=2011-01-01", "?from"),
        ("/analytics/product-totals?from=2011-01-02&to=2011-01-01", "?from"),
        ("/analytics/sales-by-day?from=2011-01-01T00:00:00.001Z&to=2011-01-01", "?from"),
        ("/analytics/top-customers?from=2011-01-02&to=2011-01-01", "?from"),
        ("/orders?customerId=0", "?customerId"),
        ("/orders?limit=1&limit=2", "?"),
        ("/products?inStock=yes", "?inStock"),
        ("/product-sold?cancelled=1", "?cancelled"),
        ("/analytics/total-sales?limit=5", "?limit"),
        ("/analytics/top-customers?limit=0", "?limit"),
        ("/customers?from=2011-01-01", "?from"),
        ("/orders/1?limit=1", "?limit"),
    ],
)
def test_wrong_parameters_are_422_and_named(queries: Client, path: str, pointer: str) -> None:
    reply = queries.get(path)
    assert (reply.status, reply.slug) == (422, "invalid-fields")
    assert reply.pointers == [pointer]


def test_a_correlation_id_is_kept_or_made(service: Client) -> None:
    kept = service.get("/nothing", {"X-Correlation-Id": "shop-7"})
    assert kept.headers["x-correlation-id"] == kept.json["correlationId"] == "shop-7"
    made = service.get("/nothing", {"X-Correlation-Id": "a b"})
    assert made.json["correlationId"] not in ("", "a b")


def test_rubbish_on_the_wire_is_rejected_and_the_next_request_gets_its_response(
    service: Client,
) -> None:
    address = urlsplit(service.url)
    for rubbish in (b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000):
        with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
            raw.sendall(rubbish)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(4096)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"application/problem+json" in answer
            assert b"/problems/malformed-request" in answer
    assert service.get("/health/live").status == 200


def test_the_type_of_a_problem_leads_to_what_it_means(service: Client) -> None:
    kind = service.get("/orders/x").json["type"]
    told = service.get(kind).json
    assert (told["type"], told["status"]) == (kind, 404)
    assert "deleted" in told["about"]
    page = service.get(kind, {"Accept": "text/html,*/*"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert told["title"].encode() in page.raw
    assert service.get("/problems/none").slug == "not-found"
