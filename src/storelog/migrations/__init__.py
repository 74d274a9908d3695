"""PostgreSQL's schema: plain SQL, one change a file, applied in the order of the names.

After the files comes the function by which this release appends batches (append_batch.py). Those
of the last `KEPT` releases stay, for services that still run.

Each file runs in a transaction of its own and is remembered with its SHA-256, so a kill at any
statement leaves whole files only; a file that was changed afterwards is rejected. Numbers may have
gaps: only their order counts. Safe to repeat and to run twice at once: an advisory lock makes the
second wait. Then `make schema`.
Next: relay/topics.py
"""

import hashlib
from importlib.resources import files

import asyncpg

from storelog import postgres
from storelog.errors import CannotRun
from storelog.migrations.append_batch import OF_THIS_RELEASE, PREFIX
from storelog.sequences import raise_behind

ENCODING = "UTF8"
ENCODING_ADVICE = (
    "make one that can hold every name: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
)
# How many earlier releases, the newest ones, keep their function that appends batches.
KEPT = 2
_LOCK = 0x4D69677261746573  # "Migrates"
_KNOWN = """CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"""


async def migrate(postgres_url: str, lanes: int) -> tuple[int, int | None]:
    """Bring the schema up to date; return the number of lanes, and the number wanted if any.

    `lanes` counts for a new database only. Raises CannotRun, asyncpg.PostgresError, OSError.
    """
    connection = await postgres.connect(postgres_url, timeout=10, command_timeout=60)
    try:
        encoding = await connection.fetchval("SHOW server_encoding")
        if encoding != ENCODING:
            raise CannotRun(f"the database has the encoding {encoding}; {ENCODING_ADVICE}")
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_KNOWN)
        for name, sql in _changes():
            async with connection.transaction():
                # The lock ends with its transaction, so each file takes it again.
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await _apply(connection, name, sql)
                if name.startswith(PREFIX):
                    await _remove_older(connection, name)
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
    return [name for name, _ in _changes()]


def _changes() -> list[tuple[str, str]]:
    entries = files("storelog.migrations").iterdir()
    found = {e.name: e.read_text("utf-8") for e in entries if e.name.endswith(".sql")}
    return [*sorted(found.items()), (OF_THIS_RELEASE.name, OF_THIS_RELEASE.sql)]


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


async def _remove_older(connection: asyncpg.Connection, newest: str) -> None:
    """Remove the functions that append batches, but `newest` and the `KEPT` before it."""
    # Going back to an older release makes its function the newest again, so that it stays.
    await connection.execute(
        "UPDATE schema_migrations SET applied_at = now() WHERE name = $1", newest
    )
    older = await connection.fetch(
        "SELECT name FROM schema_migrations WHERE starts_with(name, $1)"
        " ORDER BY applied_at DESC, name OFFSET $2",
        PREFIX,
        1 + KEPT,
    )
    for (name,) in older:
        await _remove(connection, name)


async def _remove(connection: asyncpg.Connection, name: str) -> None:
    types = await connection.fetch(
        "SELECT typname FROM pg_type WHERE typtype = 'c' AND typname LIKE '%\\_row\\_' || $1"
        " AND typnamespace = current_schema()::regnamespace",
        name.removeprefix(PREFIX),
    )
    await connection.execute(f"DROP FUNCTION {name}")
    await connection.execute(f"DROP TYPE {', '.join(row['typname'] for row in types)}")
    await connection.execute("DELETE FROM schema_migrations WHERE name = $1", name)
