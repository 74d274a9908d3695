"""`GET /events`: a page costs the same wherever it begins; a slow PostgreSQL is a 503 in time."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from storelog.command_service import log_reader
from storelog.command_service.reader import MAX_WAITING
from storelog.config import Settings
from support.embedded import EmbeddedServers, new_settings
from support.http import Reply
from support.system import System, wait_for

EVENTS = 20_000
# A page is at most fifty rows that lie scattered, and the way down to them.
MAX_BLOCKS_OF_A_PAGE = 120
# Some fifteen halvings, each a descent through the index and one row.
MAX_BLOCKS_OF_A_SEARCH = 150
NAME = "product-2"
CAKE = "\U0001f370"


@pytest.fixture(scope="module")
def long_log(servers: EmbeddedServers) -> Iterator[System]:
    """A Command Service whose log has the events of two products in turn: 2 at even ones."""
    with System(new_settings(servers), ("command-service",)) as system:
        system.sql(
            "INSERT INTO events SELECT n, decode(repeat('00', 32), 'hex'), gen_random_uuid(),"
            " 'product', 2 - n % 2, (n + 1) / 2, 'ProductUpdated', 2, '{}',"
            " decode(repeat('00', 32), 'hex'), now(), now(), 'x'"
            f" FROM generate_series(1, {2 * EVENTS}) AS n"
        )
        system.sql(f"UPDATE log_head SET position = {2 * EVENTS}")
        yield system


@contextmanager
def locked(system: System, table: str) -> Iterator[None]:
    """Lock a table so that no other connection can read it."""
    held, done = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(system.settings.postgres_url)
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            held.set()
            await asyncio.to_thread(done.wait, 60)
        await connection.close()

    holder = threading.Thread(target=asyncio.run, args=(hold(),))
    holder.start()
    assert held.wait(20)
    try:
        yield
    finally:
        done.set()
        holder.join()


@pytest.mark.parametrize("after", [0, 1, 2, 19_999, 20_000, 39_997, 39_998, 39_999, 40_000, 10**15])
def test_a_page_of_one_aggregate_goes_on_after_any_position(long_log: System, after: int) -> None:
    reply = long_log.commands.get(f"/events?aggregate={NAME}&after={after}&limit=120")
    assert reply.status == 200
    expected = [n for n in range(after + 1, 2 * EVENTS + 1) if n % 2 == 0][:120]
    assert [event["position"] for event in reply.json["items"]] == expected
    assert [event["version"] for event in reply.json["items"]] == [n // 2 for n in expected]
    assert reply.json["nextAfter"] == (expected[-1] if len(expected) == 120 else None)


def test_an_aggregate_without_events_has_an_empty_page(long_log: System) -> None:
    for name in ("product-3", "customer-2", "order-1"):
        for after in (0, 1, 30_000):
            reply = long_log.commands.get(f"/events?aggregate={name}&after={after}")
            assert (reply.status, reply.json) == (200, {"items": [], "nextAfter": None})


@pytest.mark.parametrize("has_statistics", [False, True])
def test_a_page_costs_the_same_wherever_it_begins(long_log: System, has_statistics: bool) -> None:
    if has_statistics:
        long_log.sql("ANALYZE events")
    last = 2 * EVENTS

    async def costs() -> list[int]:
        connection = await asyncpg.connect(long_log.settings.postgres_url)
        for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            await connection.execute(f"SET {setting} = off")
        found = [
            await _blocks(connection, log_reader.BISECT, "product", 2, position)
            for position in (1, last // 2 + 1, last - 1)
        ]
        assert max(found) <= MAX_BLOCKS_OF_A_SEARCH, found
        pages = [
            await _blocks(connection, log_reader.BY_VERSION, 50, 2**21, version, "product", 2)
            for version in (0, EVENTS // 2, EVENTS - 50)
        ]
        await connection.close()
        return pages

    pages = asyncio.run(costs())
    assert max(pages) <= MAX_BLOCKS_OF_A_PAGE, pages


@pytest.mark.parametrize("storage", ["EXTENDED", "EXTERNAL"], ids=["packed", "as it is"])
def test_no_more_than_a_page_of_payloads_is_read_at_once_however_well_they_are_packed(
    settings: Settings, storage: str
) -> None:
    payload = json.dumps({"name": CAKE * 50_000}, ensure_ascii=False)
    each, number = len(payload.encode()), 60

    async def read() -> tuple[list[int], list[int]]:
        connection = await asyncpg.connect(settings.postgres_url)
        await connection.execute(f"ALTER TABLE events ALTER payload SET STORAGE {storage}")
        await connection.execute(
            "INSERT INTO events SELECT n, decode(repeat('00', 32), 'hex'), gen_random_uuid(),"
            " 'product', 2, n, 'ProductUpdated', 2, $1::text::json,"
            " decode(repeat('00', 32), 'hex'), now(), now(), 'x' FROM generate_series(1, $2) AS n",
            payload,
            number,
        )
        room = log_reader.MAX_PAGE_BYTES
        at_once = [
            len(await connection.fetch(log_reader.BY_POSITION, 50, room, 0)),
            len(await connection.fetch(log_reader.BY_VERSION, 50, room, 0, "product", 2)),
        ]
        pages: list[int] = []
        after: int | None = 0
        while after is not None:
            events, after = await log_reader.read_page(connection, NAME, after, 1_000)
            pages.append(len(events))
        await connection.close()
        return at_once, pages

    at_once, pages = asyncio.run(read())
    full = -(-log_reader.MAX_PAGE_BYTES // each)
    assert all(1 <= read <= full for read in at_once), at_once
    assert sum(pages) == number
    assert max(pages) <= full


async def _blocks(connection: asyncpg.Connection, statement: str, *arguments: Any) -> int:
    """Return how many blocks a statement looks at."""
    explained = await connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments
    )
    plan = json.loads(explained)[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.alone
def test_while_the_log_is_locked_each_page_is_503_within_a_second_and_nothing_piles_up(
    long_log: System,
) -> None:
    def timed(path: str) -> tuple[Reply, float]:
        began = time.monotonic()
        return long_log.commands.get(path), time.monotonic() - began

    with locked(long_log, "events"), ThreadPoolExecutor(3 * MAX_WAITING) as threads:
        alone, seconds = timed("/events")
        assert (alone.status, alone.slug) == (503, "unavailable")
        assert seconds < 1.5, "0.9 s, and the pauses of a busy machine"
        assert alone.headers["retry-after"]
        many = list(threads.map(timed, [f"/events?aggregate={NAME}&after=7"] * (3 * MAX_WAITING)))
        assert {reply.status for reply, _ in many} == {503}
        assert {reply.slug for reply, _ in many} == {"unavailable", "overloaded"}
        assert timed("/health/ready")[0].status == 200
        reading = long_log.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE '%FROM events%' AND pid <> pg_backend_pid()"
        )
        assert reading[0]["count"] <= 4
    wait_for(lambda: long_log.commands.get("/events").status == 200, "a page again", 10)


@pytest.mark.alone
def test_neither_readiness_nor_keys_wait_for_readers_of_the_log_or_for_each_other(
    long_log: System,
) -> None:
    with locked(long_log, "api_keys"):
        for _ in range(5):
            assert long_log.commands.get("/health/ready").status == 200
            assert long_log.commands.get("/events?limit=1").status == 200
    with locked(long_log, "log_head"):
        began = time.monotonic()
        assert long_log.commands.get("/health/ready").status == 503
        assert long_log.commands.get("/events?limit=1").status == 503
        assert time.monotonic() - began < 3
    wait_for(lambda: long_log.commands.get("/health/ready").status == 200, "readiness", 10)
