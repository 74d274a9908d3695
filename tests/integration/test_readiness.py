"""Readiness waits for nothing that requests hold."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from storelog.config import Settings
from storelog.query_service.positions.reads import CONNECTIONS
from support.system import System, wait_for


class Swallower:
    """A way to a server that loses requests naming `name`, so they never get a response."""

    def __init__(self, target: str) -> None:
        at = urlsplit(target)
        self._host, self._port = at.hostname, at.port
        self.name = b""
        self.lost = 0
        self.port = 0

    async def serve(self, is_ready: threading.Event, is_over: threading.Event) -> None:
        """Carry bytes until it is over."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        is_ready.set()
        await asyncio.to_thread(is_over.wait, 120)
        server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source, target = await asyncio.open_connection(self._host, self._port)

        async def there() -> None:
            while data := await reader.read(65_536):
                if self.name and self.name in data:
                    self.lost += 1
                else:
                    target.write(data)
            target.close()

        async def back() -> None:
            while data := await source.read(65_536):
                writer.write(data)
            writer.close()

        await asyncio.gather(there(), back(), return_exceptions=True)


@contextmanager
def swallowing(target: str) -> Iterator[Swallower]:
    way, is_ready, is_over = Swallower(target), threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(way.serve(is_ready, is_over)))
    thread.start()
    try:
        assert is_ready.wait(20)
        yield way
    finally:
        is_over.set()
        thread.join(20)


def test_a_query_service_is_ready_while_every_connection_of_its_requests_is_taken(
    settings: Settings,
) -> None:
    uri = settings.mongodb_uri or ""
    with swallowing(uri) as way:
        at = urlsplit(uri)._replace(netloc=f"127.0.0.1:{way.port}")
        with System(replace(settings, mongodb_uri=at.geturl()), ("query-service",)) as system:
            readers = ThreadPoolExecutor(CONNECTIONS + 10)
            way.name = b"products\0"
            taken = [
                readers.submit(system.queries.get, "/products/1") for _ in range(CONNECTIONS + 10)
            ]
            wait_for(lambda: way.lost >= CONNECTIONS, "no connection that is free", 30)
            for path in ("/health/ready", "/metrics", "/health/ready"):
                assert system.queries.get(path).status == 200, path
            assert {each.result(30).status for each in taken} == {503}
            readers.shutdown()
