"""One address and one document for both services, so that a test can go from commands to queries.

A read waits for the newest write that went through here, as a careful client's would.
"""

import asyncio
import json
import re
import threading
from typing import Any, Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from support.http import Client
from support.system import free_port

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "date"}


class Front:
    """Forwards to the Query Service what its document has, and all else to the Command Service."""

    def __init__(self, commands: Client, queries: Client) -> None:
        self._commands, self._queries = commands.url, queries.url
        self.url = f"http://127.0.0.1:{free_port()}"
        command_document = commands.get("/openapi.json").json
        query_document = _renamed(queries.get("/openapi.json").json)
        self._command_paths = [path.split("/") for path in command_document["paths"]]
        paths = query_document["paths"]
        self._query_paths = [path.split("/") for path in paths if _is_read(path)]
        for path, item in command_document["paths"].items():
            paths[path] = {**paths.get(path, {}), **item}
        # The first key of all would close the shop to all later requests.
        del paths["/keys"]
        # Two dozen pages that never change: one stands for all.
        for path in [path for path in paths if path.startswith("/problems/")][1:]:
            del paths[path]
        parts = [command_document["components"], query_document["components"]]
        schemas = {**parts[0]["schemas"], **parts[1]["schemas"]}
        components = {**parts[0], "schemas": schemas}
        self.document = {**command_document, "paths": paths, "components": components}
        # All requests, those that met a busy server, and reads that found an entity by its id.
        self.requests = self.busy = self.found = 0
        self._position = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        server = web.Server(self._forward, max_line_size=65_536, max_field_size=65_536)
        self._runner = web.ServerRunner(server)
        await self._runner.setup()
        host, _, port = self.url.removeprefix("http://").partition(":")
        await web.TCPSite(self._runner, host, int(port)).start()

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def _is_query(self, request: web.BaseRequest) -> bool:
        parts = request.path.split("/")
        if not any(_fits(known, parts) for known in self._query_paths):
            return False
        is_both = any(_fits(known, parts) for known in self._command_paths)
        return request.method in ("GET", "HEAD") or not is_both

    def _wait(self, headers: CIMultiDict[str]) -> None:
        given = headers.get("Storelog-Wait-For")
        if given is not None:
            if given.isdecimal() and int(given[:19]) > self._position:
                # No event has that position: the response is known without waiting.
                headers["Prefer"] = "wait=0"
            elif re.fullmatch("[0-9]{1,18}", given):
                # What was deleted after it may still be read: as careful, but no less fresh.
                headers["Storelog-Wait-For"] = str(self._position)
        elif self._position:
            headers["Storelog-Wait-For"] = str(self._position)
            headers.setdefault("Prefer", "wait=10")

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        is_query = self._is_query(request)
        headers = CIMultiDict(
            (n, v) for n, v in request.headers.items() if n.lower() not in _HOP_BY_HOP
        )
        headers.popall("Content-Length", None)
        headers.popall("Host", None)
        if is_query:
            self._wait(headers)
        url = (self._queries if is_query else self._commands) + request.raw_path
        body = await request.read()
        self.requests += 1
        async with self._session.request(
            request.method,
            URL(url, encoded=True),
            data=body or None,
            headers=headers,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
            allow_redirects=False,
        ) as answer:
            self.busy += answer.status == 503 and "Storelog-Wait-For" not in request.headers
            if is_query:
                is_thing = request.path.rpartition("/")[2].isdecimal()
                self.found += is_thing and answer.status == 200
            else:
                self._position = max(
                    self._position, int(answer.headers.get("Storelog-Position", "0"))
                )
            is_stream = answer.content_type == "text/event-stream"
            content = b"" if is_stream else await answer.read()
            kept = CIMultiDict(
                (n, v)
                for n, v in answer.headers.items()
                if n.lower() not in _HOP_BY_HOP and n.lower() != "content-length"
            )
            return web.Response(status=answer.status, body=content, headers=kept)


def _fits(known: list[str], parts: list[str]) -> bool:
    return len(known) == len(parts) and all(
        a == b or a.startswith("{") for a, b in zip(known, parts, strict=True)
    )


def _is_read(path: str) -> bool:
    """Tell whether only the Query Service has the path; a shared one goes to the other service."""
    both = ("/", "/events", "/operations", "/metrics", "/docs", "/openapi.json")
    return path not in both and (not path.startswith(("/health/", "/problems/")))


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    """Give the Query Service's bodies names of their own: an order has one member more there."""
    text = json.dumps(document).replace("#/components/schemas/", "#/components/schemas/Query")
    renamed: dict[str, Any] = json.loads(text)
    schemas = renamed["components"]["schemas"]
    renamed["components"]["schemas"] = {f"Query{name}": s for name, s in schemas.items()}
    return renamed
