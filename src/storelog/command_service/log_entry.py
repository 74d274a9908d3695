"""GET /events/{position}: one event, and its place in the hash chain, which is verified.

`isHashValid` says whether the event's bytes make the hash that the log has for it, so that a page
can show the proof; `storelog verify` proves the whole log.
Next: envelope.py
"""

from hashlib import sha256
from typing import Any

import asyncpg

from storelog.command_service.reader import Reader
from storelog.envelope import (
    EVENT_COLUMNS,
    GENESIS_HASH,
    Envelope,
    chain_hash,
    envelope_from_row,
    format_time,
)
from storelog.errors import NotFound
from storelog.event_codec import event_body
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import MAX_ID
from storelog.shop.value_schemas import ID, TEXT, TEXT_OR_NULL, TIME, strict_object
from storelog.web.http import Operation, Request, Response, Route

_AROUND = f"""SELECT {EVENT_COLUMNS}, payload_hash FROM events
    WHERE position = ANY ($1) ORDER BY position"""
_HASH: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": ["9f" * 32]}
_NEIGHBOUR: dict[str, Any] = {
    "anyOf": [
        strict_object(
            position=ID,
            eventType=TEXT,
            aggregate=TEXT,
            recordedAt=TIME,
            hash=_HASH,
        ),
        {"type": "null"},
    ]
}


def schemas(event: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the response; `event` is that of an event in a page of the log."""
    chained = strict_object(
        **event["properties"],
        caller=TEXT_OR_NULL,
        causationId=TEXT_OR_NULL,
        traceparent=TEXT_OR_NULL,
        payloadHash=_HASH,
        previousHash=_HASH,
        hash=_HASH,
        isHashValid={"type": "boolean"},
        previous=_NEIGHBOUR,
        next=_NEIGHBOUR,
    )
    return {"ChainedEvent": chained}


def log_entry_route(log: Reader) -> Route:
    """Return the route."""

    async def show(request: Request) -> Response:
        position = request.ids["position"]

        async def read(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            around = [at for at in range(position - 1, position + 2) if at <= MAX_ID]
            rows: list[asyncpg.Record] = await connection.fetch(_AROUND, around)
            return rows

        rows = {row["position"]: row for row in await log.read(read)}
        if position not in rows:
            raise NotFound(f"The log has no event at position {position}.")
        body = _body(rows[position], rows.get(position - 1), rows.get(position + 1))
        return Response(200, body)

    operation = Operation("One event, and its place in the chain", 200, None, "ChainedEvent")
    return Route("GET", "/events/{position}", "read", show, operation)


def _body(
    row: asyncpg.Record, before: asyncpg.Record | None, after: asyncpg.Record | None
) -> bytes:
    event, payload_hash = _envelope(row), row["payload_hash"]
    previous = GENESIS_HASH if before is None else before["hash"]
    is_payload_valid = sha256(event.payload).digest() == payload_hash
    facts = {
        "caller": event.caller,
        "causationId": event.causation_id,
        "traceparent": event.traceparent,
        "payloadHash": payload_hash.hex(),
        "previousHash": previous.hex(),
        "hash": event.hash.hex(),
        "isHashValid": is_payload_valid and chain_hash(previous, event, payload_hash) == event.hash,
        "previous": _neighbour(before),
        "next": _neighbour(after),
    }
    # Splice the two JSON objects: the payload must stay the bytes that were hashed.
    return b"%b,%b" % (event_body(event)[:-1], encode_json(facts)[1:])


def _neighbour(row: asyncpg.Record | None) -> dict[str, Any] | None:
    if row is None:
        return None
    event = _envelope(row)
    return {
        "position": event.position,
        "eventType": event.event_type,
        "aggregate": event.aggregate,
        "recordedAt": format_time(event.recorded_at),
        "hash": event.hash.hex(),
    }


def _envelope(row: asyncpg.Record) -> Envelope:
    return envelope_from_row(tuple(row)[:-1])
