"""A server that sends scripted responses in turn, and a client that talks to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from storelog.client import AsyncStorelog

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
    """Sends the given responses in turn, and keeps the requests."""

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
