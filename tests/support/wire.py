"""One connection of a service in memory: what came of the bytes that its client sent."""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from storelog.web.connections import Connections
from storelog.web.protocol import LimitedProtocol
from storelog.web.turns import Turns

TURNS = 60


@dataclass
class Served:
    """The requests that reached the application, the bytes that went out, how it ended.

    `is_closed`: nothing more is written; `is_cut`: nothing more is read either.
    """

    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[dict[bytes, bytes]] = field(default_factory=list)
    sent: bytes = b""
    writes: int = 0
    is_closed: bool = False
    is_cut: bool = False
    unsent: int = 0

    @property
    def statuses(self) -> list[int]:
        """The status of each response; no body of these tests holds a status line."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", self.sent)]


class _Transport(asyncio.Transport):
    def __init__(self, served: Served) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._served = served

    def write(self, data: Any) -> None:
        self._served.sent += bytes(data)
        self._served.writes += 1

    def write_eof(self) -> None:
        self._served.is_closed = True

    def close(self) -> None:
        self._served.is_closed = self._served.is_cut = True

    def abort(self) -> None:
        self._served.is_closed = self._served.is_cut = True

    def is_closing(self) -> bool:
        return self._served.is_cut

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self._served.unsent


def serve(
    pieces: Iterable[bytes],
    then: Callable[[LimitedProtocol, Served], None] = lambda *_: None,
    clock: Callable[[], float] | None = None,
    unsent: int = 0,
    by: Any = None,
) -> Served:
    """Have one connection read the pieces, one in a turn of the loop each, and `then` is called.

    The loop's time is the real one, or that of `clock`, in seconds; the system takes all that is
    written but `unsent` bytes. `by`: the application, else one that keeps what it is sent.
    """
    served = Served(unsent=unsent)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        served.requests.append((scope["method"], scope["path"], body))
        served.headers.append(dict(scope["headers"]))
        head = {"type": "http.response.start", "status": 200}
        if scope["path"] == "/live":
            await send({**head, "headers": []})
            for piece in (b"one", b"", b"two"):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({**head, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> None:
        config = uvicorn.Config(by or app, ws="none", lifespan="off", log_config=None)
        config.load()
        loop: Any = asyncio.get_running_loop()
        loop.time = clock or loop.time
        kind = type("P", (LimitedProtocol,), {"limits": Connections(9, 9), "turns": Turns()})
        state = {"stopping": asyncio.Event()}
        protocol = kind(config=config, server_state=ServerState(), app_state=state, _loop=loop)
        protocol.connection_made(_Transport(served))
        for piece in pieces:
            if not served.is_cut:
                protocol.data_received(piece)
            await asyncio.sleep(0)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        then(protocol, served)

    asyncio.run(run())
    return served
