"""Servers that come back empty or from an older copy: noticed, reported, repaired by command."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from bson.int64 import Int64
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from storelog.config import Settings
from storelog.errors import HistoryMismatch
from storelog.kafka import client_settings, event_topics
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.projector import Projector
from storelog.projector.receive import log_identity
from storelog.projector.receive.log_identity import LogIdentity
from storelog.relay import kafka_watch
from storelog.relay.topics import ensure_topics
from storelog.server_setup import set_up_servers
from support.backups import RELAYED, dump, restored, start_without_kafka
from support.embedded import EmbeddedServers, another_postgres
from support.http import Client
from support.kafka import delete_topic
from support.projected import verified
from support.system import System, trade, wait_for

_RELAYED = "SELECT c.position = h.position AS is_relayed FROM relay_cursor c, log_head h"


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a second PostgreSQL cluster, in which there is nothing yet."""
    with another_postgres() as url:
        yield url


@pytest.fixture
def unprojected(settings: Settings) -> Iterator[System]:
    """A system with a log that was projected whole, whose projector was then stopped."""
    with System(settings, RELAYED) as system:
        trade(system)
        system.wait_projected()
        system.signal("projector", signal.SIGTERM)
        system.exit_code("projector")
        yield system


def test_a_restored_dump_goes_on_and_an_older_one_is_rejected(
    settings: Settings, cluster: str, tmp_path: Path
) -> None:
    with System(settings, RELAYED) as system:
        trade(system)
        dump(settings, tmp_path / "older")
        before = [system.new_customer()["customerId"] for _ in range(6)]
        system.wait_projected()
        dump(settings, tmp_path / "newest")
        position = system.written()
    newest = restored(settings, cluster, tmp_path / "newest", "newest")
    older = restored(settings, cluster, tmp_path / "older", "older")
    with System(newest, RELAYED) as system:
        assert system.new_customer()["customerId"] > max(before)
        assert system.written() == position + 1
        system.wait_projected()
        assert verified(system)["position"] == position + 1

    # What was written after the dump is in Kafka: the relay does not mix two histories, and nothing
    # is appended once it has said so.
    with System(older, ("projector", "query-service")) as system:
        start_without_kafka(system, "command-service")
        start = system.written()
        for _ in range(position + 1 - start):
            system.new_product()
        system.start("relay")
        assert system.exit_code("relay") == 3
        assert f"Kafka has seen position {position + 1}" in system.log("relay")
        assert "has another event at" in system.log("relay")
        refused = system.commands.post("/products", {"name": "x", "price": 1, "stock": 1})
        assert (refused.status, refused.slug) == (503, "unavailable")
        assert "`storelog recover`" in refused.json["detail"]
        ready = system.commands.get("/health/ready")
        assert ready.status == 503
        assert f"up to {position + 1}" in ready.json["detail"]
        assert system.written() == position + 1
        projector = Client(system.url("projector"))
        wait_for(lambda: projector.get("/health/ready").status == 503, "the projector to say so")
        assert "storelog recover" in projector.get("/health/ready").json["detail"]
        lag = system.cli("lag", "--json")
        assert lag.returncode == 1
        assert "`storelog recover`" in lag.stderr
        assert json.loads(lag.stdout)["is_log_behind"]

    # With other topics but the same MongoDB, the projector finds the mismatch.
    other = replace(older, kafka_topic_prefix=f"x{older.kafka_topic_prefix}")
    asyncio.run(set_up_servers(other))
    with System(other, ()) as system:
        system.start("relay")
        assert system.exit_code("relay") == 3
        assert "its topics are empty" in system.log("relay")
        assert system.cli("resend", "--from", "1").returncode == 0
        system.start("relay")
        system.start("projector")
        assert system.exit_code("projector", 60) == 3
        assert "another event at position" in system.log("projector")


