"""The client's limits: no call outlasts its patience, and nothing hopeless is tried again."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from storelog.client import (
    AsyncStorelog,
    BehindDeadLetter,
    ClientClosed,
    Line,
    NoAnswer,
    Storelog,
    transport,
)
from support.script import ORDER, Script, done, problem, run


async def list_one(shop: AsyncStorelog) -> None:
    await shop.list_orders().next_page()


async def follow(shop: AsyncStorelog) -> None:
    async for _ in shop.follow("orders"):
        return


async def read_many(shop: AsyncStorelog) -> None:
    await asyncio.gather(*(shop.get_order(1) for _ in range(9)))


Act = Callable[[AsyncStorelog], Coroutine[Any, Any, Any]]
CALLS: dict[str, Act] = {
    "a command": lambda shop: shop.create_customer("Ann", "a@b"),
    "a read": lambda shop: shop.get_order(1),
    "a list": list_one,
    "the changes": follow,
    "many at once": read_many,
}


@asynccontextmanager
async def silent_server(says: bytes, at_once: bytes = b"") -> AsyncIterator[str]:
    """Accept every connection, send a byte of `says` every 50 ms, and never finish."""
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            writer.write(at_once)
            for byte in says:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "says",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 400, b"HTTP/1.1 503 Busy\r\n" + b"x" * 400],
    ids=["nothing", "a slow answer", "a slow problem"],
)
@pytest.mark.alone
def test_no_call_takes_longer_than_its_patience(call: str, says: bytes) -> None:
    async def go() -> float:
        async with (
            silent_server(says) as url,
            AsyncStorelog(url, url, patience_seconds=0.5, max_in_flight=2) as shop,
        ):
            began = time.monotonic()
            with pytest.raises(NoAnswer):
                await CALLS[call](shop)
            return time.monotonic() - began

    assert asyncio.run(go()) < 2.5


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("says", [b"", b": " + b"x" * 400], ids=["no line", "a slow line"])
@pytest.mark.alone
def test_a_stream_without_a_line_takes_no_longer_than_there_is_patience(says: bytes) -> None:
    async def go() -> float:
        async with (
            silent_server(says, at_once=STREAM) as url,
            AsyncStorelog(url, url, patience_seconds=0.5) as shop,
        ):
            began = time.monotonic()
            with pytest.raises(NoAnswer):
                await follow(shop)
            return time.monotonic() - began

    assert asyncio.run(go()) < 2.5


def test_a_change_of_the_largest_order_is_followed() -> None:
    lines = [{"itemId": n, "productId": n, "quantity": 1, "price": "12.75"} for n in range(6_000)]
    change = {"position": 9, "eventType": "OrderCreated", "aggregate": "order-1", "version": 1}
    change |= {"recordedAt": "2026-01-02T03:04:05Z", "correlationId": "c", "change": {"i": lines}}
    data = json.dumps(change).encode()
    assert len(data) > 300_000
    event = STREAM + b"retry: 1000\n: \nid: 8\n\nid: 9\ndata: " + data + b"\n\n"

    async def go() -> int:
        async with (
            silent_server(b"", at_once=event) as url,
            AsyncStorelog(url, url, patience_seconds=20) as shop,
        ):
            async for change in shop.follow():
                return len(change.change["i"])
        return 0

    assert asyncio.run(go()) == len(lines)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html>", content_type="text/html"),
        web.Response(text="id: x\n\n", content_type="text/event-stream"),
        web.Response(text="id: 7\ndata: {}\n\n", content_type="text/event-stream"),
    ],
    ids=["a page", "a wrong id", "a wrong change"],
)
def test_a_stream_of_another_service_raises_no_answer(answer: web.Response) -> None:
    script = Script(answer)
    with pytest.raises(NoAnswer, match=r"not (from )?a Storelog service"):
        run(script, follow)
    assert len(script.asked) == 1


@pytest.mark.parametrize("call", ["a read", "the changes"])
def test_an_invalid_address_is_an_error_at_once(call: str) -> None:
    async def go() -> None:
        async with AsyncStorelog("localhost:8080", "localhost:8081") as shop:
            with pytest.raises(NoAnswer, match="is not an address such as http://"):
                await CALLS[call](shop)

    asyncio.run(go())


def test_a_body_that_does_not_end_raises_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 1_000)
    script = Script(done({**ORDER, "more": "x" * 1_000}))
    with pytest.raises(NoAnswer, match="sends more than 1000 bytes"):
        run(script, lambda shop: shop.get_order(3))
    assert len(script.asked) == 1


def test_a_read_waits_for_no_longer_than_there_is_patience() -> None:
    script = Script(done(ORDER, 41, 201), done(ORDER, 99))

    async def act(shop: AsyncStorelog) -> None:
        await shop.place_order(7, [Line(1, 3)])
        await shop.get_order(3)

    run(script, act, patience=3.5)
    assert script.asked[1].headers["Prefer"] == "wait=3"


def test_a_read_behind_a_dead_letter_is_not_sent_again() -> None:
    letter = {"position": 7, "aggregate": "order-3"}
    hopeless = problem(503, "not-caught-up", "1", waitedFor=9, position=8, deadLetter=letter)
    script = Script(hopeless)
    with pytest.raises(BehindDeadLetter) as caught:
        run(script, lambda shop: shop.get_order(3))
    assert len(script.asked) == 1
    assert (caught.value.dead_letter.position, caught.value.dead_letter.aggregate) == (7, "order-3")
    script = Script(problem(503, "not-caught-up", "0", waitedFor=9, position=8), done(ORDER))
    run(script, lambda shop: shop.get_order(3))
    assert len(script.asked) == 2


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_client_says_that_it_is_closed(call: str) -> None:
    async def go() -> None:
        shop = AsyncStorelog("http://127.0.0.1:9", "http://127.0.0.1:9")
        await shop.transport.close()
        with pytest.raises(ClientClosed):
            await CALLS[call](shop)

    asyncio.run(go())


def test_closing_a_client_ends_the_calls_of_other_threads() -> None:
    raised: list[BaseException] = []
    is_asked = threading.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await reader.read()
        writer.close()

    def call(shop: Storelog) -> None:
        try:
            shop.get_order(1)
        except ClientClosed as error:
            raised.append(error)

    async def go() -> None:
        async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            shop = Storelog(url, url)
            thread = threading.Thread(target=call, args=(shop,))
            thread.start()
            assert await asyncio.to_thread(is_asked.wait, 10)
            await asyncio.to_thread(shop.close)
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
            for closed in (shop.get_order, shop.delete_order):
                with pytest.raises(ClientClosed):
                    closed(1)
            shop.close()

    asyncio.run(go())
    assert len(raised) == 1


@pytest.mark.parametrize("client", [AsyncStorelog, Storelog])
@pytest.mark.parametrize("addresses", [(), ("http://127.0.0.1:8080",)])
def test_a_client_guesses_no_address(client: Any, addresses: tuple[str, ...]) -> None:
    """Else a program that names no shop writes into whichever happens to run on this machine."""
    with pytest.raises(TypeError, match="query_url"):
        client(*addresses)
