"""The positions of the log and the read model, read directly from the servers.

Next: torture/checks/responses.py
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg

from storelog import postgres
from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.errors import CannotRun
from storelog.lag import Lag, read_lag, read_place
from storelog.reasons import reason
from storelog.torture.report import TortureReport
from storelog.verify.log import read_log

LAG_SECONDS = 2.0
SETTLED_WITHIN_SECONDS = 30.0
READINGS = 3
PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.25
Returned = TypeVar("Returned")


def written(settings: Settings) -> int:
    """Return the log's position. Raises CannotRun when PostgreSQL is away."""
    return _fetch(settings, "SELECT position FROM log_head")


def _fetch(settings: Settings, statement: str) -> int:
    async def read() -> int:
        connection = await postgres.connect(settings.postgres_url, timeout=5, is_writing=False)
        try:
            number: int = await connection.fetchval(statement)
        finally:
            # Not close(), which would wait for a server that may be paused.
            connection.terminate()
        return number

    return _ask(read())


def _ask(reading: Coroutine[Any, Any, Returned]) -> Returned:
    try:
        return asyncio.run(reading)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise CannotRun(f"PostgreSQL cannot be reached: {reason(error)}") from error


def lanes_of(settings: Settings) -> int:
    """Return the number of lanes. Raises CannotRun when PostgreSQL is away."""
    return _fetch(settings, "SELECT cardinality(lanes) FROM relay_cursor")


def lanes_wanted(settings: Settings) -> int | None:
    """Return the number of lanes of a change that is under way, or None. Raises CannotRun."""
    return _fetch(settings, "SELECT coalesce(lanes_wanted, 0) FROM relay_cursor") or None


def projected(settings: Settings) -> int:
    """Return the read model's position; 0 if MongoDB cannot be reached."""
    try:
        return asyncio.run(read_place(settings)).position
    except CannotRun:
        return 0


def check_lag(settings: Settings, report: TortureReport, ended_at: float) -> None:
    """Note a breach unless the read side is less than 2 s behind within 30 s, and stays so.

    `ended_at`: when the last fault ended, by `time.monotonic`; the time of restarts counts.
    """
    low: list[float] = []
    settled = 0.0
    while len(low) < READINGS:
        lag = _lag(settings)
        took = time.monotonic() - ended_at
        if took > PATIENCE_SECONDS:
            report.breach(f"{took:.0f} s after the faults the lag is {lag}")
            return
        # Several readings in a row: one low reading may be a coincidence under load.
        if lag is None or lag.seconds_behind >= LAG_SECONDS:
            low = []
        else:
            settled = settled if low else took
            low.append(lag.seconds_behind)
        asyncio.run(asyncio.sleep(_POLL_SECONDS))
    report.lag_seconds, report.settled_seconds = max(low), round(settled, 1)
    if settled > SETTLED_WITHIN_SECONDS:
        report.breach(f"the lag was under {LAG_SECONDS} s only {settled:.0f} s after the faults")


def _lag(settings: Settings) -> Lag | None:
    try:
        return asyncio.run(read_lag(settings))
    except CannotRun:
        return None


def whole_log(settings: Settings) -> list[Envelope]:
    """Return every event of the log, in order. Raises CannotRun when PostgreSQL is away."""

    async def read() -> list[Envelope]:
        connection = await postgres.connect(
            settings.postgres_url, timeout=5, command_timeout=60, is_writing=False
        )
        try:
            head = await connection.fetchval("SELECT position FROM log_head")
            chunks = [chunk async for chunk in read_log(connection, 0, head)]
        finally:
            connection.terminate()
        return [event for chunk in chunks for event, _ in chunk]

    return _ask(read())
