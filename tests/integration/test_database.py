"""PostgreSQL itself: the log rejects changes, constraints hold the rules, migrations repeat."""

import asyncio
from importlib.resources import files

import asyncpg
import pytest

from storelog.config import Settings
from storelog.server_setup import SetUp, set_up_servers
from support.system import System


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET payload = '{}'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM log_head",
        "TRUNCATE log_head",
    ],
)
def test_the_log_is_append_only(shop: System, statement: str) -> None:
    shop.new_customer()
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        shop.sql(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE products SET stock = -1",
        "UPDATE products SET price = -1",
        "UPDATE products SET name = ''",
        "UPDATE products SET stock_status = NOT stock_status",
        "UPDATE customers SET email = 'none'",
        "UPDATE customers SET phone_number = repeat('1', 16)",
        "INSERT INTO orders (order_date, customer_id, total_price, version)"
        " VALUES (now(), 999999, 1, 1)",
        "INSERT INTO events SELECT 999999999, hash, event_id, aggregate_type, aggregate_id,"
        " version, event_type, schema_version, payload, payload_hash, occurred_at, recorded_at,"
        " correlation_id FROM events LIMIT 1",
        "INSERT INTO log_head (only_row, hash) VALUES (false, decode(repeat('00', 32), 'hex'))",
    ],
)
def test_constraints_hold_the_rules(shop: System, statement: str) -> None:
    shop.new_customer()
    shop.new_product()
    with pytest.raises((asyncpg.IntegrityConstraintViolationError, asyncpg.SyntaxOrAccessError)):
        shop.sql(statement)


def test_migrating_twice_at_once_and_again_changes_nothing(settings: Settings) -> None:
    async def twice() -> list[SetUp]:
        return list(await asyncio.gather(set_up_servers(settings), set_up_servers(settings)))

    assert asyncio.run(twice()) == [SetUp(lanes=3, advice=[])] * 2
    system = System(settings)
    names = [row["name"] for row in system.sql("SELECT name FROM schema_migrations ORDER BY 1")]
    changes = [entry.name for entry in files("storelog.migrations").iterdir()]
    files_applied = [name for name in names if not name.startswith("append_batch_")]
    assert files_applied == sorted(name for name in changes if name.endswith(".sql"))
    assert len(names) == len(files_applied) + 1


def test_positions_are_the_commit_order_without_a_gap_and_times_never_go_back(shop: System) -> None:
    shop.new_product()
    rows = shop.sql("SELECT position, recorded_at FROM events ORDER BY position")
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    times = [row["recorded_at"] for row in rows]
    assert times == sorted(times)
