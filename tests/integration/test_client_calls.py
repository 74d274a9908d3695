"""The client against a scripted server: keys, retries, positions, problems."""

import asyncio
import inspect
from decimal import Decimal

import pytest
from aiohttp import web

from storelog.client import (
    AsyncStorelog,
    InsufficientStock,
    InvalidRequest,
    Line,
    NoAnswer,
    Problem,
    Storelog,
    ThingNotFound,
    VersionIsStale,
)
from support.script import ANN, DROP, ORDER, Script, done, problem, run


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
def test_a_rejection_is_a_typed_problem_and_is_not_repeated(
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


@pytest.mark.alone
def test_patience_ends_with_the_last_problem_or_with_no_answer() -> None:
    script = Script(*(problem(503, "overloaded", "0") for _ in range(50)))
    with pytest.raises(Problem) as caught:
        run(script, lambda shop: shop.create_customer("Ann", "a@b"), patience=0.5)
    assert caught.value.slug == "overloaded"
    assert len(script.asked) >= 2
    script = Script(*(DROP for _ in range(50)))
    with pytest.raises(NoAnswer):
        run(script, lambda shop: shop.get_order(1), patience=0.5)
    with pytest.raises(NoAnswer, match=r"^the response is not from a Storelog service: [^<]*$"):
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


def test_money_goes_out_exactly_and_never_as_a_float() -> None:
    async def act(shop: AsyncStorelog) -> None:
        with pytest.raises(TypeError):
            await shop.create_product("Lamp", 0.1, 1)  # type: ignore[arg-type]
        for no_amount in ("x", "NaN", "Infinity"):
            with pytest.raises(ValueError, match="is no"):
                await shop.create_product("Lamp", no_amount, 1)
        await shop.create_product("Lamp", Decimal("1E+2"), 1)

    product = {"productId": 1, "name": "Lamp", "price": "100.00", "stock": 1, "stockStatus": True}
    script = Script(done(product, 1, 201))
    run(script, act)
    assert script.bodies == ['{"name":"Lamp","price":"100.00","stock":1}']


def test_a_response_of_an_older_release_has_the_values_of_before_for_newer_fields() -> None:
    older = {"productId": 1, "name": "Lamp", "price": "1.00", "stock": 1, "stockStatus": True}

    async def act(shop: AsyncStorelog) -> list[str | None]:
        created = await shop.create_product("Lamp", "1", 1)
        return [created.sku, *[product.sku async for product in shop.list_products()]]

    page = done({"items": [older, {**older, "sku": "L-1"}], "nextCursor": None}, 1)
    assert run(Script(done(older, 1, 201), page), act) == [None, None, "L-1"]


def test_the_blocking_client_has_every_method_of_the_other() -> None:
    def public(kind: type) -> set[str]:
        return {n for n, v in inspect.getmembers(kind, callable) if not n.startswith("_")}

    inner = {"command", "get", "get_log", "operate"}
    assert public(AsyncStorelog) - inner == public(Storelog) - {"run", "close"}
