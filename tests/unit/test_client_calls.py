"""The client against a server that is told what to answer: keys, retries, positions, problems."""

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from storelog.client import (
    AsyncStorelog,
    BehindDeadLetter,
    ClientClosed,
    InsufficientStock,
    InvalidRequest,
    Line,
    NoAnswer,
    Problem,
    Storelog,
    ThingNotFound,
    VersionIsStale,
)

ANN = {"customerId": 7, "name": "Ann", "email": "a@b", "phoneNumber": None, "newMember": 1}
ORDER = {"orderId": 3, "orderDate": "2026-01-02T03:04:05.678Z", "customerId": 7,
         "orderItems": [], "totalPrice": "0.425"}  # fmt: skip
DROP = web.Response(status=999)


def problem(status: int, slug: str, retry_after: str | None = None, **facts: Any) -> web.Response:
    body = {"type": f"/problems/{slug}", "title": "t", "status": status, "detail": "d", **facts}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response(body, status=status, headers=headers)


def done(body: Any, position: int = 0, status: int = 200) -> web.Response:
    headers = {"Storelog-Position": str(position), "ETag": '"4"'}
    return web.json_response(body, status=status, headers=headers)


class Script:
    """Answers with what it is given, in turn, and keeps what was asked."""

    def __init__(self, *answers: web.Response) -> None:
        self.answers = list(answers)
        self.asked: list[web.Request] = []
        self.bodies: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.bodies.append(await request.text())
        answer = self.answers.pop(0)
        if answer is DROP:
            assert request.transport is not None
            request.transport.abort()
        return answer


@asynccontextmanager
async def shop_of(script: Script, patience: float = 20) -> AsyncIterator[AsyncStorelog]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        async with AsyncStorelog(url, url, "secret", patience_seconds=patience) as shop:
            yield shop


def run(
    script: Script, act: Callable[[AsyncStorelog], Coroutine[Any, Any, Any]], patience: float = 20
) -> Any:
    async def go() -> Any:
        async with shop_of(script, patience) as shop:
            return await act(shop)

    return asyncio.run(go())


@pytest.mark.parametrize(
    "trouble",
    [
        problem(503, "overloaded", "0"),
        problem(503, "outcome-unknown", "0"),
        problem(502, "x"),
        problem(504, "x"),
        problem(409, "idempotency-in-progress", "0"),
        web.Response(status=502, text="<html>a proxy</html>"),
        DROP,
    ],
)
def test_a_command_is_repeated_with_its_key_and_its_bytes(trouble: web.Response) -> None:
    script = Script(trouble, done(ANN, 5, 201))
    made = run(script, lambda shop: shop.create_customer("Ann", "a@b"))
    assert (made.customer_id, made.phone_number, made.version) == (7, None, 4)
    keys = {request.headers["Idempotency-Key"] for request in script.asked}
    assert len(keys) == 1
    assert len(script.asked) == 2
    assert script.bodies[0] == script.bodies[1]
    assert script.asked[1].headers["Authorization"] == "Bearer secret"


def test_retry_after_is_heeded() -> None:
    script = Script(problem(429, "too-many-requests", "1"), done(ANN, 5, 201))

    async def timed(shop: AsyncStorelog) -> float:
        began = asyncio.get_running_loop().time()
        await shop.create_customer("Ann", "a@b")
        return asyncio.get_running_loop().time() - began

    assert run(script, timed) >= 1.0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(422, "invalid-fields", errors=[{"pointer": "/name", "detail": "no"}]),
         InvalidRequest),
        (problem(404, "not-found"), ThingNotFound),
        (problem(409, "insufficient-stock",
                 products=[{"productId": 1, "asked": 3, "available": 2}]), InsufficientStock),
        (problem(412, "stale-version", currentVersion=9), VersionIsStale),
        (problem(500, "internal-error"), Problem),
        (problem(401, "unauthenticated"), Problem),
    ],
)  # fmt: skip
def test_a_refusal_is_a_typed_problem_and_is_not_repeated(
    answer: web.Response, kind: type[Problem]
) -> None:
    script = Script(answer)
    with pytest.raises(kind) as caught:
        run(script, lambda shop: shop.place_order(7, [Line(1, 3)]))
    raised = caught.value
    assert type(raised) is kind
    assert len(script.asked) == 1
    if isinstance(raised, InvalidRequest):
        assert [(e.pointer, e.detail) for e in raised.errors] == [("/name", "no")]
    if isinstance(raised, InsufficientStock):
        assert (raised.products[0].asked, raised.products[0].available) == (3, 2)
    if isinstance(raised, VersionIsStale):
        assert raised.current_version == 9


