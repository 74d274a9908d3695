"""Commands that a trigger in PostgreSQL rejects, among many others sent at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from support.http import Reply
from support.system import System

INNOCENTS = 48
MARK = "poison"
RAISE = f"""CREATE FUNCTION hurt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW::text LIKE '%{MARK}%' THEN %s; END IF;
    RETURN NEW;
END $$"""
REASONS = {
    "raises": "RAISE EXCEPTION 'no'",
    "breaks a check": "RAISE check_violation",
    "gives wrong data": "PERFORM 1 / (length(NEW::text) * 0)",
    "takes too long": "PERFORM pg_sleep(60)",
    "wants what is not there": "PERFORM * FROM nowhere",
}


@contextmanager
def trigger(
    system: System, table: str, action: str, *, is_deferred: bool = False
) -> Iterator[None]:
    """Let PostgreSQL do that at each new or changed row of the table that has the mark in it.

    `is_deferred`: at the commit.
    """
    system.sql(RAISE.replace("%s", action))
    kind, deferred = "TRIGGER hurt BEFORE", ""
    if is_deferred:
        kind, deferred = "CONSTRAINT TRIGGER hurt AFTER", " DEFERRABLE INITIALLY DEFERRED"
    system.sql(
        f"CREATE {kind} INSERT OR UPDATE ON {table}{deferred} FOR EACH ROW EXECUTE FUNCTION hurt()"
    )
    try:
        yield
    finally:
        system.sql("DROP FUNCTION hurt CASCADE")


def customer(name: str) -> tuple[str, dict[str, Any]]:
    return "/customers", {"name": name, "email": "a@b"}


def product(name: str) -> tuple[str, dict[str, Any]]:
    return "/products", {"name": name, "price": "1", "stock": 5}


def metric(system: System, name: str) -> float:
    lines = system.commands.get("/metrics").raw.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def all_at_once(
    system: System, requests: list[tuple[str, dict[str, Any]]], keys: str = ""
) -> list[Reply]:
    def send(number: int) -> Reply:
        path, body = requests[number]
        headers = {"Idempotency-Key": f"{keys}-{number}"} if keys else None
        return system.commands.post(path, body, headers)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, range(len(requests))))
