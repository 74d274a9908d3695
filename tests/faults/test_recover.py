"""A log that lost commits which Kafka and MongoDB have is recovered by one command."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.event_codec import kafka_value
from storelog.projector import dead_letters
from storelog.projector.receive.record import make_record
from storelog.relay import cursor
from storelog.relay.publisher import Publisher
from storelog.relay.record_headers import record_headers
from support import killed
from support.backups import RELAYED, dump, restored, start_without_kafka
from support.embedded import another_postgres
from support.http import Client
from support.system import ANN, CAKE_STAND, System, trade, wait_for

BEFORE_THE_COMMIT = (
    "storelog.upkeep.recover:find_lost@after",
    "storelog.upkeep.recover:append_again@after",
    "storelog.upkeep.recover:_keep@after",
)
AFTER_THE_COMMIT = (
    "storelog.upkeep.recover:_recover_log@after",
    "storelog.upkeep.recover:close_lost@after",
    "storelog.upkeep.recover:end_connections@after",
    "storelog.upkeep.recover:set_up_servers@after",
    "storelog.upkeep.rebuild:freeze@after",
    "storelog.upkeep.rebuild:switch@after",
)
_LOST = "SELECT event_id::text FROM events WHERE position > $1 ORDER BY position"


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a second PostgreSQL cluster, in which there is nothing yet."""
    with another_postgres() as url:
        yield url


@contextmanager
def behind(
    settings: Settings, cluster: str, folder: Path, do: Callable[[System], None]
) -> Iterator[tuple[System, int, list[str]]]:
    """Give a system whose log lacks what `do` has done; of its processes only the reads run.

    Also the position at which its log ends, and the ids of the events that it lacks.
    """
    # Who signs the log's heads has the same key before and afterwards.
    environment = {"STORELOG_DATA_DIR": str(folder)}
    with System(settings, RELAYED, environment) as system:
        trade(system)
        system.wait_projected()
        stop(system, "relay", "projector")
        dump(settings, folder / "older")
        common = system.written()
        for name in ("relay", "projector"):
            system.start(name)
        do(system)
        system.wait_projected()
        lost = [row["event_id"] for row in system.sql(_LOST, common)]
        assert system.cli("verify", "--anchor", str(folder / "anchors")).returncode == 0
    older = restored(settings, cluster, folder / "older", "older")
    with System(older, ("query-service",), environment) as system:
        yield system, common, lost


def stop(system: System, *names: str) -> None:
    for name in names:
        system.signal(name, signal.SIGTERM)
        system.exit_code(name)


def says_so(system: System) -> None:
    """See that a Command Service is alive, and neither is ready nor takes a command."""
    client = Client(system.url("command-service"))
    written = system.written()
    wait_for(lambda: is_alive(client), "the Command Service")
    ready = client.get("/health/ready")
    assert ready.status == 503
    assert "which it had before: run `storelog recover`" in ready.json["detail"]
    refused = client.post("/products", CAKE_STAND)
    assert (refused.status, refused.slug) == (503, "unavailable")
    assert system.written() == written


def is_alive(client: Client) -> bool:
    try:
        return client.get("/health/live").status == 200
    except OSError:
        return False


def send_another_shops(system: System, after: int) -> None:
    """Send events to the same topics as a relay does, but of a log that is not this one."""

    async def send() -> None:
        connection = await cursor.connect(system.settings.postgres_url or "")
        publisher = Publisher(system.settings)
        try:
            events = await cursor.read_after(connection, 0, 4)
            others = [
                replace(
                    each,
                    position=after + number,
                    event_id=uuid4(),
                    hash=bytes([number]) * 32,
                    previous_hash=bytes([number - 1]) * 32,
                )
                for number, each in enumerate(events, 1)
            ]
            lanes = await cursor.lane_ends(connection, after, 3)
            await publisher.publish(others, lanes)
        finally:
            publisher.close()
            connection.terminate()

    asyncio.run(send())


def discard_newest(settings: Settings, system: System) -> None:
    """Let the newest event of a log be one that the read model was told to leave out."""

    async def read() -> Envelope:
        connection = await cursor.connect(settings.postgres_url or "")
        try:
            head, _ = await cursor.read_end(connection)
            assert head is not None
            return head
        finally:
            connection.terminate()

    event = asyncio.run(read())
    topic = f"{settings.kafka_topic_prefix}{event.event_type}"
    value = kafka_value(event.event_type, event.payload)
    headers = list(record_headers(event, event.aggregate, 0))
    record = make_record(topic, 0, 0, event.aggregate, value, headers)
    letter = dead_letters.of_record(record, "made for this test", 0)
    system.mongo.dead_letters.insert_one({**letter, "state": dead_letters.DISCARDED})


