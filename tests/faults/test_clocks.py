"""Every time in the log is PostgreSQL's, whatever the clocks of the services say."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import asyncpg
import pytest

from storelog.config import Settings
from storelog.envelope import cut_off, format_time, parse_time
from storelog.migrations.append_batch import OF_THIS_RELEASE
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.system import ANN, NOBODY_LEADS, System, let_contention_pass, wait_for

DAY = 86_400.0
BEHIND, AHEAD = -2 * DAY, 3_650 * DAY
SLOW = {"name": "Slow", "email": "slow@example.com", "phoneNumber": None}
_SLOW_COMMIT = (
    "CREATE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER slow_commits AFTER INSERT ON customers"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.name = 'Slow')"
    " EXECUTE FUNCTION commit_slowly()",
)


@dataclass
class Shop:
    """A system whose clocks are right, and services beside it whose clocks are not."""

    whole: System
    behind: System
    ahead: System

    def now(self) -> datetime:
        """Return PostgreSQL's time."""
        at: datetime = self.whole.sql("SELECT clock_timestamp() AS at")[0]["at"]
        return cut_off(at)

    def events(self, after: int) -> list[dict[str, Any]]:
        return self.whole.sql("SELECT * FROM events WHERE position > $1 ORDER BY position", after)


@pytest.fixture(scope="module")
def clocks(servers: EmbeddedServers) -> Iterator[Shop]:
    settings = replace(new_settings(servers), leader_host=NOBODY_LEADS)
    services = ("command-service", "query-service")
    with ExitStack() as stack:
        whole = stack.enter_context(System(settings))
        behind, ahead = (
            stack.enter_context(System(settings, services, clock_seconds=seconds))
            for seconds in (BEHIND, AHEAD)
        )
        whole.new_customer()
        whole.wait_projected()
        yield Shop(whole, behind, ahead)


def metric(client: Client, name: str) -> float:
    lines = client.get("/metrics").raw.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def test_times_in_the_log_are_postgresqls_whichever_service_wrote_them(clocks: Shop) -> None:
    for system in (clocks.ahead, clocks.behind, clocks.whole, clocks.ahead):
        before, position = clocks.now(), clocks.whole.written()
        customer = system.new_customer()["customerId"]
        order = system.new_order(customer, (system.new_product()["productId"], 1))
        after, events = clocks.now(), clocks.events(position)
        assert len(events) == 4
        times = [event[name] for event in events for name in ("occurred_at", "recorded_at")]
        assert before <= min(times)
        assert max(times) <= after
        assert all(event["occurred_at"] <= event["recorded_at"] for event in events)
        assert before <= parse_time(order["orderDate"]) <= after


def test_no_command_occurs_before_it_has_come(clocks: Shop) -> None:
    """Those that come while a batch is open share it with earlier ones."""
    sent: dict[int, datetime] = {}

    def send(system: System) -> None:
        for _ in range(10):
            at = clocks.now()
            sent[system.new_customer()["customerId"]] = at

    with ThreadPoolExecutor(9) as pool:
        for done in [pool.submit(send, s) for s in (clocks.whole, clocks.behind, clocks.ahead) * 3]:
            done.result()
    made = [e for e in clocks.events(0) if e["aggregate_id"] in sent and e["version"] == 1]
    early = [e for e in made if e["event_type"] == "CustomerCreated"]
    assert len(early) == len(sent) == 90
    assert [e for e in early if e["occurred_at"] < sent[e["aggregate_id"]]] == []


def test_one_key_over_services_two_days_apart_has_one_effect(clocks: Shop) -> None:
    key, position = {"Idempotency-Key": "two-days-apart"}, clocks.whole.written()
    services = (clocks.behind, clocks.behind, clocks.whole, clocks.ahead, clocks.behind)
    replies = [system.commands.post("/customers", ANN, key) for system in services]
    assert {(reply.status, reply.raw) for reply in replies} == {(201, replies[0].raw)}
    assert clocks.whole.written() == position + 1


def test_a_wrong_clock_is_said_and_does_not_end_readiness(clocks: Shop) -> None:
    for system, seconds in ((clocks.behind, BEHIND), (clocks.ahead, AHEAD)):
        for client, name in (
            (system.commands, "command-service"),
            (system.queries, "query-service"),
        ):

            def says(client: Client = client) -> Any:
                reply = client.get("/health/ready")
                assert reply.status == 200
                return reply.json.get("clockDifferenceSeconds")

            assert abs(wait_for(says, f"what {name} says of its clock") - seconds) < 10
            found = metric(client, "storelog_clock_difference_seconds")
            assert abs(found - seconds) < 10
            assert "differs from PostgreSQL's" in " ".join(system.log_lines(name))
        doctor = json.loads(system.cli("doctor", "--json").stdout)
        (found,) = (each for each in doctor["findings"] if each["name"] == "PostgreSQL")
        assert found["state"] == "warning"
        assert f"{abs(seconds) // 10:.0f}" in found["found"]
    assert "clockDifferenceSeconds" not in clocks.whole.commands.get("/health/ready").json
    assert abs(metric(clocks.whole.commands, "storelog_clock_difference_seconds")) < 1


