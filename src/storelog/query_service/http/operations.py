"""GET /operations of the Query Service: MongoDB's size, each lane's place, every process's health.

Next: query_service/http/processes.py
"""

import asyncio
from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from storelog import __version__
from storelog.query_service.http.processes import Processes
from storelog.query_service.http.route_parts import FRESH
from storelog.query_service.positions.reads import READ_SECONDS, Reads, reading_mongodb
from storelog.query_service.positions.view import Document
from storelog.shop.json_values import encode_json
from storelog.shop.value_schemas import COUNT, TEXT, TEXT_OR_NULL, strict_object
from storelog.web.http import Operation, Request, Response, Route

_LANE = strict_object(lane=COUNT, position=COUNT, safePosition=COUNT, deadLetters=COUNT)
_PROCESS = strict_object(
    name=TEXT,
    state={"enum": ["ready", "not-ready", "away", "unknown"]},
    detail=TEXT_OR_NULL,
    facts={"type": "object"},
)
SCHEMAS: dict[str, Any] = {
    "ReadSide": strict_object(
        version=TEXT,
        mongodb=strict_object(
            version=TEXT_OR_NULL,
            database=TEXT,
            bytes={"type": ["integer", "null"], "minimum": 0},
        ),
        position=COUNT,
        deadLetters=COUNT,
        lanes={"type": "array", "items": _LANE},
        processes={"type": "array", "items": _PROCESS},
    )
}


def health_route(reads: Reads, processes: Processes) -> Route:
    """Return the route."""

    async def show(_request: Request) -> Response:
        async with reading_mongodb():
            view = await reads.view()
            database = view.database
            found, (version, size), looked_at = await asyncio.gather(
                database["checkpoints"].find({}).sort("_id", 1).to_list(),
                about_server(database),
                processes.look(),
            )
            body = {
                "version": __version__,
                "mongodb": {"version": version, "database": database.name, "bytes": size},
                "position": view.place.position,
                "deadLetters": view.place.dead_letters,
                "lanes": [_lane(each) for each in found if each["_id"] < each["lanes"]],
                "processes": looked_at,
            }
        return Response(200, encode_json(body), view.place.headers())

    headers = FRESH
    operation = Operation(
        "The read side: places, sizes, the health of every process",
        200,
        None,
        "ReadSide",
        headers=headers,
    )
    return Route("GET", "/operations", "read", show, operation)


def _lane(checkpoint: Document) -> Document:
    return {
        "lane": checkpoint["_id"],
        "position": int(checkpoint["position"]),
        "safePosition": int(checkpoint["safe"]),
        "deadLetters": int(checkpoint["deadLetters"]),
    }


async def about_server(database: AsyncDatabase[Document]) -> tuple[str | None, int | None]:
    """Return the server's version and its bytes on disk, None for a value it does not report.

    SecantusDB is not asked for its size: it would read every document and block others meanwhile.
    """
    try:
        with pymongo.timeout(READ_SECONDS / 2):
            server = await database.client.server_info()
    except PyMongoError:
        return None, None
    version = server.get("version")
    size = None if "secantusVersion" in server else await _size(database)
    return None if version is None else str(version), size


async def _size(database: AsyncDatabase[Document]) -> int | None:
    """Return the bytes on disk; None if the server or the account's rights do not allow it."""
    try:
        with pymongo.timeout(READ_SECONDS / 2):
            stats = await database.command("dbStats")
    except PyMongoError:
        return None
    parts = [stats.get("storageSize"), stats.get("indexSize")]
    known = [int(part) for part in parts if isinstance(part, int | float)]
    return sum(known) if known else None
