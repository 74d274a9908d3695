"""A read that waits has its whole time to read afterwards; shared waits have no owner."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from storelog.query_service.http import entities
from storelog.query_service.positions import freshness, reads
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.query_service.positions.view import View
from storelog.shop.events import CUSTOMER
from storelog.web.http import AnyResponse, Caller, Request, Response
from support.system import System

# A read may take so long, and a request is let wait for longer.
READ_SECONDS = 0.4
WAITED_SECONDS = 1.0


def _request(customer: int, wait_for: int, **query: str) -> Request:
    headers = {"storelog-wait-for": str(wait_for), "prefer": "wait=20"}
    path, caller = f"/customers/{customer}", Caller("", "admin")
    return Request("GET", path, {"customerId": customer}, query, headers, b"", caller, "")


@pytest.fixture(autouse=True)
def _short_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "READ_SECONDS", READ_SECONDS)


def _after_a_long_wait(
    shop: System, respond: Callable[[Reads, int], Coroutine[Any, Any, AnyResponse]]
) -> None:
    """Have a request wait for longer than a read may take, then for what comes, and respond."""
    shop.wait_projected()
    head = shop.commands.get("/events?limit=1").position

    async def run() -> None:
        opened = Reads(shop.settings)
        try:
            waiting = asyncio.create_task(respond(opened, head + 1))
            assert await opened.positions.wait(head + 1, WAITED_SECONDS) is None
            assert not waiting.done()
            await asyncio.to_thread(shop.new_customer)
            assert (await waiting).status == 200
        finally:
            await opened.close()

    asyncio.run(run())


def test_a_request_may_wait_for_longer_than_a_read_may_take(shop: System) -> None:
    customer = shop.new_customer()["customerId"]

    async def respond(opened: Reads, position: int) -> AnyResponse:
        return await entities.get(opened, CUSTOMER)(_request(customer, position))

    _after_a_long_wait(shop, respond)


def test_what_waits_share_does_not_end_with_the_request_that_began_it(shop: System) -> None:
    async def respond(opened: Reads, position: int) -> AnyResponse:
        async with reading_mongodb():
            view = await opened.reached(lambda place: place.position >= position, 20)
        return Response(200 if view.place.position >= position else 503)

    _after_a_long_wait(shop, respond)


def test_a_request_that_waits_for_a_position_and_a_moment_waits_once(
    shop: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = shop.new_customer()["customerId"]
    left = []

    async def view_as_of(_reads: Reads, view: View, _given: str, seconds: float) -> View:
        left.append(seconds)
        return view

    monkeypatch.setattr(freshness, "view_as_of", view_as_of)

    async def respond(opened: Reads, position: int) -> AnyResponse:
        return await entities.get(opened, CUSTOMER)(_request(customer, position, asOf="1"))

    _after_a_long_wait(shop, respond)
    assert 0 < left[0] < 20 - WAITED_SECONDS
