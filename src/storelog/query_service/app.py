"""Wiring of the Query Service: settings in, one process out. Next: query_service/routes.py"""

import asyncio
from typing import Any

from storelog.config import Settings
from storelog.query_service import measures
from storelog.query_service.keys import KeyReader
from storelog.query_service.processes import Processes
from storelog.query_service.reads import Reads, answering
from storelog.query_service.routes import routes
from storelog.query_service.schemas import SCHEMAS
from storelog.web.app import App
from storelog.web.keyring import Keyring
from storelog.web.server import check_host, serve


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    check_host(settings, host)
    reads = Reads(settings)
    reads.clock.compare()
    # Readiness and metrics wait for no request's connection.
    probes = Reads(settings, 1, reads.clock)
    keys = KeyReader(settings)
    processes = Processes(settings)

    async def ready() -> dict[str, Any]:
        async with answering():
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

    app = App(
        "storelog query-service",
        routes(reads, processes),
        settings,
        ready,
        schemas=SCHEMAS,
        measure=lambda: measures.measure(probes),
        keyring=Keyring(settings.api_keys, keys.read, reads.clock.seconds),
        on_startup=start,
        on_shutdown=close,
    )
    serve(app, settings, host, port)
