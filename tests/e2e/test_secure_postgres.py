"""TLS to PostgreSQL: the certificate and its name are checked."""

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from storelog.config import Settings
from support.embedded import EmbeddedServers, new_settings
from support.secure_postgres import TlsPostgres, write_certificates
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
