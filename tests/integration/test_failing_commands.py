"""A command that fails for a reason of its own fails alone; an error of the server is a 503."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from storelog import migrations
from storelog.command_service import batch, decisions
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.submission import Idempotency, Submission
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.shop.customer import CreateCustomer, NewCustomer
from storelog.web.http import Response
from support.embedded import EmbeddedServers, new_settings
from support.http import Reply
from support.hurt import INNOCENTS, MARK, REASONS, all_at_once, customer, metric, product, trigger
from support.system import System


@pytest.fixture(scope="module")
def hurt(servers: EmbeddedServers) -> Iterator[System]:
    with System(new_settings(servers), ("command-service",)) as system:
        yield system


def assert_failed(reply: Reply) -> None:
    assert (reply.status, reply.slug) == (500, "internal-error"), reply.raw
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["correlationId"] == reply.headers["x-correlation-id"]
    assert "changed nothing" in reply.json["detail"]


@pytest.mark.parametrize("table", ["customers", "events"])
@pytest.mark.parametrize("reason", REASONS)
def test_a_command_that_postgresql_rejects_fails_alone(
    hurt: System, table: str, reason: str
) -> None:
    requests = [customer(f"Ann {n}") for n in range(INNOCENTS)]
    requests.insert(INNOCENTS // 2, customer(f"{MARK} {table} {reason}"))
    key = f"{table}-{reason.replace(' ', '-')}"
    before = hurt.written()
    with trigger(hurt, table, REASONS[reason]):
        replies = all_at_once(hurt, requests, key)
    culprit = replies.pop(INNOCENTS // 2)
    assert Counter(reply.status for reply in replies) == {201: INNOCENTS}
    if reason == "wants what is not there":
        # It looks like a schema that is not there, so it is a 503 where no other command shares it.
        assert culprit.status in (500, 503)
    else:
        assert_failed(culprit)
    assert hurt.written() == before + INNOCENTS
    # Its key is not remembered: what was wrong is over, and it succeeds.
    path, body = requests[INNOCENTS // 2]
    again = hurt.commands.post(path, body, {"Idempotency-Key": f"{key}-{INNOCENTS // 2}"})
    assert (again.status, "idempotency-replayed" in again.headers) == (201, False)


def test_a_command_that_postgresql_rejects_at_the_commit_fails_alone(hurt: System) -> None:
    requests = [customer(f"Ann {n}") for n in range(INNOCENTS)]
    requests.insert(INNOCENTS // 2, customer(f"{MARK} at the commit"))
    with trigger(hurt, "customers", REASONS["raises"], is_deferred=True):
        replies = all_at_once(hurt, requests)
    assert_failed(replies.pop(INNOCENTS // 2))
    assert Counter(reply.status for reply in replies) == {201: INNOCENTS}


def test_several_culprits_among_many_fail_alone_and_are_logged_and_counted_once(
    hurt: System,
) -> None:
    requests = [product(f"Stand {n}") for n in range(INNOCENTS)]
    for place in (3, 4, 30):
        requests[place] = product(f"{MARK} {place}")
    failures = 'storelog_commands_failed_alone_total{command="CreateProduct"}'
    counted = metric(hurt, failures)
    with trigger(hurt, "products", REASONS["raises"]):
        replies = all_at_once(hurt, requests)
    for place, reply in enumerate(replies):
        if place in (3, 4, 30):
            assert_failed(reply)
        else:
            assert reply.status == 201, reply.raw
    assert metric(hurt, failures) == counted + 3
    for place in (3, 4, 30):
        about = replies[place].headers["x-correlation-id"]
        lines = hurt.log_lines("command-service")
        assert len([line for line in lines if about in line]) == 1
    assert "Traceback" in "\n".join(hurt.log_lines("command-service"))


def test_an_order_that_fails_leaves_its_neighbours_and_its_stock(hurt: System) -> None:
    ann = hurt.new_customer()["customerId"]
    stands = [hurt.new_product(name=name)["productId"] for name in ("Stand", MARK)]
    bodies = [
        (
            "/orders",
            {"customerId": ann, "orderItems": [{"productId": stands[n == 7], "quantity": 1}]},
        )
        for n in range(10)
    ]
    with trigger(hurt, "order_items", REASONS["raises"]):
        replies = all_at_once(hurt, bodies)
    assert_failed(replies.pop(7))
    assert {reply.status for reply in replies} == {201}
    rows = hurt.sql("SELECT stock FROM products WHERE product_id = ANY ($1) ORDER BY 1", stands)
    assert [row["stock"] for row in rows] == [1, 10]


def test_a_poison_command_in_a_loop_slows_nobody_down_for_long(hurt: System) -> None:
    with trigger(hurt, "customers", REASONS["raises"]), ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(
                lambda n: hurt.commands.post(*customer(f"{MARK} {n}" if n % 4 == 0 else "Ann")),
                range(400),
            )
        )
    assert Counter(reply.status for reply in replies) == {201: 300, 500: 100}


def test_a_character_that_the_database_cannot_hold_fails_alone_and_migrate_says_so(
    servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a database that an earlier version migrated."""
    settings = new_settings(servers)
    address = urlsplit(settings.postgres_url or "")
    name = f"{address.path[1:]}_latin1"
    latin1 = replace(settings, postgres_url=address._replace(path=f"/{name}").geturl())
    System(settings).sql(
        f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    with pytest.raises(CannotRun, match=r"LATIN1.*UTF8"):
        asyncio.run(migrations.migrate(latin1.postgres_url or "", 3))
    assert System(latin1).sql("SELECT to_regclass('events') AS it") == [{"it": None}]
    doctor = System(latin1).cli("doctor")
    assert doctor.returncode == 1
    assert "LATIN1" in doctor.stdout
    monkeypatch.setattr(migrations, "ENCODING", "LATIN1")
    asyncio.run(migrations.migrate(latin1.postgres_url or "", 3))
    with System(latin1, ("command-service",)) as system:
        requests = [customer(f"Jörg {n}") for n in range(INNOCENTS)]
        requests.insert(20, customer("Ann \U0001f370"))
        replies = all_at_once(system, requests)
        assert_failed(replies.pop(20))
        assert {reply.status for reply in replies} == {201}


def test_an_exception_in_deciding_one_command_fails_that_one_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = decisions.decide

    def break_at_the_mark(command: Any, *rest: Any) -> Any:
        if getattr(getattr(command, "said", None), "name", "") == MARK:
            raise ZeroDivisionError("a mistake of ours")
        return decide(command, *rest)

    monkeypatch.setattr(batch, "decide", break_at_the_mark)

    async def run() -> list[Response]:
        pipeline = Pipeline(
            settings.postgres_url or "",
            max_queued=500,
            deadline_seconds=10,
            keep_keys=timedelta(hours=1),
        )
        await pipeline.start()
        try:
            submissions = [
                Submission(
                    CreateCustomer(0, NewCustomer(MARK if n == 100 else f"Ann {n}", "a@b")),
                    "",
                    f"c{n}",
                    "/customers",
                    None,
                    Idempotency(f"k{n}", b"h"),
                )
                for n in range(200)
            ]
            return list(await asyncio.gather(*(pipeline.submit(each) for each in submissions)))
        finally:
            await pipeline.stop()

    responses = asyncio.run(run())
    problem = json.loads(responses[100].body)
    assert (problem["status"], problem["correlationId"]) == (500, "c100")
    assert Counter(response.status for response in responses) == {201: 199, 500: 1}
    kept = System(settings).sql("SELECT key FROM idempotency_keys WHERE key = 'k100'")
    assert kept == []


def test_openapi_lists_500_on_commands_and_its_page_says_that_nothing_was_changed(
    hurt: System,
) -> None:
    paths = hurt.commands.get("/openapi.json").json["paths"]
    commands = [
        operation
        for path in paths.values()
        for method, operation in path.items()
        if method in ("post", "put", "delete")
    ]
    assert len(commands) == 11
    for operation in commands:
        assert "internal-error" in operation["responses"]["500"]["description"]
    assert "changed nothing" in hurt.commands.get("/problems/internal-error").json["about"].replace(
        "\n", " "
    )
