"""A response whose length is known is one write, and nothing in it can end its head."""

from collections.abc import Mapping
from typing import Any

import pytest

from storelog.config import Settings
from storelog.web.app import App
from storelog.web.http import Operation, Request, Response, Route
from storelog.web.protocol import LimitedProtocol
from support.wire import Served, serve

GET = b"GET /customers HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


async def _facts() -> Mapping[str, Any]:
    return {}


def shop(response: Response, bodies: list[bytes] | None = None) -> App:
    """Return an application that responds alike to two requests, and keeps their bodies."""

    async def handle(request: Request) -> Response:
        if bodies is not None:
            bodies.append(request.body)
        return response

    routes = [
        Route("GET", "/customers", "read", handle, Operation("")),
        Route("POST", "/orders", "write", handle, Operation("")),
    ]
    return App("shop", routes, Settings(), _facts)


@pytest.mark.parametrize(
    ("request_", "response", "end"),
    [
        (GET, Response(200, b"[1]"), b"\r\n\r\n[1]"),
        (GET.replace(b"GET", b"HEAD"), Response(200, b"[1]"), b"\r\ncontent-length: 3\r\n\r\n"),
        (GET.replace(b"1.1", b"1.0"), Response(200, b"[1]"), b"connection: close\r\n\r\n[1]"),
        (POST, Response(201, b"{}"), b"\r\n\r\n{}"),
        (POST, Response(204), b"\r\n\r\n"),
        (GET + b"", Response(503, b"{}", (("Connection", "close"),)), b"\r\n\r\n{}"),
    ],
    ids=["GET", "HEAD", "HTTP/1.0", "POST", "204", "that closes"],
)
def test_a_response_of_known_length_is_one_write(
    request_: bytes, response: Response, end: bytes
) -> None:
    served = serve([request_], by=shop(response))
    assert served.writes == 1
    assert served.statuses == [response.status]
    assert served.sent.endswith(end)
    is_last = b"HTTP/1.0" in request_ or response.status == 503
    assert served.is_closed == is_last
    assert served.sent.lower().count(b"connection: close") == is_last


@pytest.mark.parametrize("broken", ["a\r\nSet-Cookie: b=c", "a\nb", "a\rb", "a\0b"])
def test_a_header_with_a_line_break_never_goes_out(broken: str) -> None:
    served = serve([GET], by=shop(Response(200, b"[1]", (("Location", broken),))))
    assert served.statuses == [500]
    assert b"Cookie" not in served.sent
    assert b"[1]" not in served.sent


def test_what_a_client_asked_for_that_went_away_before_it_was_begun_is_not_done() -> None:
    bodies: list[bytes] = []
    assert serve([POST], by=shop(Response(201), bodies)).statuses == [201]
    assert bodies == [b"{}"]

    def gone(protocol: LimitedProtocol, _served: Served) -> None:
        protocol.data_received(POST)
        protocol.connection_lost(None)

    serve([], gone, by=shop(Response(201), bodies))
    assert bodies == [b"{}"]


@pytest.mark.parametrize("piece", [1, 7, len(POST) - 1, len(POST)])
def test_a_body_is_the_same_however_it_comes(piece: int) -> None:
    bodies: list[bytes] = []
    two = POST.replace(b"Length: 2", b"Length: 40000").replace(b"{}", b"a" * 40_000) + POST
    piece = piece if piece == 1 else piece * 400
    serve(
        [two[at : at + piece] for at in range(0, len(two), piece)], by=shop(Response(204), bodies)
    )
    assert bodies == [b"a" * 40_000, b"{}"]


def test_an_idle_connection_is_closed_by_the_look_at_all_of_them() -> None:
    now = 100.0

    def then(protocol: LimitedProtocol, served: Served) -> None:
        protocol.look(now + protocol.timeout_keep_alive)
        assert not served.is_closed
        # A request is what ends its idleness, however long ago the last response was.
        protocol.data_received(GET)
        protocol.look(now + protocol.timeout_keep_alive + 1)
        assert not served.is_closed

    assert serve([GET], then, lambda: now, by=shop(Response(200, b"[]"))).statuses == [200, 200]

    def idle(protocol: LimitedProtocol, served: Served) -> None:
        protocol.look(now + protocol.timeout_keep_alive + 1)
        assert served.is_closed

    serve([GET], idle, lambda: now, by=shop(Response(200, b"[]")))
