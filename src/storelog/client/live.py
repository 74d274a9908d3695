"""The changes as they happen, over any number of connections: each once, and none missing.

Next: client/blocking.py
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import aiohttp
import msgspec

from storelog.client.problems import ClientClosed, NoAnswer, Problem
from storelog.client.session import Session, read
from storelog.client.transport import no_answer

# The service sends a heart-beat every 10 s, so three missing ones mean a dead connection.
SILENCE_SECONDS = 30.0
FIRST_WAIT_SECONDS = 0.2
MAX_WAIT_SECONDS = 5.0


class Change(msgspec.Struct, frozen=True, rename="camel"):
    """One change that every read includes by now; `change` has its facts."""

    position: int
    event_type: str
    aggregate: str
    version: int
    recorded_at: datetime
    correlation_id: str
    change: Mapping[str, Any]


class LiveTicket(msgspec.Struct, frozen=True, rename="camel"):
    """A ticket that a browser sends as `/live?ticket=`; it may begin with `after=position`."""

    ticket: str
    expires_at: datetime
    position: int = 0


class Live(Session):
    """The calls that follow the shop's changes."""

    async def live_ticket(self) -> LiveTicket:
        """Return a new ticket for this client's key, valid for a minute."""
        response = await self.transport.call("POST", self._query_url, "/live/tickets")
        return msgspec.structs.replace(read(response, LiveTicket), position=response.position)

    async def follow(self, *topics: str, after: int | None = None) -> AsyncIterator[Change]:
        """Yield the changes of these topics (by default all) above a position, or from now on.

        Never ends, and reconnects where a connection ends. Raises Problem for a request that is
        rejected, NoAnswer if no connection can be made within the client's patience, and
        ClientClosed.
        """
        loop = asyncio.get_running_loop()
        query = {"topics": ",".join(topics)} if topics else {}
        place = _Place(after)
        wait, heard_at = FIRST_WAIT_SECONDS, loop.time()
        while True:
            has_heard = False
            try:
                async with self.transport.stream(
                    self._query_url,
                    "/live",
                    query,
                    place.headers(),
                    first_seconds=heard_at + self.transport.patience - loop.time(),
                    silence_seconds=SILENCE_SECONDS,
                ) as lines:
                    async for line in lines:
                        wait, has_heard = FIRST_WAIT_SECONDS, True
                        change = place.read(line)
                        if change is not None:
                            yield change
                trouble: Exception = NoAnswer("the stream ended")
            except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
                if self.transport.is_closed:
                    raise ClientClosed from error
                # aiohttp raises RuntimeError when its session was closed; any other one is a bug.
                if isinstance(error, RuntimeError):
                    raise
                trouble = NoAnswer(no_answer(self._query_url, error))
            except Problem as problem:
                # These pass by themselves; any other problem would come again.
                if problem.status not in (429, 502, 503, 504):
                    raise
                trouble = problem
            # Patience counts from the last line: a stream may break after hours without an error.
            if has_heard:
                heard_at = loop.time()
            if loop.time() + wait - heard_at > self.transport.patience:
                raise trouble
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_WAIT_SECONDS)


class _Place:
    """The reader's position: it moves with the ids, once an event is complete."""

    def __init__(self, after: int | None) -> None:
        self._after = after
        self._id: int | None = None
        self._data = b""

    def headers(self) -> dict[str, str]:
        """Return the headers for a new connection; drop an event that was half received."""
        self._id, self._data = None, b""
        return {} if self._after is None else {"Last-Event-ID": str(self._after)}

    def read(self, line: bytes) -> Change | None:
        """Take in one line; return the change that it completes.

        Raises NoAnswer for a line that no Storelog service sends.
        """
        try:
            return self._read(line)
        except (ValueError, msgspec.MsgspecError) as error:
            raise NoAnswer(f"the response is not from a Storelog service: {error}") from error

    def _read(self, line: bytes) -> Change | None:
        name, _, value = line.rstrip(b"\r\n").partition(b": ")
        if name == b"id":
            self._id = int(value)
        elif name == b"data":
            self._data += value
        # An empty line ends an event. A heart-beat has an id and no data: it only moves the place.
        elif not line.strip():
            self._after = self._after if self._id is None else self._id
            data, self._id, self._data = self._data, None, b""
            if data:
                return msgspec.json.decode(data, type=Change)
        return None
