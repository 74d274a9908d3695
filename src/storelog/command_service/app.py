"""Puts the Command Service together from its settings, and runs it.

Next: command_service/pipeline.py
"""

from datetime import timedelta
from typing import Any

import asyncpg

from storelog.api_keys import KeySet, read_key_set
from storelog.command_service import log_head, measures
from storelog.command_service.forgetting import Forgetting
from storelog.command_service.keys import KeysApi
from storelog.command_service.leading.election import Election
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.reader import Reader
from storelog.command_service.routes import routes
from storelog.command_service.schemas import SCHEMAS
from storelog.command_service.seen import seen_in_kafka
from storelog.command_service.state import Head
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.web.app import App
from storelog.web.keyring import Keyring
from storelog.web.server import check_host, serve

# Below the second within which a client is promised its 503.
READ_SECONDS = 0.9
KEYS_SECONDS = 4.0


class CommandService:
    """The pipeline that writes, and readers of the log, its head and the keys."""

    def __init__(self, settings: Settings) -> None:
        if settings.postgres_url is None:
            raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
        self._settings = settings
        self.pipeline = Pipeline(
            settings.postgres_url,
            max_queued=settings.max_queued_commands,
            deadline_seconds=settings.command_deadline_seconds,
            keep_keys=timedelta(hours=settings.idempotency_hours),
        )
        # Each has its own connections, so that a slow page of the log delays neither readiness nor
        # scrapes nor the check of a key.
        self.log = _reader(settings, 4)
        self._head = _reader(settings, 1, is_writing=True)
        self._scrapes = _reader(settings, 1)
        self._keys = _reader(settings, 1, KEYS_SECONDS)
        # A second account may make keys, so that the service's own account need not have the right.
        made = settings.keys_postgres_url or settings.postgres_url
        self._makes_keys = _reader(settings, 1, KEYS_SECONDS, is_writing=True, postgres_url=made)
        self.keys = KeysApi(self._makes_keys, settings.api_keys)
        self._lease = _reader(settings, 1, is_writing=True)
        self._forgetting = Forgetting(settings.postgres_url)
        self.election = Election(
            self.pipeline,
            self._lease,
            settings.command_deadline_seconds,
            settings.leader_host,
            settings.leader_port,
        )

    async def start(self) -> None:
        """Start without opening a connection: PostgreSQL may be away when the service starts."""
        for reader in self._readers():
            await reader.start()
        self.pipeline.given.expect(await seen_in_kafka(self._settings))
        await self.pipeline.start()
        self.election.start()
        self._forgetting.start()

    async def stop(self) -> None:
        """Respond to what was accepted, then close."""
        # The election first: it responds to followers, and needs the pipeline for that.
        await self.election.stop()
        await self.pipeline.stop()
        await self._forgetting.stop()
        for reader in self._readers():
            reader.stop()

    def _readers(self) -> tuple[Reader, ...]:
        return (self.log, self._head, self._scrapes, self._keys, self._makes_keys, self._lease)

    async def measure(self) -> None:
        """Read for a scrape what only PostgreSQL knows."""
        await measures.measure(self._scrapes, self.pipeline.clock)

    async def ready(self) -> dict[str, Any]:
        """Return the log's position, whether this service leads, and what is wrong with the clocks.

        Raises Unavailable when PostgreSQL does not respond, takes no writes, or lacks events.
        """
        clock = self.pipeline.clock

        async def look(connection: asyncpg.Connection) -> Head:
            head = await log_head.look(connection, clock)
            await self.pipeline.given.check_head(connection)
            return head

        head = await self._head.read(look)
        ahead = clock.seconds_ahead(head.recorded_at)
        log_facts = {"logAheadSeconds": round(ahead, 3)} if ahead else {}
        return {"position": head.position, "role": self.election.role, **clock.facts(), **log_facts}

    async def key_set(self) -> KeySet:
        """Return the valid API keys. Raises Unavailable when PostgreSQL does not respond."""
        return await self._keys.read(read_key_set)


def _reader(
    settings: Settings,
    connections: int,
    seconds: float = READ_SECONDS,
    *,
    is_writing: bool = False,
    postgres_url: str | None = None,
) -> Reader:
    return Reader(
        str(postgres_url or settings.postgres_url),
        connections=connections,
        deadline_seconds=seconds,
        is_writing=is_writing,
    )


def run(settings: Settings, host: str, port: int, query_url: str | None) -> None:
    """Serve until SIGTERM or SIGINT; `query_url` is the Query Service's, if it is configured."""
    check_host(settings, host)
    service = CommandService(settings)
    app = App(
        "storelog command-service",
        routes(service.election, service.log, service.keys, query_url),
        settings,
        service.ready,
        schemas=SCHEMAS,
        measure=service.measure,
        keyring=Keyring(settings.api_keys, service.key_set, service.pipeline.clock.seconds),
        on_startup=service.start,
        on_shutdown=service.stop,
    )
    serve(app, settings, host, port)
