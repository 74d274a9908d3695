"""Builds PostgreSQL's state tables anew from the log, compares, and switches in one transaction.

The new rows are made in temporary tables while commands go on; the log's head is locked only for
the last events, the comparison and the switch. Rows that differ are rewritten, the others are left.
If it is interrupted at any step, PostgreSQL undoes everything with the connection.

The switch does not move the head, so `append_batch` would accept a batch that was decided on the
old rows. Guarantees that none is committed: before the commit nobody can read the tables, and every
connection that has read them is ended.
Next: verify/state_tables.py
"""

import time
from dataclasses import dataclass
from typing import Any

import asyncpg

from storelog import postgres
from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.errors import CannotRun, PoisonRecord
from storelog.read_models.change import Change, change_of_event
from storelog.reasons import reason
from storelog.relay import cursor
from storelog.sequences import raise_behind
from storelog.shop.columns import LINES_TABLE, OF_AGGREGATES, Row, columns_of, line_columns_of
from storelog.shop.events import ENTITIES, ORDER
from storelog.shop.fields import field_at
from storelog.shop.kinds import EARLIEST_ORDER_DATE, LATEST_ORDER_DATE
from storelog.shop.order import Order
from storelog.upkeep.folded_rows import FoldedRows
from storelog.upkeep.service_connections import end_connections
from storelog.upkeep.sources import Progress
from storelog.verify.report import Report
from storelog.verify.times import read_exact_times

BESIDE = "rebuilt"
READ_EVENTS = 5_000
LOCK_MS = 30_000
# While the head is locked: longer than PostgreSQL takes to end an autovacuum in the way.
TABLES_LOCK_MS = 5_000
IDLE_MS = 30_000
STATEMENT_MS = 300_000
MAX_NAMED = 1_000
# Parents before children, as foreign keys require; the first column is the key.
TABLES: dict[str, tuple[str, ...]] = {
    **{each.collection: (*columns_of(each.structure), *OF_AGGREGATES) for each in ENTITIES},
    LINES_TABLE: line_columns_of(Order),
}


