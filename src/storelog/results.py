"""Keeps in PostgreSQL what `verify`, a rebuild and an anchor found the last times.

A result is recorded after the work is done and never changes its outcome: if it cannot be recorded
(an account that only reads, a replica, a schema of an older release), that is only reported.
Next: cli/verify.py
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from storelog import __version__, postgres
from storelog.config import Settings
from storelog.envelope import format_time
from storelog.reasons import reason

VERIFY, REBUILD, ANCHOR = "verify", "rebuild", "anchor"
OPERATIONS = (VERIFY, REBUILD, ANCHOR)
KEPT_DIFFERENCES = 50
_RECORD = """INSERT INTO operation_results
    (operation, version, position, seconds, differences, facts) VALUES ($1, $2, $3, $4, $5, $6)"""
_LAST = """SELECT last.* FROM unnest($1::text[]) WITH ORDINALITY AS named (operation, place)
    CROSS JOIN LATERAL (
        SELECT operation, finished_at, version, position, seconds, differences, facts
        FROM operation_results WHERE operation = named.operation ORDER BY finished_at DESC LIMIT 1
    ) AS last ORDER BY named.place"""


@dataclass(frozen=True, slots=True)
class Result:
    """One run: its position, how long it took (seconds), and how many differences it found."""

    operation: str
    position: int
    seconds: float
    differences: int
    facts: Mapping[str, Any]


async def record(settings: Settings, results: list[Result]) -> str | None:
    """Record results; return why that was not possible, None on success."""
    try:
        connection = await postgres.connect(settings.postgres_url, timeout=5, command_timeout=10)
        try:
            for result in results:
                facts = dict(result.facts)
                facts["differences"] = list(facts.get("differences", ()))[:KEPT_DIFFERENCES]
                await connection.execute(
                    _RECORD,
                    result.operation,
                    __version__,
                    result.position,
                    result.seconds,
                    result.differences,
                    json.dumps(facts),
                )
        finally:
            connection.terminate()
    except postgres.FAILURES as error:
        return f"the result was not recorded in PostgreSQL: {reason(error)}"
    return None


async def read_last(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """Return the last result of each operation that ever recorded one, as JSON shows it."""
    return [_shown(*row) for row in await connection.fetch(_LAST, OPERATIONS)]


def _shown(
    operation: str,
    finished_at: datetime,
    version: str,
    position: int,
    seconds: float,
    differences: int,
    facts: str,
) -> dict[str, Any]:
    return {
        "operation": operation,
        "finishedAt": format_time(finished_at),
        "version": version,
        "position": position,
        "seconds": round(seconds, 3),
        "differences": differences,
        "facts": json.loads(facts),
    }
