"""Services of two releases write to one database, each by the function made of its declarations."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any

import asyncpg
import pytest

from storelog import migrations
from storelog.command_service.state_reader import load_holders
from storelog.config import Settings
from storelog.migrations.append_batch import OF_THIS_RELEASE, AppendBatch, append_batch
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, ENTITIES, EVENT_TYPES, ORDER, PRODUCT
from storelog.shop.kinds import Name, Since
from storelog.shop.product import Product
from storelog.shop.unique import Holders
from support.embedded import EmbeddedServers, new_settings
from support.hurt import INNOCENTS, all_at_once, product
from support.system import CAKE_STAND, System


class NewerProduct(Product, frozen=True, rename="camel"):
    """The product of a release to come."""

    brand: Annotated[Name | None, Since(3, None)]


NEWER = append_batch(
    (CUSTOMER, EntityKind("product", NewerProduct, "products", None, "products"), ORDER)
)
NOTHING = "'{}'"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def commands(servers: EmbeddedServers) -> Iterator[System]:
    with System(new_settings(servers), ("command-service",)) as system:
        yield system


def over_a_connection(system: System, do: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(system.settings.postgres_url)
        try:
            return await do(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def migrate(system: System, monkeypatch: pytest.MonkeyPatch, release: AppendBatch) -> None:
    """Migrate as a release does that has the files of today and this function."""
    of_today = migrations._changes()[:-1]
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "_changes", lambda: [*of_today, (release.name, release.sql)])
        asyncio.run(migrations.migrate(system.settings.postgres_url or "", 3))


def lamp(number: int, name: str, **more: object) -> Json:
    return {
        "product_id": number,
        "name": name,
        "price": 1,
        "stock": 1,
        "version": 1,
        "is_deleted": False,
        **more,
    }


def append(function: AppendBatch, new: list[Json], changed: list[Json]) -> str:
    """Return the call of a function that writes rows of products, with no event."""
    given = [
        f"ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::products_row_{function.name[-8:]},"
        f" '{json.dumps(rows)}') r)"
        for rows in (new, changed)
    ]
    rows = ", ".join([NOTHING] * 3 + given + [NOTHING] * 4)
    return f"SELECT {function.name}(position, hash, now(), {rows}, NULL) FROM log_head"


def test_a_column_that_an_older_service_does_not_know_keeps_its_value(
    commands: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = commands.new_product()["productId"]
    commands.sql("ALTER TABLE products ADD COLUMN brand text DEFAULT 'none'")
    migrate(commands, monkeypatch, NEWER)
    commands.sql(append(NEWER, [], [lamp(stand, "Cake stand", stock=10, brand="Alder")]))
    # The service has run all the time, and a customer's order goes by its own function.
    ann = commands.new_customer()["customerId"]
    assert commands.new_order(ann, (stand, 1))["orderId"]
    changed = commands.commands.put(f"/products/{stand}", {**CAKE_STAND, "name": "Stand"})
    assert changed.status == 200, changed.raw
    other = commands.new_product()["productId"]
    # As a service of the commit before this one does.
    commands.sql(
        "SELECT append_batch(position, hash, now(), '{}', '{}', '{}', '{}', ARRAY[ROW("
        f"{other}, 'Other', 1, 1, 1, false)]::product_row[], '{{}}', '{{}}', '{{}}', '{{}}', NULL)"
        " FROM log_head"
    )
    rows = commands.sql("SELECT name, brand FROM products WHERE product_id >= $1 ORDER BY 1", stand)
    assert [tuple(row.values()) for row in rows] == [("Other", "none"), ("Stand", "Alder")]
    commands.sql("ALTER TABLE products DROP COLUMN brand")


def test_migrate_keeps_the_functions_of_the_two_releases_before_and_removes_older_ones(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System(settings)
    some = (ENTITIES[:1], ENTITIES[:2], ENTITIES[1:2], ENTITIES[1:], ENTITIES[2:])
    first, second, third, fourth, fifth = (append_batch(each) for each in some)
    for release in (first, second, third, fourth):
        migrate(system, monkeypatch, release)
    assert functions(system) == {second.name, third.name, fourth.name}
    # Back to an earlier release, whose services are the newest now.
    migrate(system, monkeypatch, second)
    assert functions(system) == {second.name, third.name, fourth.name}
    migrate(system, monkeypatch, fifth)
    assert functions(system) == {second.name, fourth.name, fifth.name}
    assert shapes_of_types(system) == {name[-8:] for name in functions(system)}


def functions(system: System) -> set[str]:
    rows = system.sql("SELECT proname FROM pg_proc WHERE proname ~ '^append_batch_[0-9a-f]{8}$'")
    known = system.sql("SELECT name FROM schema_migrations WHERE name ~ '^append_batch_'")
    assert {row["proname"] for row in rows} == {row["name"] for row in known}
    return {row["proname"] for row in rows}


def shapes_of_types(system: System) -> set[str]:
    rows = system.sql("SELECT right(typname, 8) AS shape FROM pg_type WHERE typname ~ '_row_.{8}$'")
    return {row["shape"] for row in rows if not row["shape"].startswith("_")}


def test_a_service_whose_function_is_missing_says_to_run_migrate(commands: System) -> None:
    over_a_connection(commands, lambda on: migrations._remove(on, OF_THIS_RELEASE.name))
    reply = commands.commands.post("/products", CAKE_STAND)
    assert (reply.status, reply.slug) == (503, "unavailable"), reply.raw
    assert "run `storelog migrate`" in reply.json["detail"]
    asyncio.run(migrations.migrate(commands.settings.postgres_url or "", 3))
    assert commands.commands.post("/products", CAKE_STAND).status == 201


def test_no_row_is_looked_for_from_end_to_end_of_a_table_that_was_small(settings: Settings) -> None:
    call = append(OF_THIS_RELEASE, [], [lamp(1, "Stand", version=2)])

    async def scans(connection: asyncpg.Connection) -> list[int]:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO products (product_id, name, price, stock, version)"
                " SELECT n, 'Stand', 1, 1, 1 FROM generate_series(1, 300) n; ANALYZE products"
            )
            for _ in range(10):
                await connection.execute(call)
            row = await connection.fetchrow(
                "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'products'"
            )
        return list(row.values())

    assert over_a_connection(System(settings), scans) == [0, 10]


def test_no_constraint_lists_entities_or_events(commands: System) -> None:
    rows = commands.sql("SELECT pg_get_constraintdef(oid) AS rule FROM pg_constraint")
    names = [f"'{name}'" for name in (*EVENT_TYPES, *(each.name for each in ENTITIES))]
    assert [row["rule"] for row in rows if any(name in row["rule"] for name in names)] == []


@pytest.fixture
def unique_names(commands: System) -> Iterator[System]:
    """A system whose products have names of their own, as a migration says of a unique field."""
    commands.sql("UPDATE products SET is_deleted = true")
    commands.sql(
        "ALTER TABLE products ADD CONSTRAINT products_name_key EXCLUDE USING btree (name WITH =)"
        " WHERE (NOT is_deleted) DEFERRABLE INITIALLY DEFERRED"
    )
    yield commands
    commands.sql("ALTER TABLE products DROP CONSTRAINT products_name_key")


def test_a_unique_value_goes_from_one_entity_to_another_in_one_batch(unique_names: System) -> None:
    first, second = (unique_names.new_product(name=name)["productId"] for name in "AB")
    new = [lamp(900001, "A"), lamp(900002, "C")]
    changed = [lamp(first, "A", is_deleted=True), lamp(second, "D")]
    unique_names.sql(append(OF_THIS_RELEASE, new, changed))
    unique_names.sql(append(OF_THIS_RELEASE, [], [lamp(900001, "C"), lamp(900002, "A")]))
    rows = unique_names.sql("SELECT name FROM products WHERE NOT is_deleted ORDER BY product_id")
    assert [row["name"] for row in rows] == ["D", "C", "A"]
    with pytest.raises(asyncpg.ExclusionViolationError):
        unique_names.sql(append(OF_THIS_RELEASE, [lamp(900003, "A")], []))


def test_holders_are_the_entities_that_have_a_value_and_are_not_deleted(
    unique_names: System,
) -> None:
    first, second = (unique_names.new_product(name=name)["productId"] for name in "AB")
    unique_names.sql("UPDATE products SET is_deleted = true WHERE product_id = $1", second)
    holders = Holders()
    over_a_connection(
        unique_names, lambda on: load_holders(on, holders, PRODUCT, "name", {"A", "B", "C"})
    )
    assert holders.of(PRODUCT, "name") == {"A": first, "B": None, "C": None}


def test_a_unique_value_that_postgresql_rejects_at_the_commit_fails_its_command_alone(
    unique_names: System,
) -> None:
    requests = [product(f"Stand {n}") for n in range(INNOCENTS)]
    requests[INNOCENTS // 2] = requests[0]
    replies = all_at_once(unique_names, requests)
    assert Counter(reply.status for reply in replies) == {201: INNOCENTS - 1, 500: 1}
    assert {replies[0].status, replies[INNOCENTS // 2].status} == {201, 500}