@dataclass(frozen=True, slots=True)
class RebuiltTables:
    """The result: rows that differed now agree with the log, as of `position`."""

    position: int
    seconds: float
    report: Report

    def facts(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {**self.report.facts(), "seconds": round(self.seconds, 1)}


async def rebuild_state_tables(settings: Settings, progress: Progress) -> RebuiltTables:
    """Rebuild the state tables from the log. If it raises CannotRun, nothing has changed."""
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    began = time.monotonic()
    try:
        connection = await postgres.connect(
            settings.postgres_url,
            timeout=5,
            command_timeout=300,
            server_settings={"application_name": "storelog rebuild"},
        )
        try:
            await read_exact_times(connection)
            report = await _Tables(connection, progress).rebuild()
        finally:
            connection.terminate()
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error
    return RebuiltTables(report.position, time.monotonic() - began, report)


class _Tables:
    def __init__(self, connection: asyncpg.Connection, progress: Progress) -> None:
        self._connection = connection
        self._progress = progress
        self._position = 0
        self._folded = FoldedRows()

    async def rebuild(self) -> Report:
        connection = self._connection
        for table, columns in TABLES.items():
            await connection.execute(
                f"CREATE TEMPORARY TABLE {BESIDE}_{table} AS"
                f" SELECT {', '.join(columns)} FROM {table} WITH NO DATA"
            )
        await self._fold(await connection.fetchval("SELECT position FROM log_head"))
        async with connection.transaction():
            await self._limit_the_transaction()
            head = await connection.fetchval("SELECT position FROM log_head FOR UPDATE")
            await self._fold(head)
            await self._finish()
            report = Report(head)
            for table in TABLES:
                await self._compare(table, report)
            if report.found:
                await self._keep_readers_out()
                await self._switch()
                await end_connections(connection)
        return report

    async def _fold(self, up_to: int) -> None:
        while self._position < up_to:
            some = min(READ_EVENTS, up_to - self._position)
            events = (await cursor.read_some(self._connection, self._position, some)).events
            for event in events:
                self._folded.fold(_change(event))
            for table, rows in self._folded.begun():
                await self._copy(table, rows, TABLES[table])
            self._position = events[-1].position
            self._progress("events", self._position, up_to)

    async def _copy(self, table: str, rows: list[Row], columns: Row) -> None:
        if rows:
            await self._connection.copy_records_to_table(
                f"{BESIDE}_{table}", records=rows, columns=columns
            )

    async def _finish(self) -> None:
        for table, rows in self._folded.kept():
            await self._copy(table, rows, TABLES[table])
        for table, columns, rows in self._folded.changed():
            await self._change(table, columns, rows)
        for table in TABLES:
            # Without statistics, the joins of large new tables could take hours.
            await self._connection.execute(f"ANALYZE {BESIDE}_{table}")

    async def _change(self, table: str, columns: Row, rows: list[Row]) -> None:
        key, *others = columns
        await self._connection.execute(
            f"CREATE TEMPORARY TABLE {BESIDE}_changes AS"
            f" SELECT {', '.join(columns)} FROM {table} WITH NO DATA"
        )
        await self._copy("changes", rows, columns)
        await self._connection.execute(
            f"UPDATE {BESIDE}_{table} t SET {', '.join(f'{name} = r.{name}' for name in others)}"
            f" FROM {BESIDE}_changes r WHERE t.{key} = r.{key}; DROP TABLE {BESIDE}_changes"
        )

    async def _compare(self, table: str, report: Report) -> None:
        key, *fields = TABLES[table]
        shown = ", ".join(f"t.{name}, r.{name}" for name in TABLES[table])
        different = " OR ".join(f"t.{name} IS DISTINCT FROM r.{name}" for name in TABLES[table])
        joined = f"{table} t FULL JOIN {BESIDE}_{table} r ON t.{key} = r.{key}"
        count = await self._connection.fetchrow(
            f"SELECT count(*) AS rows, count(*) FILTER (WHERE {different}) AS found FROM {joined}"
        )
        report.count(f"postgresql.{table}", count["rows"])
        if not count["found"]:
            return
        rows = await self._connection.fetch(
            f"SELECT {shown} FROM {joined} WHERE {different} LIMIT {MAX_NAMED}"
        )
        for found, expected in (_halves(row) for row in rows):
            where, key_value = f"postgresql.{table}", expected[0] or found[0]
            if expected[0] is None or found[0] is None:
                report.differ(where, key_value, "row", expected[0], found[0])
                continue
            for name, right, wrong in zip(fields, expected[1:], found[1:], strict=True):
                if right != wrong:
                    report.differ(where, key_value, name, right, wrong)
        report.found = max(report.found, count["found"])

    async def _limit_the_transaction(self) -> None:
        """Set time-outs, so that the head is released even if this process is paused."""
        await self._connection.execute(
            f"SET LOCAL lock_timeout = {LOCK_MS}; SET LOCAL statement_timeout = {STATEMENT_MS};"
            f" SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}"
        )

    async def _keep_readers_out(self) -> None:
        """Lock the tables even against reads. As in `append_batch`, the head is locked before."""
        await self._connection.execute(
            f"SET LOCAL lock_timeout = {TABLES_LOCK_MS};"
            f" LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE"
        )

    async def _switch(self) -> None:
        execute = self._connection.execute
        later = await self._set_checks_aside()
        for table, (key, *_) in reversed(TABLES.items()):
            await execute(
                f"DELETE FROM {table} t WHERE NOT EXISTS"
                f" (SELECT FROM {BESIDE}_{table} r WHERE r.{key} = t.{key})"
            )
        for table, (key, *fields) in TABLES.items():
            columns, given = ", ".join(fields), ", ".join(f"r.{name}" for name in fields)
            present = ", ".join(f"t.{name}" for name in fields)
            await execute(
                f"INSERT INTO {table} ({key}, {columns}) SELECT r.{key}, {given}"
                f" FROM {BESIDE}_{table} r LEFT JOIN {table} t ON t.{key} = r.{key}"
                f" WHERE t.{key} IS NULL"
            )
            await execute(
                f"UPDATE {table} t SET ({columns}) = ROW({given}) FROM {BESIDE}_{table} r"
                f" WHERE t.{key} = r.{key} AND ({present}) IS DISTINCT FROM ({given})"
            )
        await raise_behind(self._connection)

        for statement in later:
            await execute(statement)

    async def _set_checks_aside(self) -> list[str]:
        """Drop the checks that an order in the log violates; return the SQL that adds them again.

        Earlier releases took orders of any date. The checks that came later are not validated, so
        the table may hold such an order, but it could not be written again.
        """
        has_any = await self._connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {BESIDE}_{ORDER.collection}"
            f" WHERE NOT is_deleted AND {field_at(Order.order_date).name} NOT BETWEEN $1 AND $2)",
            EARLIEST_ORDER_DATE,
            LATEST_ORDER_DATE,
        )
        if not has_any:
            return []
        checks = await self._connection.fetch(
            "SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
            " WHERE conrelid = 'orders'::regclass AND NOT convalidated"
        )
        for check in checks:
            await self._connection.execute(f"ALTER TABLE orders DROP CONSTRAINT {check['name']}")
        return [f"ALTER TABLE orders ADD CONSTRAINT {c['name']} {c['definition']}" for c in checks]


def _change(event: Envelope) -> Change:
    try:
        return change_of_event(event)
    except PoisonRecord as error:
        raise CannotRun(f"event {event.position} of the log cannot be read: {error}") from error


def _halves(row: asyncpg.Record) -> tuple[Row, Row]:
    values = tuple(row.values())
    return values[0::2], values[1::2]
