"""An error that PostgreSQL gives every client is a 503 with the reason, and ends with its cause."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from support.embedded import EmbeddedServers, new_settings
from support.hurt import INNOCENTS, all_at_once, customer
from support.system import System, wait_for

SERVER_REASONS = {
    "read-only": (
        "ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on",
        "ALTER ROLE {role} IN DATABASE {database} RESET default_transaction_read_only",
    ),
    "privilege": (
        "REVOKE INSERT ON events FROM {role}",
        "GRANT INSERT ON events TO {role}",
    ),
    "schema": ("ALTER SCHEMA public RENAME TO away", "ALTER SCHEMA away RENAME TO public"),
}


@pytest.mark.parametrize("reason", SERVER_REASONS)
def test_an_error_that_postgresql_gives_every_client_is_503_with_the_reason(
    servers: EmbeddedServers, reason: str
) -> None:
    settings = new_settings(servers)
    owner, address = System(settings), urlsplit(settings.postgres_url or "")
    role = f"role_{address.path[1:]}"
    owner.sql(f"CREATE ROLE {role} LOGIN")
    owner.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    owner.sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    place = f"{role}@{address.hostname}:{address.port}"
    as_role = replace(settings, postgres_url=address._replace(netloc=place).geturl())
    names = {"database": address.path[1:], "role": role}
    begin, end = (statement.format(**names) for statement in SERVER_REASONS[reason])
    with System(as_role, ("command-service",)) as system:
        system.new_customer()
        owner.sql(begin)
        _end_connections(owner)
        said = wait_for(lambda: _told(system, reason), f"a 503 that says {reason}")
        assert "PostgreSQL" in said
        replies = all_at_once(system, [customer(f"Ann {n}") for n in range(INNOCENTS)])
        assert {(reply.status, reply.slug) for reply in replies} == {(503, "unavailable")}
        assert all(reason in reply.json["detail"] for reply in replies)
        owner.sql(end)
        _end_connections(owner)
        wait_for(lambda: system.commands.post(*customer("Ann")).status == 201, "a customer")


def _told(system: System, reason: str) -> str:
    reply = system.commands.post(*customer("Ann"))
    assert reply.status == 503, reply.raw
    detail = str(reply.json["detail"])
    return detail if reason in detail else ""


def _end_connections(owner: System) -> None:
    owner.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'storelog command-service' AND datname = current_database()"
    )