def recovered(system: System, report: Path, *more: str) -> dict[str, Any]:
    done = system.cli("recover", "--report", str(report), "--json", *more)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def verified(system: System, anchors: Path) -> dict[str, Any]:
    done = system.cli("verify", "--anchor", str(anchors), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert report["position"] == system.written()
    return report


def names(told: dict[str, Any], common: int, lost: list[str]) -> None:
    """See that a report names each lost event, which was left, and which key is gone."""
    assert told["beganAfter"] == common
    assert [each["eventId"] for each in told["lost"]] == lost
    left = {each["eventType"] for each in told["lost"] if each["newPosition"] is None}
    assert (told["appendedAgain"], told["left"]) == (4, 2)
    assert left == {"OrderCreated", "ProductSold"}
    assert [each["idempotencyKey"] for each in told["lost"]] == [None] * 4 + ["k-1", None]


def anchor_is_closed(system: System, anchors: Path, told: dict[str, Any], position: int) -> None:
    """See that the signed head of a lost event does not fit until `storelog recover` closes it."""
    done = system.cli("verify", "--anchor", str(anchors), "--json")
    assert done.returncode == 1
    assert {each["field"] for each in json.loads(done.stdout)["differences"]} == {"anchor"}
    stop(system, "relay", "projector")
    closed = recovered(system, anchors.with_suffix(".report"), "--anchor", str(anchors))
    assert closed["closedAnchors"] == [position]
    for name in ("relay", "projector"):
        system.start(name)
    (head,) = verified(system, anchors)["closedAnchors"]
    assert (head["history"], head["beganAfter"]) == (told["history"], told["beganAfter"])


def test_recover_appends_what_is_unchanged_names_the_rest_and_all_processes_go_on(
    settings: Settings, cluster: str, tmp_path: Path
) -> None:
    kept: list[int] = []

    def lose(system: System) -> None:
        # An order of another product, one of the product that is changed meanwhile, a customer.
        kept.append(system.new_order(4, (3, 1))["orderId"])
        system.new_order(4, (4, 1))
        lost = ANN | {"name": "Lost And Found"}
        assert system.commands.post("/customers", lost, {"Idempotency-Key": "k-1"}).status == 201
        system.new_customer(name="Left Out")

    with behind(settings, cluster, tmp_path, lose) as (system, common, lost):
        # A service that sees what Kafka has takes no commands; one that cannot see it does.
        system.start("command-service")
        says_so(system)
        stop(system, "command-service")
        start_without_kafka(system, "command-service")
        changed = system.commands.post(
            "/products/4/stock-adjustments", {"delta": 1, "reason": "found"}
        )
        assert changed.status == 200
        system.start("relay")
        assert system.exit_code("relay") == 3
        send_another_shops(system, common)
        discard_newest(settings, system)
        report = tmp_path / "lost.json"
        told = recovered(system, report)
        assert told == json.loads(report.read_text())
        names(told, common, lost)
        # What a service gives out is of the new history, also where it was sent nothing meanwhile.
        page = system.commands.get("/events?limit=1")
        assert page.headers["storelog-history"] == told["history"]
        # The read model before the last promotion is the one that holds what was lost.
        back = system.cli("rebuild", "--rollback")
        assert back.returncode == 3
        assert "of a history that the log has left" in back.stderr
        # Again: there is nothing more to do, and nothing is appended twice.
        written = system.written()
        assert recovered(system, report)["lost"] == []
        assert system.written() == written
        for name in ("relay", "projector"):
            system.start(name)
        order = system.new_order(4, (4, 1))
        system.wait_projected()
        # Kafka has the events of both histories.
        rebuilt = system.cli("rebuild", "--from", "kafka", "--json")
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert json.loads(rebuilt.stdout)["differences"] == []
        anchor_is_closed(system, tmp_path / "anchors", told, common + len(lost))
        assert system.queries.get(f"/orders/{kept[0]}").status == 200
        assert system.queries.get(f"/orders/{order['orderId']}").status == 200
        response = system.queries.get("/customers?q=lost+found")
        assert [each["name"] for each in response.json["items"]] == ["Lost And Found"]
        # It was discarded at its position before, and is left out at its new one.
        assert system.queries.get("/customers?q=left+out").json["items"] == []
        assert verified(system, tmp_path / "anchors")["discarded"] == [common + 5]


def test_recover_that_was_killed_at_any_step_does_what_is_left_when_it_is_run_again(
    settings: Settings, cluster: str, tmp_path: Path
) -> None:
    deleted: list[int] = []

    def lose(system: System) -> None:
        order = system.queries.get("/orders?limit=1").json["items"][0]["orderId"]
        assert system.commands.delete(f"/orders/{order}").status == 204
        deleted.append(order)

    with behind(settings, cluster, tmp_path, lose) as (system, common, lost):
        anchor = ("--anchor", str(tmp_path / "anchors"))

        def kill(step: str) -> None:
            report = str(tmp_path / f"{step}.json")
            killed.kill(system.environment, step, "recover", "--report", report, *anchor)

        for step in BEFORE_THE_COMMIT:
            kill(step)
            assert system.written() == common, step
            assert len(system.sql("SELECT FROM log_histories")) == 1, step
        for step in AFTER_THE_COMMIT:
            kill(step)
            assert [row["event_id"] for row in system.sql(_LOST, common)] == lost, step
            assert len(system.sql("SELECT FROM log_histories")) == 2, step
        # The first that came to its commit has named all, and the head is closed.
        told = json.loads((tmp_path / f"{AFTER_THE_COMMIT[0]}.json").read_text())
        assert [each["eventId"] for each in told["lost"]] == lost
        assert told["left"] == 0
        assert recovered(system, tmp_path / "last", *anchor)["closedAnchors"] == []
        for name in ("command-service", "relay", "projector"):
            system.start(name)
        system.wait_ready("command-service")
        system.new_order(4, (3, 1))
        system.wait_projected()
        assert len(verified(system, tmp_path / "anchors")["closedAnchors"]) == 1
        assert system.queries.get(f"/orders/{deleted[0]}").status == 404
