"""The pipeline's SQL: append a batch, look up a batch whose reply was lost.

Guarantees that a batch is committed whole or not at all, by one statement. Nothing is locked but
the head. Every connection has time-outs, so that a paused process cannot keep the head locked.
Next: migrations/append_batch.py
"""

from typing import Any

import asyncpg

from storelog import postgres
from storelog.command_service.batch import Writes
from storelog.command_service.log_head import Conflicted, HeldHead, read_head
from storelog.command_service.remembered import headers_to_json
from storelog.envelope import Envelope
from storelog.migrations.append_batch import OF_THIS_RELEASE
from storelog.sequences import ID_KEYS
from storelog.shop.columns import has_lines, line_rows_of, rows_of
from storelog.shop.events import ENTITIES

SESSION_SETTINGS = {
    "application_name": "storelog command-service",
    "idle_in_transaction_session_timeout": "1000",
    # Shorter than a command's deadline, so that time is left to try a failed batch in parts.
    "statement_timeout": "3000",
    "lock_timeout": "2500",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "synchronous_commit": "on",
    "jit": "off",
}
# The server is away or the connection broke: the statement may have been executed or not.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    # What the driver says when the connection ends between two of its messages.
    asyncpg.InternalClientError,
)
_ARGUMENTS = 6 + sum(3 if has_lines(entity.structure) else 2 for entity in ENTITIES)
_APPEND = f"SELECT {OF_THIS_RELEASE.name}({', '.join(f'${n}' for n in range(1, _ARGUMENTS + 1))})"
_HEAD_MOVED, _NOT_NOW = "SL001", "SL002"
_KEYS = "idempotency_keys_pkey"


async def connect(postgres_url: str) -> asyncpg.Connection:
    """Open a writing connection within 1 s. Raises OSError, TimeoutError, PostgresError."""
    return await postgres.connect(
        postgres_url, timeout=0.9, command_timeout=6, server_settings=SESSION_SETTINGS
    )


async def limit_statements(connection: asyncpg.Connection, seconds: float) -> None:
    """Set the time-out of this transaction's statements, in place of the session's."""
    await connection.execute(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")


async def size_of_keys(connection: asyncpg.Connection) -> tuple[int, int]:
    """Return about how many idempotency keys there are, and the bytes that they take."""
    row = await connection.fetchrow(
        "SELECT pg_stat_get_live_tuples(oid), pg_total_relation_size(oid)"
        " FROM pg_class WHERE oid = 'idempotency_keys'::regclass"
    )
    return row[0], row[1]


class IdsTaken(Exception):
    """A new id is already in its table; nothing of this batch was written."""


class StampRejected(Conflicted):
    """The batch's time of recording is not PostgreSQL's, which is `clock` (seconds since 1970)."""

    def __init__(self, clock: float) -> None:
        super().__init__()
        self.clock = clock


async def append(
    connection: asyncpg.Connection, writes: Writes, held: HeldHead | None = None
) -> None:
    """Write a whole batch in one call. `held`: the head, if this connection has locked it already.

    Raises Conflicted, IdsTaken and other PostgresErrors, and then nothing was written.
    """
    if not writes.events and not writes.remembered:
        # Nothing is written, but rejections and replays hold only if the head has not moved.
        head = await read_head(connection)
        if (head.position, head.hash) != (writes.base.position, writes.base.hash):
            raise Conflicted
        return
    try:
        await connection.execute(
            _APPEND,
            *_arguments(writes),
            held.since if held else None,
        )
    except (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError) as error:
        raise Conflicted from error
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name in ID_KEYS:
            raise IdsTaken from error
        if error.constraint_name == _KEYS:
            # Two services stored a response to the same key; a rejection moves no head, so only
            # the key's index notices.
            raise Conflicted from error
        raise
    except asyncpg.PostgresError as error:
        if error.sqlstate == _HEAD_MOVED:
            raise Conflicted from error
        if error.sqlstate == _NOT_NOW:
            raise StampRejected(float(error.detail)) from error
        raise


def _arguments(writes: Writes) -> list[Any]:
    return [
        writes.base.position,
        writes.base.hash,
        writes.head.recorded_at,
        [
            _event_row(event, payload_hash)
            for event, payload_hash in zip(writes.events, writes.payload_hashes, strict=True)
        ],
        *_state_rows(writes),
        [
            (
                *key,
                first.request_hash,
                first.response.status,
                headers_to_json(first.response),
                first.response.body if first.event_position is None else None,
                first.event_position,
                expires_at,
            )
            for key, (first, expires_at) in writes.remembered.items()
        ],
    ]


def _event_row(event: Envelope, payload_hash: bytes) -> tuple[Any, ...]:
    return (
        event.hash,
        event.event_id,
        event.aggregate_type,
        event.aggregate_id,
        event.version,
        event.event_type,
        event.schema_version,
        event.payload.decode(),
        payload_hash,
        event.occurred_at,
        event.correlation_id,
        event.causation_id,
        event.caller,
        event.traceparent,
    )


def _state_rows(writes: Writes) -> list[Any]:
    """Return the rows of the state tables, in the order of the function's parameters."""
    rows: list[Any] = []
    for entity in ENTITIES:
        new, changed = writes.new[entity.name].values(), writes.changed[entity.name].values()
        rows += [rows_of(entity.structure, new), rows_of(entity.structure, changed)]
        if has_lines(entity.structure):
            rows.append([row for each in new for row in line_rows_of(each.entity)])
    return rows


async def has_landed(connection: asyncpg.Connection, writes: Writes) -> bool:
    """Tell whether a batch whose reply was lost is in the log. The head must be locked.

    With the head locked, the lost transaction has ended or can no longer commit; its first event is
    at one known position or nowhere.
    """
    event_id = await connection.fetchval(
        "SELECT event_id FROM events WHERE position = $1", writes.base.position + 1
    )
    return bool(writes.events) and event_id == writes.events[0].event_id
