"""Reads PostgreSQL's times exactly, on a connection that compares them.

The driver writes 0001-01-01T00:00:00Z as -infinity, and reads an infinite time without a time zone.
Earlier releases wrote such dates of orders, so verify must be able to tell them apart.
"""

from datetime import UTC, datetime, timedelta

import asyncpg

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INFINITE = {-(2**63): "-infinity", 2**63 - 1: "infinity"}


async def read_exact_times(connection: asyncpg.Connection) -> None:
    """Read and write finite times of this connection exactly; infinite ones are read as texts."""
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_encode, decoder=_decode, format="tuple"
    )


def _encode(at: datetime) -> tuple[int]:
    return ((at - _EPOCH) // _MICROSECOND,)


def _decode(value: tuple[int]) -> datetime | str:
    return _INFINITE.get(value[0]) or _EPOCH + value[0] * _MICROSECOND
