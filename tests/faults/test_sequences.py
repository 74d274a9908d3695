"""Sequences behind their tables are raised and never lowered, and no command waits for that."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from storelog import sequences
from storelog.config import Settings
from storelog.sequences import SEQUENCES, raise_behind
from storelog.server_setup import set_up_servers
from support.embedded import EmbeddedServers, new_settings
from support.hurt import all_at_once, customer
from support.system import System

QUICK_SECONDS = 5.0


@pytest.fixture(scope="module")
def shop(servers: EmbeddedServers) -> Iterator[System]:
    """A system with one of everything, whose Command Service has ids in memory."""
    with System(new_settings(servers), ("command-service", "projector", "relay")) as system:
        place_order(system)
        yield system


def place_order(system: System) -> int:
    ann, stand = system.new_customer()["customerId"], system.new_product()["productId"]
    return int(system.new_order(ann, (stand, 1))["orderId"])


def copy_in(system: System, number: int) -> None:
    """Put rows above the largest id into each table, as a logical copy does."""
    system.sql(
        "INSERT INTO customers SELECT (SELECT max(customer_id) FROM customers) + n, 'x', 'a@b',"
        " NULL, 1 FROM generate_series(1, $1::integer) n",
        number,
    )
    system.sql(
        "INSERT INTO products (product_id, name, price, stock, version)"
        " SELECT (SELECT max(product_id) FROM products) + n, 'x', 1, 1, 1"
        " FROM generate_series(1, $1::integer) n",
        number,
    )
    system.sql(
        "INSERT INTO orders (order_id, order_date, customer_id, total_price, version)"
        " SELECT (SELECT max(order_id) FROM orders) + n, now(), 1, 1, 1"
        " FROM generate_series(1, $1::integer) n",
        number,
    )
    system.sql(
        "INSERT INTO order_items SELECT (SELECT max(item_id) FROM order_items) + n, 1, 1, 'x', 1, 1"
        " FROM generate_series(1, $1::integer) n",
        number,
    )


def remove_copies(system: System) -> None:
    system.sql("DELETE FROM order_items WHERE product_name = 'x'")
    for table, key in (("orders", "order"), ("products", "product"), ("customers", "customer")):
        system.sql(
            f"DELETE FROM {table} t WHERE NOT EXISTS (SELECT FROM events"
            f" WHERE aggregate_type = '{key}' AND aggregate_id = t.{key}_id)"
        )


def lower(system: System) -> None:
    for sequence in SEQUENCES:
        system.sql("SELECT setval($1::text::regclass, 1, false)", sequence)


def largest(system: System) -> dict[str, int]:
    return {
        sequence: system.sql(f"SELECT max({key}) AS id FROM {table}")[0]["id"]
        for sequence, (table, key) in SEQUENCES.items()
    }


def given(system: System) -> dict[str, int]:
    return {
        sequence: system.sql(f"SELECT last_value FROM {sequence}")[0]["last_value"]
        for sequence in SEQUENCES
    }


def is_raised(system: System) -> bool:
    last = given(system)
    return all(last[sequence] >= most for sequence, most in largest(system).items())


@pytest.mark.alone
def test_a_service_whose_ids_are_taken_goes_on_above_them(shop: System) -> None:
    copy_in(shop, 500)
    before = largest(shop)
    began = time.monotonic()
    replies = all_at_once(shop, [customer(f"Ann {n}") for n in range(24)])
    assert Counter(reply.status for reply in replies) == {201: 24}
    order = place_order(shop)
    assert time.monotonic() - began < QUICK_SECONDS
    assert min(reply.json["customerId"] for reply in replies) > before["customers_customer_id_seq"]
    assert order > before["orders_order_id_seq"]
    assert is_raised(shop)
    remove_copies(shop)


def test_the_start_of_a_service_and_migrate_raise_sequences_and_never_lower_them(
    shop: System,
) -> None:
    place_order(shop)
    for raise_them in (_migrate, _start):
        lower(shop)
        assert not is_raised(shop)
        raise_them(shop.settings)
        assert is_raised(shop)
        for sequence in SEQUENCES:
            shop.sql("SELECT setval($1::text::regclass, 5000)", sequence)
        raise_them(shop.settings)
        assert set(given(shop).values()) == {5000}


def _migrate(settings: Settings) -> None:
    asyncio.run(set_up_servers(settings))


def _start(settings: Settings) -> None:
    with System(settings, ("command-service",)):
        pass


def test_doctor_and_verify_name_a_sequence_that_is_behind(shop: System) -> None:
    for sequence in SEQUENCES:
        shop.sql("SELECT setval($1::text::regclass, 10000)", sequence)
    assert json.loads(shop.cli("verify", "--json").stdout)["differences"] == []
    lower(shop)
    verified = shop.cli("verify", "--json")
    assert verified.returncode == 1
    found = json.loads(verified.stdout)
    assert {each["where"] for each in found["differences"]} == {"postgresql.sequences"}
    assert {each["id"] for each in found["differences"]} == set(SEQUENCES)
    doctor = shop.cli("doctor")
    assert doctor.returncode == 1
    assert "customers_customer_id_seq is behind" in doctor.stdout
    _migrate(shop.settings)
    assert "is behind" not in shop.cli("doctor").stdout


def test_no_id_above_the_largest_is_given_twice_while_sequences_are_raised(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "_TAKEN_ONE_BY_ONE", 500)
    url, rows = settings.postgres_url, 3_000
    taken: list[int] = []

    async def take(stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(url)
        while not stop.is_set():
            taken.append(await connection.fetchval("SELECT nextval('customers_customer_id_seq')"))
        await connection.close()

    async def raise_them() -> None:
        connection = await asyncpg.connect(url)
        for _ in range(5):
            await raise_behind(connection)
        await connection.close()

    async def run() -> None:
        stop = asyncio.Event()
        takers = [asyncio.create_task(take(stop)) for _ in range(3)]
        await asyncio.gather(raise_them(), raise_them())
        stop.set()
        await asyncio.gather(*takers)

    System(settings).sql(
        "INSERT INTO customers SELECT n, 'x', 'a@b', NULL, 1"
        " FROM generate_series(1, $1::integer) n",
        rows,
    )
    asyncio.run(run())
    above = [number for number in taken if number > rows]
    assert len(above) == len(set(above))
    assert is_above(settings, rows)


def is_above(settings: Settings, rows: int) -> bool:
    found: list[dict[str, Any]] = System(settings).sql(
        "SELECT nextval('customers_customer_id_seq')"
    )
    return bool(found[0]["nextval"] > rows)


@pytest.mark.alone
def test_a_version_that_the_log_has_already_says_to_run_verify(settings: Settings) -> None:
    with System(settings, ("command-service",)) as system:
        stand = system.new_product()["productId"]
        system.commands.put(f"/products/{stand}", {"name": "Stand", "price": "1"})
    system.sql("UPDATE products SET version = 1")
    with System(settings, ("command-service",)) as system:
        began = time.monotonic()
        replies = all_at_once(
            system,
            [
                *(customer(f"Ann {n}") for n in range(12)),
                (f"/products/{stand}/stock-adjustments", {"delta": 1, "reason": "count"}),
            ],
        )
        assert time.monotonic() - began < QUICK_SECONDS
        culprit = replies.pop()
        assert (culprit.status, culprit.slug) == (500, "internal-error")
        assert "storelog verify" in culprit.json["detail"]
        assert {reply.status for reply in replies} == {201}


@pytest.mark.alone
def test_a_head_that_is_behind_the_log_says_to_run_verify(settings: Settings) -> None:
    with System(settings, ("command-service",)) as system:
        system.new_customer()
        system.new_customer()
        system.sql("UPDATE log_head SET position = 1")
        began = time.monotonic()
        for number in range(2):
            reply = system.commands.post(*customer(f"Ann {number}"))
            assert (reply.status, reply.slug) == (503, "unavailable")
            assert "storelog verify" in reply.json["detail"]
        assert time.monotonic() - began < QUICK_SECONDS
