"""PostgreSQL behind TLS, as managed ones are."""

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

import trustme

from support.system import free_port

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def write_certificates(home: Path, name: str = "127.0.0.1") -> trustme.CA:
    """Write `server.pem` (key and chain) for the name, and `ca.pem` of the CA that signed it."""
    authority = trustme.CA()
    certificate = authority.issue_cert(name)
    home.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(home / "server.pem"))
    return authority


class TlsPostgres:
    """Speaks TLS as PostgreSQL does, in front of a PostgreSQL that was built without it."""

    def __init__(self, home: Path, port: int) -> None:
        self._behind = port
        self.port = free_port()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(home / "server.pem")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        started = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(started, self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            # A client without TLS gets no response at all.
            if await reader.readexactly(8) == _SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(self._context)
                inner, sink = await asyncio.open_connection("127.0.0.1", self._behind)
                await asyncio.gather(_copy(reader, sink), _copy(inner, writer))
        writer.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()