def test_a_relay_that_goes_on_announcing_less_than_was_projected_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(log_identity, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lane = Checkpoint(0, position=100, hash="aa")
    seen = LogIdentity(100)
    seen.end = 50
    seen.check_mark(50, 90, lane)
    now[0] += 29
    seen.check_mark(51, 90, lane)
    seen.check_mark(52, 100, lane)  # The relay had only been slow.
    now[0] += 29
    seen.check_mark(53, 90, lane)
    now[0] += 31
    seen.check_mark(49, 90, lane)  # Read again from the topic's beginning.
    with pytest.raises(HistoryMismatch, match="ends at 90"):
        seen.check_mark(54, 90, lane)


def test_a_projector_that_reads_watermarks_late_takes_no_log_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(log_identity, "time", SimpleNamespace(monotonic=lambda: now[0]))
    seen = LogIdentity(100)
    seen.end = 50
    for late in range(60):
        now[0] += 1
        seen.check_mark(50 + late, 101 + late, Checkpoint(0, position=900 + late, hash="aa"))
    # Now they go back to where they were, and stay there.
    seen.check_mark(110, 120, Checkpoint(0, position=960, hash="aa"))
    now[0] += 31
    with pytest.raises(HistoryMismatch, match="ends at 121"):
        seen.check_mark(111, 121, Checkpoint(0, position=960, hash="aa"))


def test_a_shorter_log_is_noticed_whatever_the_clocks_of_kafka_and_the_projector_say(
    unprojected: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the log had been longer when it was projected.
    more = {name: Int64(1_000) for name in ("position", "safe")}
    unprojected.mongo.checkpoints.update_many({}, {"$inc": more})
    monkeypatch.setattr(log_identity, "BEHIND_SECONDS", 0.5)
    wall_clock = time.time
    monkeypatch.setattr(time, "time", lambda: wall_clock() + 86_400)
    with pytest.raises(HistoryMismatch, match="the relay's log ends at"):
        asyncio.run(asyncio.wait_for(Projector(unprojected.settings).run(), 60))


def empty_topic(settings: Settings, topic: str) -> None:
    places = [TopicPartition(topic, lane, -1) for lane in range(3)]
    admin = AdminClient(client_settings(settings))
    for done in admin.delete_records(places, request_timeout=60).values():
        done.result(90)


def test_events_that_expire_once_they_are_applied_are_no_loss(settings: Settings) -> None:
    with System(settings, RELAYED) as system:
        trade(system)
        system.wait_projected()
        ends = {place: end for place, end in kafka_watch.ends(settings).items() if end}

        def is_committed() -> bool:
            done = kafka_watch.applied(settings)
            events = {p: end for p, end in ends.items() if p[0] in event_topics(settings)}
            return all(done.get(place, 0) >= end for place, end in events.items())

        wait_for(is_committed, "the group's offsets")
        for topic in event_topics(settings):
            empty_topic(settings, topic)
        system.new_order(3, (3, 1))
        system.wait_projected()

        def is_seen() -> bool:
            row = system.sql("SELECT topics FROM relay_cursor")[0]
            sold = json.loads(row["topics"])[f"{settings.kafka_topic_prefix}ProductSold"]
            return any(sold["first"])

        wait_for(is_seen, f"the relay to look; it said {system.log('relay')}", 40)
        system.new_order(3, (3, 1))
        system.wait_projected()
        assert verified(system)["position"] == system.written()


def test_a_mongodb_that_lacks_what_kafka_has_removed_is_told_to_rebuild_from_the_log(
    unprojected: System,
) -> None:
    system = unprojected
    for topic in event_topics(system.settings):
        empty_topic(system.settings, topic)
    system.mongo.client.drop_database(system.mongo.name)
    assert system.cli("migrate").returncode == 0
    system.start("projector")
    system.new_order(3, (3, 1))
    wait_for(lambda: "storelog rebuild --promote" in system.log("projector"), "advice", 60)
    done = system.cli("rebuild", "--promote")
    assert done.returncode == 0, done.stderr
    system.wait_projected()
    assert verified(system)["position"] == system.written()


def test_events_that_expire_before_they_are_applied_are_named_and_sent_again(
    unprojected: System,
) -> None:
    system = unprojected
    system.new_order(3, (3, 1))
    sold = f"{system.settings.kafka_topic_prefix}ProductSold"
    wait_for(lambda: system.sql(_RELAYED)[0]["is_relayed"], "the relay")
    empty_topic(system.settings, sold)
    assert system.exit_code("relay", 90) == 3
    assert f"{sold} were removed before a projector had applied them" in system.log("relay")
    assert system.cli("resend", "--from", "1").returncode == 0
    for name in ("relay", "projector"):
        system.start(name)
    system.wait_projected()
    assert verified(system)["position"] == system.written()


@pytest.mark.parametrize(("hurt", "said"), [(delete_topic, "is gone")], ids=["deleted"])
def test_kafka_that_has_lost_events_is_noticed_and_filled_again(
    settings: Settings, hurt: Callable[[Settings, str], None], said: str
) -> None:
    with System(settings, RELAYED) as system:
        trade(system)
        system.wait_projected()
        hurt(settings, f"{settings.kafka_topic_prefix}ProductSold")
        system.new_order(3, (3, 1))
        assert system.exit_code("relay", 90) == 3
        assert said in system.log("relay")
        assert "storelog resend --from 1" in system.log("relay")
        # Commands go on meanwhile, and the relay stays away until the log is repaired.
        system.new_order(3, (3, 1))
        assert system.cli("resend", "--from", "1").returncode == 0
        system.start("relay")
        # It is given a minute.
        system.wait_projected()
        assert verified(system)["position"] == system.written()


def test_a_topic_made_again_after_its_broker_was_killed_is_read_by_projectors_that_knew_it(
    servers: EmbeddedServers, settings: Settings
) -> None:
    with System(settings, RELAYED) as system:
        trade(system)
        system.wait_projected()
        # Each start of the broker raises the epochs of its topics; a new topic's begin at zero.
        os.kill(servers.pid("kafka"), signal.SIGKILL)
        servers.restart("kafka")
        system.new_order(3, (3, 1))
        system.wait_projected()
        delete_topic(settings, f"{settings.kafka_topic_prefix}ProductSold")
        # At once, so that no process sees the time without it.
        ensure_topics(settings, 3)
        system.new_order(3, (3, 1))
        assert system.exit_code("relay", 90) == 3
        assert "was made again" in system.log("relay")
        assert system.cli("resend", "--from", "1").returncode == 0
        system.start("relay")
        system.new_order(3, (3, 1))
        system.wait_projected()
        assert verified(system)["position"] == system.written()
