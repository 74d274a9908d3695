"""GET /operations of the Command Service: PostgreSQL's size, the relay's position, last results.

The Command Service reads each part itself: the Query Service has no account in PostgreSQL.
Next: results.py
"""

from typing import Any

import asyncpg

from storelog import __version__, results
from storelog.command_service.reader import Reader
from storelog.envelope import format_time
from storelog.shop.json_values import encode_json
from storelog.shop.value_schemas import COUNT, TEXT, TIME, strict_object
from storelog.web.http import Operation, Request, Response, Route

_POSITIONS = """SELECT h.position, h.recorded_at, c.position AS relayed, c.lanes, c.moved_at,
    current_setting('server_version') AS server, pg_database_size(current_database()) AS bytes
    FROM log_head h, relay_cursor c"""
_TABLES = """SELECT relname AS name, pg_total_relation_size(oid) AS bytes FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY oid"""
_RESULT = strict_object(
    operation={"enum": list(results.OPERATIONS)},
    finishedAt=TIME,
    version=TEXT,
    position=COUNT,
    seconds={"type": "number", "minimum": 0},
    differences=COUNT,
    facts={"type": "object"},
)
SCHEMAS: dict[str, Any] = {
    "WriteSide": strict_object(
        version=TEXT,
        postgresql=strict_object(
            version=TEXT,
            bytes=COUNT,
            tables={"type": "array", "items": strict_object(name=TEXT, bytes=COUNT)},
        ),
        log=strict_object(position=COUNT, recordedAt={"anyOf": [TIME, {"type": "null"}]}),
        relay=strict_object(position=COUNT, lanes={"type": "array", "items": COUNT}, movedAt=TIME),
        results={"type": "array", "items": _RESULT},
    )
}


def operations_route(reader: Reader) -> Route:
    """Return the route."""

    async def show(_request: Request) -> Response:
        return Response(200, encode_json(await reader.read(_read)))

    operation = Operation("The write side: positions, sizes, last results", 200, None, "WriteSide")
    return Route("GET", "/operations", "read", show, operation)


async def _read(connection: asyncpg.Connection) -> dict[str, Any]:
    positions = await connection.fetchrow(_POSITIONS)
    tables = await connection.fetch(_TABLES)
    written_at = positions["recorded_at"] if positions["position"] else None
    return {
        "version": __version__,
        "postgresql": {
            "version": positions["server"],
            "bytes": positions["bytes"],
            "tables": [{"name": row["name"], "bytes": row["bytes"]} for row in tables],
        },
        "log": {
            "position": positions["position"],
            "recordedAt": None if written_at is None else format_time(written_at),
        },
        "relay": {
            "position": positions["relayed"],
            "lanes": list(positions["lanes"]),
            "movedAt": format_time(positions["moved_at"]),
        },
        "results": await results.read_last(connection),
    }
