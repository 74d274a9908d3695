"""Wiring of the Command Service: settings in, one process out.

Next: command_service/pipeline.py
"""

from datetime import timedelta
from typing import Any

import asyncpg

from storelog.api_keys import KeySet, read_key_set
from storelog.command_service import measures, store
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.routes import routes
from storelog.command_service.schemas import SCHEMAS
from storelog.config import Settings
from storelog.errors import CannotRun, Unavailable
from storelog.web.app import App
from storelog.web.keyring import Keyring
from storelog.web.server import check_host, serve


class CommandService:
    """The pipeline that writes, and a small pool that reads the log and answers health checks."""

    def __init__(self, settings: Settings) -> None:
        if settings.postgres_url is None:
            raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
        self._url = settings.postgres_url
        self.pipeline = Pipeline(
            settings.postgres_url,
            max_queued=settings.max_queued_commands,
            deadline_seconds=settings.command_deadline_seconds,
            keep_keys=timedelta(hours=settings.idempotency_hours),
        )
        self._pool: asyncpg.Pool | None = None

    async def start(self) -> None:
        """Open nothing that could fail: PostgreSQL may be away when the service starts."""
        self._pool = asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=4,
            timeout=0.9,
            command_timeout=5,
            max_inactive_connection_lifetime=30,
            server_settings=store.SESSION_SETTINGS,
        )
        await self._pool
        await self.pipeline.start()

    async def stop(self) -> None:
        """Answer what was accepted, then close."""
        await self.pipeline.stop()
        if self._pool is not None:
            self._pool.terminate()

    @property
    def pool(self) -> asyncpg.Pool:
        """Connections that read."""
        if self._pool is None:
            raise Unavailable("The service is starting.")
        return self._pool

    async def measure(self) -> None:
        """Read for a scrape what only PostgreSQL knows."""
        await measures.measure(self.pool)

    async def ready(self) -> dict[str, Any]:
        """Return the log's position. Raises Unavailable when PostgreSQL does not answer."""
        try:
            async with self.pool.acquire(timeout=0.9) as connection:
                return {"position": (await store.read_head(connection)).position}
        except (*store.AWAY, asyncpg.PostgresError) as error:
            raise Unavailable("PostgreSQL is away or not migrated.") from error

    async def key_set(self) -> KeySet:
        """Return the API keys that hold. Raises Unavailable when PostgreSQL does not answer."""
        try:
            return await read_key_set(self.pool)
        except (*store.AWAY, asyncpg.PostgresError) as error:
            raise Unavailable("PostgreSQL is away or not migrated.") from error


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    check_host(settings, host)
    service = CommandService(settings)
    app = App(
        "storelog command-service",
        routes(service.pipeline, lambda: service.pool),
        settings,
        service.ready,
        schemas=SCHEMAS,
        measure=service.measure,
        keyring=Keyring(settings.api_keys, service.key_set),
        on_startup=service.start,
        on_shutdown=service.stop,
    )
    serve(app, settings, host, port)
