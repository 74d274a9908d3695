"""Whatever a change of the read side is interrupted at, all goes on within 30 s, by itself."""

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from storelog import change_lock
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.kafka import client_settings, event_topics, watermark_topic
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.databases.connection import connect, pointer_of
from storelog.projector.databases.promotion import freeze, thaw
from storelog.read_side import POINTERS, database_name
from support import killed
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.projected import verified
from support.system import System, trade, wait_for

SETTLED_SECONDS = 30.0
RELAY_AND_LANES = "storelog.upkeep.lanes:_Change._take_the_relays_place@after"
# Taken back: each before the relay's row has moved.
LANES_TAKEN_BACK = (
    "storelog.upkeep.fill:Fill.write@before",
    "storelog.relay.cursor:lead@before",
    RELAY_AND_LANES,
    "storelog.upkeep.lanes:freeze@before",
    "storelog.upkeep.lanes:freeze@after",
    "storelog.upkeep.lanes:add_partitions@after",
    "storelog.relay.cursor:set_lanes@before",
)
LANES_COMPLETED = ("storelog.relay.cursor:set_lanes@after", "storelog.upkeep.lanes:switch@after")


@pytest.fixture(scope="module")
def hurt(servers: EmbeddedServers) -> Iterator[System]:
    """One system for all of these: each leaves it whole."""
    with System(new_settings(servers)) as system:
        trade(system)
        system.wait_projected()
        yield system


def settled(system: System, after: str) -> None:
    """A new order is readable in time; the relay and the projector are ready."""
    order = system.new_order(3, (3, 1))["orderId"]
    wait_for(
        lambda: system.queries.get(f"/orders/{order}").status == 200,
        f"an order after {after}: {system.log('relay')} {system.log('projector')}",
        SETTLED_SECONDS,
    )
    for name in ("relay", "projector"):
        wait_for(lambda name=name: ready(system, name) == 200, name)  # type: ignore[misc]


def ready(system: System, name: str) -> int:
    return Client(system.url(name)).get("/health/ready").status


def lanes_of(system: System) -> tuple[int, int | None]:
    (row,) = system.sql("SELECT cardinality(lanes) AS lanes, lanes_wanted FROM relay_cursor")
    return row["lanes"], row["lanes_wanted"]


def databases(system: System) -> set[str]:
    home = database_name(system.settings)
    return {n for n in system.mongo.client.list_database_names() if n.startswith(f"{home}_r")}


def test_a_change_of_lanes_is_taken_back_at_every_step_before_it_is_decided(hurt: System) -> None:
    lanes, _ = lanes_of(hurt)
    active = hurt.mongo.name
    for step in LANES_TAKEN_BACK:
        killed.kill(hurt.environment, step, "lanes", "set", str(lanes + 1))
        settled(hurt, step)
        assert lanes_of(hurt) == (lanes, None), step
        assert hurt.mongo.name == active, step
    verified(hurt)


def test_a_change_of_lanes_is_completed_at_every_step_after_it_is_decided(hurt: System) -> None:
    for step in LANES_COMPLETED:
        lanes, _ = lanes_of(hurt)
        active = hurt.mongo.name
        killed.kill(hurt.environment, step, "lanes", "set", str(lanes + 1))
        settled(hurt, step)
        assert lanes_of(hurt) == (lanes + 1, None), step
        assert hurt.mongo.name != active, step
    verified(hurt)


def test_a_promotion_is_taken_back_before_its_switch_and_completed_after_it(hurt: System) -> None:
    active = hurt.mongo.name
    killed.kill(hurt.environment, "storelog.upkeep.rebuild:freeze@after", "rebuild", "--promote")
    settled(hurt, "a promotion that had frozen")
    assert hurt.mongo.name == active
    killed.kill(hurt.environment, "storelog.upkeep.rebuild:switch@after", "rebuild", "--promote")
    settled(hurt, "a promotion that had switched")
    promoted = hurt.mongo.name
    assert promoted != active
    wait_for(lambda: databases(hurt) <= {promoted, active}, "older ones to go", SETTLED_SECONDS)
    killed.kill(hurt.environment, "storelog.upkeep.rebuild:freeze@after", "rebuild", "--rollback")
    settled(hurt, "a rollback that had frozen")
    assert hurt.mongo.name == promoted
    killed.kill(hurt.environment, "storelog.upkeep.rebuild:switch@after", "rebuild", "--rollback")
    settled(hurt, "a rollback that had switched")
    assert hurt.mongo.name == active
    verified(hurt)


def test_a_changer_that_lost_its_connection_notices_before_anything_is_decided(
    hurt: System,
) -> None:
    before = lanes_of(hurt)
    step = "storelog.relay.cursor:set_lanes@before"
    changer = killed.start(
        hurt.environment, step, "lanes", "set", str(before[0] + 1), signal_name="SIGSTOP"
    )
    try:
        wait_for(lambda: lanes_of(hurt)[1] is not None and stands_still(hurt), "the change")
        relay, projector = Client(hurt.url("relay")), Client(hurt.url("projector"))
        wait_for(lambda: "change to" in str(relay.get("/health/ready").json), "the relay's reason")
        said = projector.get("/health/ready")
        assert (said.status, "change of lanes" in str(said.json)) == (503, True), said.raw
        hurt.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'storelog rebuild' AND datname = current_database()"
        )
        settled(hurt, "a lost connection")
    finally:
        changer.send_signal(signal.SIGCONT)
        _, said_last = changer.communicate(timeout=60)
    assert changer.returncode == 3, said_last
    assert said_last.startswith("storelog: ") and said_last.count("\n") == 1, said_last
    assert lanes_of(hurt) == before
    settled(hurt, "a changer that came back")
    verified(hurt)


