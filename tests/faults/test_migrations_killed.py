"""Migrations killed with -9 at any statement: run again, they make the same schema."""

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg

from storelog import migrations
from storelog.config import Settings
from support.embedded import EmbeddedServers

Changes = list[tuple[str, str]]
GATE = 0x47617465  # "Gate"
WAIT = f"; SELECT pg_advisory_lock({GATE});"
WAITING = "SELECT count(*) FROM pg_locks WHERE objid = $1 AND NOT granted"
# Migrates with the changes that it reads: those up to a statement, and then the gate.
MIGRATE = """
import asyncio, json, sys
from storelog import migrations
changes = [tuple(change) for change in json.load(sys.stdin)]
migrations._changes = lambda: changes
asyncio.run(migrations.migrate(sys.argv[1], 3))
"""
SHAPE = """SELECT table_name, column_name, data_type, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public' AND column_default IS NULL
    UNION ALL SELECT 'functions', proname, pg_get_functiondef(p.oid), '', '' FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname = 'public'
    UNION ALL SELECT 'indexes', indexname, indexdef, '', '' FROM pg_indexes
    WHERE schemaname = 'public'
    ORDER BY 1, 2, 3"""


def beginnings(sql: str) -> Iterator[str]:
    """Yield the file up to each of its statements' ends, bodies in $$ being one piece."""
    for end in re.finditer(r";[ ]*(?:--[^\n]*)?\n", sql):
        if sql[: end.start()].count("$$") % 2 == 0:
            yield sql[: end.start()]


async def new_database(settings: Settings, name: str) -> str:
    connection = await asyncpg.connect(settings.postgres_url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await connection.close()
    url = urlsplit(settings.postgres_url or "")._replace(path=f"/{name}").geturl()
    return replace(settings, postgres_url=url).postgres_url or ""


async def shape(url: str) -> list[tuple[str, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(SHAPE)]
    finally:
        await connection.close()


async def kill_at_gate(gate: asyncpg.Connection, url: str, changes: Changes) -> None:
    """Start a migration, kill -9 it while its last statement waits at the gate; open the gate."""
    await gate.execute("SELECT pg_advisory_lock($1)", GATE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MIGRATE, url, stdin=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(changes).encode())
        process.stdin.close()
        give_up_at = time.monotonic() + 60
        while not await gate.fetchval(WAITING, GATE):
            assert process.returncode is None, "the migration ended before its gate"
            assert time.monotonic() < give_up_at, "the migration does not come to its gate"
            await asyncio.sleep(0.01)
    finally:
        process.kill()
        await process.wait()
        await gate.execute("SELECT pg_advisory_unlock($1)", GATE)


def test_kill_9_after_any_statement_leaves_whole_migrations_only(servers: EmbeddedServers) -> None:
    async def run() -> None:
        base = servers.settings
        whole = await new_database(base, "migrated_at_once")
        assert await migrations.migrate(whole, 3) == (3, None)
        url = await new_database(base, "migrated_with_kills")
        changes, kills = migrations._changes(), 0
        gate = await asyncpg.connect(url)
        for number, (name, sql) in enumerate(changes):
            for beginning in beginnings(sql):
                await kill_at_gate(gate, url, [*changes[:number], (name, beginning + WAIT)])
                kills += 1
        await gate.close()
        assert kills > 25
        assert await migrations.migrate(url, 3) == (3, None)
        assert await shape(url) == await shape(whole)

    asyncio.run(run())