def test_as_of_means_postgresqls_time_to_every_query_service(clocks: Shop) -> None:
    at = format_time(clocks.now())
    path, patience = f"/customers?asOf={at}", {"Prefer": "wait=30"}
    replies = [
        system.queries.get(path, patience) for system in (clocks.behind, clocks.ahead, clocks.whole)
    ]
    assert {(reply.status, reply.raw) for reply in replies} == {(200, replies[0].raw)}
    tomorrow = format_time(clocks.now() + timedelta(days=1))
    for system in (clocks.behind, clocks.ahead, clocks.whole):

        def refuses(system: System = system) -> bool:
            reply = system.queries.get(f"/customers?asOf={tomorrow}", {"Prefer": "wait=1"})
            assert reply.status in (422, 503)
            return reply.status == 422

        wait_for(refuses, "a time in the future to be refused")


def test_the_lag_is_not_hidden_by_a_wrong_clock(clocks: Shop) -> None:
    clocks.whole.signal("projector", signal.SIGSTOP)
    try:
        clocks.whole.new_customer()
        lag = json.loads(clocks.behind.cli("lag", "--json").stdout)
        assert lag["events_behind"] >= 1
        assert 0 < lag["seconds_behind"] < 3_600
    finally:
        clocks.whole.signal("projector", signal.SIGCONT)


def test_the_same_time_gives_the_same_response_before_and_after_a_slow_commit(
    clocks: Shop,
) -> None:
    for statement in _SLOW_COMMIT:
        clocks.whole.sql(statement)
    written = clocks.whole.written()
    asked: list[tuple[str, Any]] = []
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(clocks.behind.commands.post, "/customers", SLOW)
        while not slow.done():
            at = format_time(clocks.now())
            asked += [
                (at, system.queries.get(f"/customers?asOf={at}", {"Prefer": "wait=1"}))
                for system in (clocks.whole, clocks.behind, clocks.ahead)
            ]
        assert slow.result().status == 201
    assert len(asked) > 2
    (event,) = clocks.events(written)
    for at, before in asked:
        after = clocks.whole.queries.get(f"/customers?asOf={at}", {"Prefer": "wait=30"})
        assert after.status == 200
        assert after.position == written + (event["recorded_at"] <= parse_time(at))
        if before.status != 503:
            assert (before.status, before.raw) == (after.status, after.raw)
    clocks.whole.sql("DROP TRIGGER slow_commits ON customers")


def test_a_batch_that_waited_for_the_head_is_stamped_again(clocks: Shop) -> None:
    hold = "SELECT pg_sleep(2), clock_timestamp() AS until FROM log_head FOR UPDATE"
    for system in (clocks.whole, clocks.behind):
        # Beside another that has just written, it would lock the head before it decides.
        for _ in range(2):
            system.new_customer()
            let_contention_pass()
        with ThreadPoolExecutor(2) as pool:
            position = clocks.whole.written()
            held = pool.submit(clocks.whole.sql, hold)
            wait_for(lambda: _is_locked(clocks.whole), "the head to be locked")
            sent = clocks.now()
            reply = pool.submit(system.commands.post, "/customers", ANN).result()
            until = held.result()[0]["until"]
        assert reply.status == 201, reply.raw
        (event,) = clocks.events(position)
        assert sent <= event["occurred_at"] <= event["recorded_at"] <= clocks.now()
        assert event["recorded_at"] >= until - timedelta(seconds=0.5)
        assert metric(system.commands, "storelog_batch_stamps_refused_total") >= 1
    assert clocks.whole.cli("verify").returncode == 0


def _is_locked(system: System) -> bool:
    return not system.sql("SELECT FROM log_head FOR UPDATE SKIP LOCKED")


@pytest.mark.parametrize("column", ["recorded_at", "settled_at"])
def test_a_log_that_is_ahead_of_the_clock_is_gone_on_with_at_its_own_time(
    settings: Settings, column: str
) -> None:
    with System(settings, ("command-service",)) as system:
        system.new_customer()
        system.sql(f"UPDATE log_head SET {column} = date_trunc('day', now()) + interval '9 days'")
        (head,) = system.sql(f"SELECT {column} AS at FROM log_head")
        for _ in range(2):
            system.new_customer()
            assert system.sql("SELECT recorded_at AS at FROM log_head") == [head]
        (last,) = system.sql("SELECT * FROM events WHERE position = 3")
        assert last["recorded_at"] == head["at"]
        assert last["occurred_at"] < head["at"] - timedelta(days=7)
        assert system.commands.get("/health/ready").json["logAheadSeconds"] > 7 * DAY
        assert metric(system.commands, "storelog_log_ahead_seconds") > 7 * DAY
        assert "ahead of PostgreSQL's clock" in " ".join(system.log_lines("command-service"))
        assert "ahead of that clock" in system.cli("doctor").stdout


def test_a_batch_with_another_time_than_the_present_is_rejected(clocks: Shop) -> None:
    clocks.whole.new_customer()
    is_older = "SELECT recorded_at < clock_timestamp() - interval '0.7 s' AS is_so FROM log_head"
    wait_for(lambda: clocks.whole.sql(is_older)[0]["is_so"], "a head that is old enough")
    written = clocks.whole.written()
    functions = ("append_batch", OF_THIS_RELEASE.name)
    for name, interval in product(functions, ("-0.6 s", "1 s", "-1 day", "10 years")):
        with pytest.raises(asyncpg.PostgresError, match="is not the present"):
            clocks.whole.sql(
                f"SELECT {name}(position, hash, clock_timestamp() + $1::text::interval,"
                " ARRAY(SELECT ROW(e.hash, event_id, aggregate_type, aggregate_id, version + 1,"
                "   event_type, schema_version, payload, payload_hash, occurred_at, correlation_id,"
                "   causation_id, caller, traceparent)::new_event"
                "   FROM events e WHERE e.position = h.position),"
                " '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', null) FROM log_head h",
                interval,
            )
    assert clocks.whole.written() == written
