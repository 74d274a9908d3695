"""Migrations that are killed after any statement: run again, they make the same schema."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest

from storelog import migrations
from storelog.config import Settings
from support.embedded import EmbeddedServers

KILL = "; SELECT pg_terminate_backend(pg_backend_pid());"
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


def test_a_kill_after_any_statement_leaves_whole_migrations_only(
    servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        base = servers.settings
        whole = await new_database(base, "migrated_at_once")
        assert await migrations.migrate(whole, 3) == (3, None)
        url = await new_database(base, "migrated_with_kills")
        changes = migrations._changes()
        kills = 0
        for number, (name, sql) in enumerate(changes):
            for beginning in beginnings(sql):
                killed = [*changes[:number], (name, beginning + KILL)]
                monkeypatch.setattr(migrations, "_changes", lambda killed=killed: killed)
                with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                    await migrations.migrate(url, 3)
                kills += 1
        assert kills > 25
        monkeypatch.undo()
        assert await migrations.migrate(url, 3) == (3, None)
        assert await shape(url) == await shape(whole)

    asyncio.run(run())
