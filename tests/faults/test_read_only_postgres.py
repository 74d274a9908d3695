"""A PostgreSQL that takes no writes, and one of several hosts that does not respond."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest

from storelog.config import Settings, load
from storelog.postgres import connect
from support.embedded import EmbeddedServers, another_postgres, new_settings
from support.http import Client
from support.system import ANN, System, wait_for


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of these tests' own, to change as a whole."""
    with another_postgres() as url:
        yield url


@pytest.fixture
def there(servers: EmbeddedServers, cluster: str) -> Settings:
    """Settings of a new system with its log on that cluster."""
    return new_settings(servers, replace(servers.settings, postgres_url=cluster))


@pytest.fixture
def silent() -> Iterator[int]:
    """A port on which connections are taken and nothing is ever said."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        yield server.getsockname()[1]


def _set_read_only(system: System, value: str) -> None:
    system.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    system.sql("SELECT pg_reload_conf()")


def test_while_postgresql_is_read_only_commands_are_unavailable_and_recover_by_themselves(
    there: Settings,
) -> None:
    with System(there, ("command-service", "relay")) as system:
        customer = f"/customers/{system.new_customer()['customerId']}"
        product = f"/products/{system.new_product()['productId']}"
        relay = Client(system.url("relay"))
        _set_read_only(system, "on")
        try:
            adjustment = {"delta": 1, "reason": "found"}
            for reply in (
                system.commands.post("/customers", ANN),
                system.commands.put(customer, ANN, {"Idempotency-Key": "one"}),
                system.commands.post(f"{product}/stock-adjustments", adjustment),
                system.commands.delete(customer),
                system.commands.delete(customer),
            ):
                assert (reply.status, reply.slug) == (503, "unavailable")
                assert "read-only" in reply.json["detail"]
            ready = system.commands.get("/health/ready")
            assert (ready.status, ready.slug) == (503, "unavailable")
            assert "read-only" in ready.json["detail"]
            assert system.commands.get("/events").status == 200
            wait_for(lambda: relay.get("/health/ready").status == 503, "the relay")
            assert "read-only" in relay.get("/health/ready").json["detail"]
            assert "read-only" in System(there).cli("doctor").stdout
        finally:
            _set_read_only(system, "off")
        wait_for(lambda: system.commands.post("/customers", ANN).status == 201, "a customer", 10)
        wait_for(lambda: system.commands.get("/health/ready").status == 200, "readiness", 10)
        assert system.commands.put(customer, ANN, {"Idempotency-Key": "one"}).status == 200
        wait_for(lambda: relay.get("/health/ready").status == 200, "the relay", 20)


def test_a_host_that_does_not_respond_costs_its_share_of_the_time_and_the_next_one_is_used(
    there: Settings, silent: int
) -> None:
    address = urlsplit(there.postgres_url or "")
    both = f"127.0.0.1:{silent},127.0.0.1:{address.port}"
    listed = replace(there, postgres_url=f"postgresql://postgres@{both}{address.path}")
    with System(listed, ("command-service", "relay")) as system:
        assert system.new_customer()["customerId"] > 0
    done = System(listed).cli("migrate", seconds=60)
    assert done.returncode == 0, done.stderr


def test_of_several_hosts_the_one_that_takes_writes_is_written_to(
    there: Settings, settings: Settings
) -> None:
    writing = urlsplit(settings.postgres_url or "")
    only_read = urlsplit(there.postgres_url or "")
    system = System(there)
    hosts = f"127.0.0.1:{only_read.port},127.0.0.1:{writing.port}"
    system.sql(f"CREATE DATABASE {writing.path[1:]}")
    _set_read_only(system, "on")
    try:
        url = f"postgresql://postgres@{hosts}{writing.path}"
        assert _port_of(url) == writing.port
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            _port_of(there.postgres_url or "")
        assert _port_of(there.postgres_url or "", is_writing=False) == only_read.port
    finally:
        _set_read_only(system, "off")


def test_that_no_host_can_be_reached_says_what_each_one_did(silent: int) -> None:
    url = f"postgresql://postgres@127.0.0.1:{silent},127.0.0.1:1/x"
    with pytest.raises(OSError, match=rf"127.0.0.1:{silent}: .*in time; 127.0.0.1:1: .*refused"):
        _port_of(url)


FORMS = (
    "postgresql://postgres@{host}:{port}/storelog",
    "postgres://postgres@{host}:{port}/storelog",
    "postgresql://postgres@{host}:{port}",
    "postgresql://{host}:{port}/storelog?user=postgres",
    "postgresql:///storelog?host={host}&port={port}&user=postgres",
    "postgresql://postgres@/storelog?host={host}&port={port}",
    "postgresql://?host={host}&port={port}&user=postgres&dbname=storelog",
    "postgresql://postgres@{host}:1,{host}:{port}/storelog",
    "postgresql://postgres@/storelog?host={host},{host}&port=1,{port}",
    "postgresql://postgres:s3%40cret@{host}:{port}/storelog",
    "postgresql://postgres@{host}:{port}/storelog?connect_timeout=10&application_name=myapp",
    "postgresql://postgres@{host}:{port}/storelog?target_session_attrs=read-write",
    "postgresql://postgres@{host}:{port}/storelog?options=-c%20work_mem%3D8MB",
    "postgresql://postgres@{host}:{port}/storelog?sslmode=prefer&channel_binding=prefer",
    "postgresql://postgres@{host}:{port}/storelog?keepalives=1&keepalives_idle=5&gssencmode=disable",
    "postgresql://postgres@/storelog?hostaddr={host}&port={port}&load_balance_hosts=disable",
    "postgresql://postgres@%2F{folder}:{port}/storelog",
    "postgresql://postgres@/storelog?host=/{folder}&port={port}",
    "postgresql://postgres@[::1]:{port}/storelog",
    "postgresql://postgres@{host}:1,[::1]:{port}/storelog",
)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where a cluster listens: by TCP in both families, and by a socket in a folder."""
    with another_postgres(listen_addresses="127.0.0.1,::1", unix_socket_directories="/tmp") as url:
        yield {"host": "127.0.0.1", "port": str(urlsplit(url).port), "folder": "tmp"}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_an_address_that_libpq_documents_is_taken_and_reaches_the_server(
    everywhere: dict[str, str], form: str
) -> None:
    url = form.format(**everywhere)
    loaded = load(environ={"STORELOG_POSTGRES_URL": url}).settings.postgres_url
    assert _port_of(loaded or "") == int(everywhere["port"])


def _port_of(url: str, *, is_writing: bool = True) -> int:
    """Return the port of the server that a connection ends at."""

    async def ask() -> int:
        connection = await connect(url, timeout=2, is_writing=is_writing)
        try:
            return int(await connection.fetchval("SHOW port"))
        finally:
            connection.terminate()

    return asyncio.run(ask())