def stands_still(system: System) -> bool:
    return Client(system.url("projector")).get("/health/ready").status == 503


def test_a_second_change_waits_for_the_first_and_then_says_so(hurt: System) -> None:
    async def take_twice() -> None:
        connections = [await asyncpg.connect(hurt.settings.postgres_url) for _ in range(2)]
        try:
            await change_lock.take(connections[0])
            with pytest.raises(CannotRun, match="another change of the read side is under way"):
                await change_lock.take(connections[1], 0.3)
            await connections[0].close()
            await change_lock.take(connections[1])
        finally:
            for connection in connections:
                connection.terminate()

    asyncio.run(take_twice())


def test_checkpoints_that_an_ended_promotion_left_frozen_go_on(hurt: System) -> None:
    hurt.mongo[CHECKPOINTS].update_many({}, {"$set": {"frozen": "of one that has ended"}})
    settled(hurt, "frozen checkpoints")


def test_records_on_partitions_that_a_change_left_move_nothing(hurt: System) -> None:
    lanes, _ = lanes_of(hurt)
    killed.kill(
        hurt.environment,
        "storelog.upkeep.lanes:add_partitions@after",
        "lanes",
        "set",
        str(lanes + 2),
    )
    settled(hurt, "more partitions")
    producer = Producer(client_settings(hurt.settings))
    for partition in (lanes, lanes + 1):
        producer.produce(
            f"{hurt.settings.kafka_topic_prefix}OrderCreated", b"{}", b"x", partition=partition
        )
    assert producer.flush(30) == 0
    settled(hurt, "records on partitions beyond the lanes")
    assert hurt.mongo[CHECKPOINTS].count_documents({}) == lanes
    assert hurt.cli("migrate").returncode == 0
    done = hurt.cli("lanes", "set", str(lanes + 1), "--json")
    assert json.loads(done.stdout)["lanes"] == lanes + 1, done.stderr
    settled(hurt, "fewer lanes than partitions")
    verified(hurt)


def test_partitions_that_only_some_topics_have_are_made_for_all(hurt: System) -> None:
    admin = AdminClient(client_settings(hurt.settings))
    topics = [*event_topics(hurt.settings), watermark_topic(hurt.settings)]

    def counts() -> set[int]:
        known = admin.list_topics(timeout=10).topics
        return {len(known[topic].partitions) for topic in topics}

    more = max(counts()) + 3
    for made in admin.create_partitions([NewPartitions(topics[0], more)]).values():
        made.result(30)
    with System(hurt.settings, ("projector",)):
        hurt.signal("relay", signal.SIGKILL)
        hurt.start("relay")
        wait_for(lambda: counts() == {more}, "as many partitions of all", SETTLED_SECONDS)
        settled(hurt, "partitions of one topic")


def test_a_rebuild_of_state_tables_that_was_killed_changes_nothing_and_leaves_nothing(
    hurt: System,
) -> None:
    hurt.sql("UPDATE products SET name = 'Spoilt' WHERE product_id = 4")
    step = "storelog.upkeep.state_tables:_Tables._switch@after"
    killed.kill(hurt.environment, step, "rebuild", "--state-tables")
    settled(hurt, "state tables")
    assert hurt.sql("SELECT name FROM products WHERE product_id = 4") == [{"name": "Spoilt"}]
    left = "SELECT relname FROM pg_class WHERE relname LIKE '%rebuilt%'"
    wait_for(lambda: hurt.sql(left) == [], "the tables beside to go")
    assert hurt.cli("rebuild", "--state-tables").returncode == 0
    verified(hurt)


def test_what_an_older_version_left_half_done_is_completed_by_migrate(hurt: System) -> None:
    """It moved the pointer first, and then the relay's row."""
    lanes, _ = lanes_of(hurt)
    done = hurt.cli("lanes", "set", str(lanes + 1))
    assert done.returncode == 0, done.stderr
    hurt.signal("relay", signal.SIGKILL)
    hurt.sql(
        "UPDATE relay_cursor SET lanes = lanes[1:cardinality(lanes) - 1], lanes_wanted = $1",
        lanes + 1,
    )
    assert hurt.cli("migrate").returncode == 0
    assert lanes_of(hurt) == (lanes + 1, None)
    hurt.start("relay")
    hurt.wait_ready("relay")
    settled(hurt, "a change that an older version left")
    verified(hurt)
    assert hurt.mongo.client[database_name(hurt.settings)][POINTERS].find_one() is not None


def test_a_promotion_waits_for_the_transaction_of_a_batch_and_does_not_stop_the_server(
    settings: Settings,
) -> None:
    home = connect(settings, answer_seconds=30.0)
    places = home[CHECKPOINTS]
    places.insert_many([{"_id": lane} for lane in range(3)])
    with ThreadPoolExecutor(1) as pool, home.client.start_session() as session:
        with session.start_transaction():
            places.update_one({"_id": 0}, {"$set": {"safe": 1}}, session=session)
            freezing = pool.submit(freeze, home)
            wait_for(lambda: pointer_of(home).promoting is not None, "the promotion")
            places.update_one({"_id": 1}, {"$set": {"safe": 1}}, session=session)
        token = freezing.result(30)
    assert [place["frozen"] for place in places.find({})] == [token] * 3
    thaw(home, token)
    assert places.count_documents({"frozen": None}) == 3
    home.client.close()
