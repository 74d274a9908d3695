"""How much work a command is: the lines and bytes that it reads and writes.

Product names are known only once they are read, so until then each counts as long as a name may
be; the batch then counts what was decided (taken.py). If a command changes or deletes an order, the
order's stored lines are counted before the command is queued: many orders in one query, over a
separate connection.
Next: command_service/queue.py
"""

import asyncio
from collections.abc import Iterable

from storelog import postgres
from storelog.command_service import failures
from storelog.command_service.kept_connection import KeptConnection
from storelog.errors import Unavailable
from storelog.shop.columns import LINES_TABLE
from storelog.shop.commands import Command, entity_of, lines_said, own_id
from storelog.shop.events import ORDER
from storelog.shop.value import value

# A line's bytes in events and rows, without its product's name, which is in two events.
LINE_BYTES = 700
# A name has at most 200 characters, of up to 6 bytes in JSON.
NAME_BYTES = 1_200
# A command of more is large: it gets a batch of its own, so that small ones do not wait for it.
LARGE_LINES = 250
COUNT_SECONDS = 0.9
COUNT_AT_ONCE = 50
_LATE = "PostgreSQL did not respond in time."


@value
class Size:
    """The lines of one command, and the bytes that it has at most."""

    lines: int
    bytes: int

    @property
    def is_large(self) -> bool:
        """Whether it may not share a batch."""
        return self.lines > LARGE_LINES


def size_of_lines(lines: int) -> Size:
    """Return the size of a command with so many lines, whatever the names in them."""
    return Size(lines, lines * (LINE_BYTES + 2 * NAME_BYTES))


_ONE = size_of_lines(1)


def said_size(command: Command) -> Size | None:
    """Return the size that a command shows by itself; None: it depends on a stored order."""
    if lines := lines_said(command):
        return size_of_lines(lines)
    return None if entity_of(command) is ORDER and own_id(command) else _ONE


class Sizes:
    """Counts what is stored of orders; one per pipeline."""

    def __init__(self, postgres_url: str) -> None:
        self._connection = KeptConnection(postgres_url)
        self._wanted: dict[int, asyncio.Future[Size]] = {}
        self._counting: asyncio.Task[None] | None = None

    async def of(self, command: Command) -> Size:
        """Return a command's size. Raises Unavailable where PostgreSQL does not say it."""
        known = said_size(command)
        if known is not None:
            return known
        number = own_id(command)
        wanted = self._wanted.get(number)
        if wanted is None:
            wanted = asyncio.get_running_loop().create_future()
            self._wanted[number] = wanted
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        return await asyncio.shield(wanted)

    def stop(self) -> None:
        """Close the connection."""
        if self._counting is not None:
            self._counting.cancel()
        self._connection.disconnect()

    async def _count(self) -> None:
        while self._wanted:
            ids = list(self._wanted)[:COUNT_AT_ONCE]
            wanted = {order_id: self._wanted.pop(order_id) for order_id in ids}
            try:
                async with asyncio.timeout(COUNT_SECONDS):
                    sizes = await self._read(ids)
            except postgres.FAILURES as error:
                self._connection.disconnect()
                # The rest would wait as long again, group after group, so they fail now as well.
                wanted |= self._wanted
                self._wanted.clear()
                _fail(wanted.values(), failures.server_reason(error) or _LATE)
            except asyncio.CancelledError:
                _fail([*wanted.values(), *self._wanted.values()], "The service stops.")
                raise
            else:
                for order_id, future in wanted.items():
                    future.set_result(sizes.get(order_id, _ONE))

    async def _read(self, ids: list[int]) -> dict[int, Size]:
        connection, _ = await self._connection.connect()
        rows = await connection.fetch(
            f"SELECT {ORDER.id_field}, count(*) FROM {LINES_TABLE}"
            f" WHERE {ORDER.id_field} = ANY ($1) GROUP BY {ORDER.id_field}",
            ids,
        )
        return {number: size_of_lines(lines) for number, lines in rows}


def _fail(futures: Iterable[asyncio.Future[Size]], reason: str) -> None:
    for future in futures:
        future.set_exception(Unavailable(reason))
        # Mark the error as seen: the request that waited for it may be gone.
        future.exception()
