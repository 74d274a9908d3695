"""`deploy/postgresql/roles.sql`: each process can do its work there, and nothing else."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from storelog import migrations
from storelog.config import Settings
from storelog.migrations.append_batch import OF_THIS_RELEASE
from support.embedded import EmbeddedServers, new_settings
from support.system import System, wait_for

ROLES_SQL = Path(__file__).parent.parent.parent / "deploy" / "postgresql" / "roles.sql"


def as_role(settings: Settings, role: str) -> Settings:
    address = urlsplit(settings.postgres_url or "")
    place = f"{role}@{address.hostname}:{address.port}"
    return replace(settings, postgres_url=address._replace(netloc=place).geturl())


def run(settings: Settings, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(settings.postgres_url, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())


@pytest.fixture(scope="module")
def owned(servers: EmbeddedServers) -> Iterator[Settings]:
    settings = new_settings(servers)
    for _ in range(2):
        run(settings, ROLES_SQL.read_text("utf-8"))
    yield settings


def test_a_sequence_that_is_behind_is_raised_with_the_least_privileges(owned: Settings) -> None:
    with System(as_role(owned, "storelog_command"), ("command-service",)) as commands:
        last = commands.new_customer()["customerId"]
        run(
            owned,
            f"INSERT INTO customers SELECT {last} + n, 'x', 'a@b', NULL, 1"
            " FROM generate_series(1, 20000) n",
        )
        assert commands.new_customer()["customerId"] > last + 20_000
    run(owned, "DELETE FROM customers WHERE name = 'x'")


def test_a_function_that_a_later_migrate_installs_needs_no_other_grant(owned: Settings) -> None:
    async def install_again() -> None:
        connection = await asyncpg.connect(owned.postgres_url, timeout=10)
        try:
            await migrations._remove(connection, OF_THIS_RELEASE.name)
        finally:
            await connection.close()
        await migrations.migrate(owned.postgres_url or "", 3)

    asyncio.run(install_again())
    with System(as_role(owned, "storelog_command"), ("command-service",)) as commands:
        assert commands.new_customer()["customerId"]


def test_an_order_goes_all_the_way_with_the_least_privileges(owned: Settings) -> None:
    commands = System(as_role(owned, "storelog_command"), ("command-service",))
    relay = System(as_role(owned, "storelog_relay"), ("relay",))
    readers = System(replace(owned, postgres_url=None), ("projector", "query-service"))
    with ExitStack() as stack:
        for system in (commands, relay, readers):
            stack.enter_context(system)
        assert "STORELOG_POSTGRES_URL" not in readers.environment
        product, customer = commands.new_product(), commands.new_customer()
        order = commands.new_order(customer["customerId"], (product["productId"], 2))
        commands.commands.delete(f"/orders/{order['orderId']}")
        key = {"Idempotency-Key": "least"}
        assert (
            commands.commands.post("/customers", {"name": "A", "email": "a@b"}, key).status == 201
        )
        position = commands.written()
        wait_for(
            lambda: readers.queries.get("/analytics/total-sales").position >= position,
            "the read model",
        )
        made = System(as_role(owned, "storelog_keys"), ()).cli(
            "keys", "create", "admin", "--role", "admin"
        )
        assert made.returncode == 0, made.stderr
        wait_for(lambda: commands.commands.get("/events").status == 401, "the key in PostgreSQL")
        wait_for(lambda: readers.queries.get("/products").status == 401, "the key in MongoDB")
    looked = System(as_role(owned, "storelog_reader"), ()).cli("verify", "--json")
    assert looked.returncode == 0, looked.stderr
    assert "recorded" not in looked.stderr
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        run(as_role(owned, "storelog_reader"), "UPDATE operation_results SET differences = 0")


def test_keys_are_made_over_http_by_an_account_that_may_and_by_no_other(owned: Settings) -> None:
    commands = as_role(owned, "storelog_command")
    admin = sha256(b"admin").hexdigest()
    environment = {"STORELOG_API_KEYS": f"boss:admin:{admin}"}
    body = {"name": "over-http", "role": "read"}
    with System(commands, ("command-service",), environment, "admin") as without:
        denied = without.commands.post("/keys", body)
        assert (denied.status, denied.slug) == (503, "unavailable")
        assert "STORELOG_KEYS_POSTGRES_URL" in denied.json["detail"]
        assert without.commands.get("/operations").status == 200
    keys = as_role(owned, "storelog_keys").postgres_url
    allowed = replace(commands, keys_postgres_url=keys)
    with System(allowed, ("command-service",), environment, "admin") as with_account:
        assert with_account.commands.post("/keys", body).status == 201


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("storelog_command", "UPDATE events SET payload = '{}'"),
        ("storelog_command", "DELETE FROM events"),
        ("storelog_command", "TRUNCATE events"),
        ("storelog_command", "ALTER TABLE events DISABLE TRIGGER ALL"),
        ("storelog_command", "DROP TRIGGER events_are_append_only ON events"),
        ("storelog_command", "SET session_replication_role = replica"),
        ("storelog_command", "DELETE FROM log_head"),
        ("storelog_command", "UPDATE relay_cursor SET position = 0"),
        ("storelog_command", "UPDATE api_keys SET role = 'admin'"),
        ("storelog_command", "INSERT INTO api_keys (name, role, sha256) VALUES ('x', 'read', '')"),
        ("storelog_command", "CREATE TABLE mine (id integer)"),
        ("storelog_command", "COPY (SELECT 1) TO PROGRAM 'true'"),
        ("storelog_relay", "INSERT INTO events SELECT * FROM events"),
        ("storelog_relay", "UPDATE log_head SET position = 0"),
        ("storelog_relay", "SELECT * FROM customers"),
        ("storelog_relay", "UPDATE api_keys SET revoked_at = NULL"),
        ("storelog_keys", "SELECT * FROM events"),
        ("storelog_keys", "UPDATE api_keys SET role = 'admin'"),
        ("storelog_keys", "DELETE FROM api_keys"),
        ("storelog_command", "SELECT signer FROM api_key_sets"),
        ("storelog_keys", "UPDATE api_key_sets SET version = 0"),
        ("storelog_reader", "SELECT sha256 FROM api_keys"),
        ("storelog_reader", "SELECT signer FROM api_key_sets"),
        ("storelog_reader", "SELECT * FROM idempotency_keys"),
        ("storelog_reader", "UPDATE customers SET name = 'x'"),
        ("storelog_command", "SELECT log_ended_at(0)"),
        ("storelog_relay", "SELECT forget_expired_keys(1)"),
        ("storelog_keys", "SELECT log_ended_at(0)"),
        ("storelog_reader", "SELECT log_ended_at(0)"),
        ("storelog_reader", "SELECT forget_expired_keys(1)"),
    ],
)
def test_what_a_role_does_not_need_it_cannot_do(owned: Settings, role: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        run(as_role(owned, role), statement)