def test_patience_ends_with_the_last_problem_or_with_no_answer() -> None:
    script = Script(*(problem(503, "overloaded", "0") for _ in range(50)))
    with pytest.raises(Problem) as caught:
        run(script, lambda shop: shop.create_customer("Ann", "a@b"), patience=0.5)
    assert caught.value.slug == "overloaded"
    assert len(script.asked) >= 2
    script = Script(*(DROP for _ in range(50)))
    with pytest.raises(NoAnswer):
        run(script, lambda shop: shop.get_order(1), patience=0.5)
    with pytest.raises(NoAnswer):
        run(Script(done({"what": "is this"})), lambda shop: shop.get_order(1))


def test_a_read_asks_for_what_the_command_before_it_wrote() -> None:
    script = Script(done(ORDER), done(ORDER, 41, 201), done(ORDER, 39, 201), done(ORDER, 99))

    async def act(shop: AsyncStorelog) -> int:
        await shop.get_order(3)
        await shop.place_order(7, [Line(1, 3)])
        await shop.place_order(7, [Line(1, 3)])
        await shop.get_order(3)
        return shop.position

    assert run(script, act) == 41
    assert "Storelog-Wait-For" not in script.asked[0].headers
    assert script.asked[3].headers["Storelog-Wait-For"] == "41"
    assert script.asked[3].headers["Prefer"] == "wait=10"


def test_lists_go_on_to_the_last_page_whatever_a_page_holds() -> None:
    script = Script(
        done({"items": [ORDER], "nextCursor": "a"}),
        done({"items": [], "nextCursor": "b"}),
        done({"items": [ORDER, ORDER], "nextCursor": None}),
    )

    async def act(shop: AsyncStorelog) -> list[Decimal]:
        return [order.total_price async for order in shop.list_orders(customer_id=7)]

    assert run(script, act) == [Decimal("0.425")] * 3
    assert [r.query.get("cursor") for r in script.asked] == [None, "a", "b"]
    assert {r.query["customerId"] for r in script.asked} == {"7"}


def test_money_goes_out_digit_by_digit_and_never_as_a_float() -> None:
    async def act(shop: AsyncStorelog) -> None:
        with pytest.raises(TypeError):
            await shop.create_product("Lamp", 0.1, 1)  # type: ignore[arg-type]
        await shop.create_product("Lamp", Decimal("1E+2"), 1)

    product = {"productId": 1, "name": "Lamp", "price": "100.00", "stock": 1, "stockStatus": True}
    script = Script(done(product, 1, 201))
    run(script, act)
    assert script.bodies == ['{"name":"Lamp","price":"100","stock":1}']


def test_the_blocking_client_has_every_method_of_the_other() -> None:
    def public(kind: type) -> set[str]:
        return {n for n, v in inspect.getmembers(kind, callable) if not n.startswith("_")}

    inner = {"command", "get", "get_log"}
    assert public(AsyncStorelog) - inner == public(Storelog) - {"run", "close"}


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
async def silent_server(says: bytes) -> AsyncIterator[str]:
    """Accept every connection, send a byte of `says` every 50 ms, and never finish."""
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
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
