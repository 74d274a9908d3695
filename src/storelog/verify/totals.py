"""Compares the Query Service's totals with sums that PostgreSQL makes of its order lines.

Both are of one position: the sums of a snapshot at the log's head H, the totals as of H, read by
the Query Service's own code. Orders that the read model lacks because of dead letters are left out
of the sums; orders whose deletion it lacks are included.
Next: verify/verify.py
"""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import asyncpg
from pymongo.errors import PyMongoError

from storelog.documents.ledgers import to_decimal
from storelog.query_service.http.parameters import Range
from storelog.query_service.past.documents import PastView
from storelog.query_service.positions.reads import Reads
from storelog.query_service.positions.view import View
from storelog.query_service.totals import ledger_sums
from storelog.verify.absent import read_absent
from storelog.verify.report import Report

WHERE = "totals"
WAIT_SECONDS = 60.0
SUM_SECONDS = 600.0
# How often to try again when dead letters have come or gone meanwhile.
TRIES = 5
KINDS = ("product", "customer", "day")
SumsByKey = dict[tuple[str, int], tuple[int, int, int]]
_SUMS = """
WITH sold AS (
    SELECT i.product_id, o.customer_id, o.order_id, i.quantity, i.quantity * i.price AS amount,
        CASE WHEN isfinite(o.order_date)
            THEN floor(extract(epoch FROM o.order_date) / 86400)::bigint
            -- The driver wrote the first day that it knows as -infinity.
            ELSE date '0001-01-01' - date '1970-01-01'
        END AS day
    FROM order_items i JOIN orders o USING (order_id)
    WHERE (NOT o.is_deleted OR o.order_id = ANY ($2)) AND NOT o.order_id = ANY ($1)
)
SELECT product_id, customer_id, day, sum(quantity)::bigint AS units,
    (sum(amount) * 10000)::numeric AS amount, count(DISTINCT order_id) AS orders
FROM sold GROUP BY GROUPING SETS ((product_id), (customer_id), (day))
"""
_ABSENT = """
SELECT aggregate_id, version FROM events
WHERE aggregate_type = 'order' AND position = ANY ($1) AND position <= $2
"""


async def compare_totals(connection: asyncpg.Connection, reads: Reads, report: Report) -> None:
    """Compare the totals of every product, customer and day."""
    for _ in range(TRIES):
        database = (await _view(reads)).database
        absent = await read_absent(database)
        # One snapshot, so that the sums are those of exactly this head.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await connection.fetchval("SELECT position FROM log_head")
            expected = await _summed(connection, sorted(absent), head)
        found = await _read_totals(reads, head)
        again = await read_absent(database)
        if found is None:
            report.differ("mongodb.checkpoints", "all lanes", "position", head, "an earlier one")
            return
        if {p for p in absent if p <= head} == {p for p in again if p <= head}:
            _compare(expected, found, report)
            return


async def _view(reads: Reads) -> View:
    """Open a view; try again for a while if the server is busy. Raises PyMongoError."""
    give_up_at = asyncio.get_running_loop().time() + WAIT_SECONDS
    while True:
        try:
            return await reads.view()
        except PyMongoError:
            if asyncio.get_running_loop().time() > give_up_at:
                raise
            await asyncio.sleep(0.25)


async def _summed(connection: asyncpg.Connection, absent: list[int], head: int) -> SumsByKey:
    rows = await connection.fetch(_ABSENT, absent, head)
    no_order = [row["aggregate_id"] for row in rows if row["version"] == 1]
    no_deletion = [row["aggregate_id"] for row in rows if row["version"] > 1]
    sums: SumsByKey = {}
    for row in await connection.fetch(_SUMS, no_order, no_deletion, timeout=SUM_SECONDS):
        *keys, units, amount, orders = row
        kind = next(n for n, key in enumerate(keys) if key is not None)
        sums[KINDS[kind], keys[kind]] = (units, int(amount), orders)
    return sums


async def _read_totals(reads: Reads, position: int) -> SumsByKey | None:
    """Return the totals as of a position; None if the read model does not reach it."""
    give_up_at, best = asyncio.get_running_loop().time() + WAIT_SECONDS, 0
    while (view := await _view(reads)).position < position:
        if view.position > best:
            best, give_up_at = view.position, asyncio.get_running_loop().time() + WAIT_SECONDS
        if asyncio.get_running_loop().time() > give_up_at:
            return None
        await asyncio.sleep(0.25)
    past = PastView(view.database, replace(view.place, position=position))
    found: SumsByKey = {}
    for kind in KINDS:
        for key, (units, amount, orders) in (
            await ledger_sums.sums(past, kind, Range(None, None))
        ).items():
            found[kind, key] = units, amount, orders
    return found


def _compare(expected: SumsByKey, found: SumsByKey, report: Report) -> None:
    report.count(WHERE, len(expected))
    nothing = (0, 0, 0)
    for kind, key in sorted(expected.keys() | found.keys()):
        wanted, has = expected.get((kind, key), nothing), found.get((kind, key), nothing)
        for name, right, wrong in zip(_NAMES, _shown(wanted), _shown(has), strict=True):
            if right != wrong:
                report.differ(WHERE, _name(kind, key), name, right, wrong)


_NAMES = ("unitsSold", "totalSales", "orders")


def _shown(entry: tuple[int, int, int]) -> tuple[Any, ...]:
    units, amount, orders = entry
    return units, to_decimal(amount), orders


def _name(kind: str, key: int) -> str:
    if kind == "day":
        return f"day-{(date(1970, 1, 1) + timedelta(days=key)).isoformat()}"
    return f"{kind}-{key}"
