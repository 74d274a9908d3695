"""PostgreSQL's schema, in plain SQL, one change a file, applied in the order of the names.

Each file runs in a transaction of its own and is remembered with its SHA-256, so a kill at any
statement leaves whole files only; a file that was changed afterwards is refused. Numbers may have
gaps: only their order counts. Safe to repeat and to run twice at once: an advisory lock makes the
second wait. Then `make schema`.
Next: relay/topics.py
"""

import hashlib
from importlib.resources import files

import asyncpg

from storelog.errors import CannotRun
from storelog.sequences import raise_behind

ENCODING = "UTF8"
ENCODING_ADVICE = (
    "make one that can hold every name: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
)
_LOCK = 0x4D69677261746573  # "Migrates"
_KNOWN = """CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"""


async def migrate(postgres_url: str, lanes: int) -> tuple[int, int | None]:
    """Bring the schema up to date; return the number of lanes, and the one a change waits for.

    `lanes` counts for a new database only. Raises CannotRun, asyncpg.PostgresError, OSError.
    """
    connection = await asyncpg.connect(postgres_url, timeout=10, command_timeout=60)
    try:
        encoding = await connection.fetchval("SHOW server_encoding")
        if encoding != ENCODING:
            raise CannotRun(f"the database has the encoding {encoding}; {ENCODING_ADVICE}")
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_KNOWN)
        for name, sql in _changes():
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await _apply(connection, name, sql)
        await raise_behind(connection)
        await connection.execute(
            "INSERT INTO relay_cursor (lanes) SELECT array_fill(0::bigint, ARRAY[$1::integer])"
            " ON CONFLICT DO NOTHING",
            lanes,
        )
        row = await connection.fetchrow("SELECT cardinality(lanes), lanes_wanted FROM relay_cursor")
        return row[0], row[1]
    finally:
        await connection.close()


def names() -> list[str]:
    """Return the names of all changes, in their order."""
    entries = files("storelog.migrations").iterdir()
    return sorted(entry.name for entry in entries if entry.name.endswith(".sql"))


def _changes() -> list[tuple[str, str]]:
    here = files("storelog.migrations")
    return [(name, here.joinpath(name).read_text("utf-8")) for name in names()]


async def _apply(connection: asyncpg.Connection, name: str, sql: str) -> None:
    digest = hashlib.sha256(sql.encode()).hexdigest()
    applied = await connection.fetchval(
        "SELECT sha256 FROM schema_migrations WHERE name = $1", name
    )
    if applied is None:
        await connection.execute(sql)
        await connection.execute(
            "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, digest
        )
    elif applied != digest:
        raise CannotRun(f"migration {name} was changed after it was applied to this database")
