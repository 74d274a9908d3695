"""TLS to PostgreSQL, users and TLS to MongoDB: what is set is used, what is wrong is refused."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.server_setup import set_up_servers
from support.embedded import EmbeddedServers, new_settings
from support.secure_servers import PASSWORD, TlsPostgres, secure_mongodb, write_certificates
from support.system import System


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("secure")
    write_certificates(home)
    write_certificates(home / "another")
    write_certificates(home / "misnamed", "another.example")
    return home


@pytest.fixture(scope="module")
def settings(servers: EmbeddedServers) -> Settings:
    return new_settings(servers)


def _over_tls(settings: Settings, port: int, ca: Path) -> str:
    address = urlsplit(settings.postgres_url or "")
    place = f"{address.username}@127.0.0.1:{port}"
    query = f"sslmode=verify-full&sslrootcert={ca}"
    return address._replace(netloc=place, query=query).geturl()


def test_postgresql_is_reached_over_tls_and_its_certificate_is_checked(
    settings: Settings, home: Path
) -> None:
    behind = urlsplit(settings.postgres_url or "").port or 0
    with TlsPostgres(home, behind) as front, TlsPostgres(home / "misnamed", behind) as misnamed:
        url = _over_tls(settings, front.port, home / "ca.pem")
        with System(replace(settings, postgres_url=url), ("command-service", "relay")) as system:
            assert system.new_customer()["customerId"] > 0
        for wrong in (
            _over_tls(settings, front.port, home / "another" / "ca.pem"),
            _over_tls(settings, misnamed.port, home / "misnamed" / "ca.pem"),
        ):
            with pytest.raises(OSError, match="certificate"):
                asyncio.run(asyncpg.connect(wrong, timeout=10))


@pytest.fixture(scope="module")
def mongodb(settings: Settings, home: Path) -> Iterator[int]:
    server, port = secure_mongodb(home, "shop")
    try:
        yield port
    finally:
        server.ask_to_stop()
        server.wait_stopped()


def _address(port: int, user: str, password: str, ca: Path) -> str:
    options = f"directConnection=true&tls=true&tlsCAFile={ca}&authSource=shop"
    return f"mongodb://{user}:{password}@127.0.0.1:{port}/shop?{options}"


def test_mongodb_is_reached_by_its_users_over_tls(
    settings: Settings, home: Path, mongodb: int
) -> None:
    writing = _address(mongodb, "storelog_projector", PASSWORD, home / "ca.pem")
    reading = _address(mongodb, "storelog_query", PASSWORD, home / "ca.pem")
    projecting = replace(settings, mongodb_uri=writing)
    asyncio.run(set_up_servers(projecting))
    querying = System(replace(settings, mongodb_uri=reading), ("query-service",))
    with System(projecting, ("command-service", "relay", "projector")) as system, querying:
        customer = system.new_customer()
        waited = {"Storelog-Wait-For": str(system.written()), "Prefer": "wait=30"}
        reply = querying.queries.get(f"/customers/{customer['customerId']}", waited)
        assert reply.json == customer
        for name in ("relay", "projector"):
            assert PASSWORD not in system.log(name)
    shown = System(projecting, ()).cli("config")
    assert shown.returncode == 0, shown.stderr
    assert PASSWORD not in shown.stdout


def test_mongodb_refuses_strangers_and_its_certificate_is_checked(home: Path, mongodb: int) -> None:
    ca = home / "ca.pem"
    for wrong in (
        _address(mongodb, "storelog_query", "wrong", ca),
        _address(mongodb, "storelog_query", PASSWORD, home / "another" / "ca.pem"),
        f"mongodb://127.0.0.1:{mongodb}/shop?directConnection=true",
        f"mongodb://127.0.0.1:{mongodb}/shop?directConnection=true&tls=true&tlsCAFile={ca}",
    ):
        client: MongoClient[dict[str, object]] = MongoClient(wrong, serverSelectionTimeoutMS=2_000)
        with client, pytest.raises(PyMongoError):
            client["shop"]["customers"].find_one({})
