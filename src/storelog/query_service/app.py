"""Wiring of the Query Service: settings in, one process out. Next: query_service/http/routes.py"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from storelog.config import Settings
from storelog.query_service.http import measures
from storelog.query_service.http.keys import KeyReader
from storelog.query_service.http.processes import Processes
from storelog.query_service.http.routes import routes
from storelog.query_service.http.schemas import SCHEMAS
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.web.app import App
from storelog.web.http import Route
from storelog.web.keyring import Keyring
from storelog.web.server import check_host, serve
from storelog.web.sessions import Pages

MakePages = Callable[[Settings, Sequence[Route], Keyring], Pages]


def run(settings: Settings, host: str, port: int, make_pages: MakePages | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `make_pages` makes pages that read through the routes."""
    check_host(settings, host)
    reads = Reads(settings)
    reads.clock.compare()
    # A connection of their own, so that readiness and metrics do not queue behind requests.
    probes = Reads(settings, 1, reads.clock)
    keys = KeyReader(settings)
    processes = Processes(settings)

    async def ready() -> dict[str, Any]:
        async with reading_mongodb():
            view = await probes.view()
            return {"position": view.place.position, **reads.clock.facts()}

    learning: list[asyncio.Task[None]] = []

    async def start() -> None:
        learning.append(asyncio.create_task(reads.learn_time()))

    async def close() -> None:
        for task in learning:
            task.cancel()
        for opened in (keys, probes, processes, reads):
            await opened.close()
        if pages is not None:
            await pages.close()

    table = routes(reads, processes)
    keyring = Keyring(settings.api_keys, keys.read, reads.clock.seconds)
    pages = None if make_pages is None else make_pages(settings, table, keyring)
    app = App(
        "storelog query-service",
        table,
        settings,
        ready,
        schemas=SCHEMAS,
        measure=lambda: measures.measure(probes),
        keyring=keyring,
        pages=pages,
        on_startup=start,
        on_shutdown=close,
    )
    serve(app, settings, host, port)
