"""A collection can be sharded by `_id` where each of its writes names one: docs/mongodb.md."""

import re
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from storelog.config import Settings
from storelog.projector.databases.connection import connect, make_indexes
from storelog.projector.databases.kept import COLLECTIONS
from storelog.projector.lanes import OwnedLanes
from support.kafka import HostileRelay, read_events
from support.system import System, trade

PAGE = Path(__file__).parents[2] / "docs" / "mongodb.md"


class _Writes(CommandListener):
    """Notes the filter of each update and deletion, by collection, and what is inserted."""

    def __init__(self) -> None:
        self.filters: list[tuple[str, Any]] = []
        self.written: set[str] = set()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name not in ("insert", "update", "delete", "findAndModify"):
            return
        collection = str(event.command[event.command_name])
        self.written.add(collection)
        for name in ("updates", "deletes"):
            self.filters += [(collection, each["q"]) for each in event.command.get(name, ())]
        if event.command_name == "findAndModify":
            self.filters.append((collection, event.command["query"]))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def by_the_page() -> tuple[set[str], set[str]]:
    """Return the collections that can be sharded, and those that cannot."""
    sharded, others = set[str](), set[str]()
    for names, key in re.findall(r"^\| (`.+`) \| (.+?) \|", PAGE.read_text("utf-8"), re.MULTILINE):
        found = set(re.findall(r"`(\w+)`", names))
        (sharded if "hashed" in key else others).update(found)
    return sharded, others


def test_every_write_of_a_collection_that_can_be_sharded_names_its_id(settings: Settings) -> None:
    with System(settings, ("command-service",)) as system:
        # Long enough for full leaves, blocks and histories.
        for _ in range(12):
            trade(system)
    relay = HostileRelay(settings)
    for outgoing in relay.outgoing:
        relay.send(outgoing)
    relay.flush()
    messages = read_events(settings)
    home, writes = connect(settings), _Writes()
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings.mongodb_uri, event_listeners=[writes], retryWrites=False, tz_aware=True
    )
    database = client.get_database(home.name, home.codec_options, write_concern=home.write_concern)
    make_indexes(database)
    lanes = OwnedLanes(database, (0, 1, 2), settings.kafka_topic_prefix)
    for some in (messages[:200], messages[200:]):
        for message in some:
            lane = lanes.get(message.partition() or 0)
            assert lane is not None
            lane.receive(message, is_watermark=False)
        lanes.collect(3 * len(messages))
        lanes.begin()
        assert lanes.is_written()
    assert not lanes.has_next()
    sharded, others = by_the_page()
    assert sharded | others >= set(COLLECTIONS)
    assert sharded & others == set()
    assert writes.written - others <= sharded
    assert {"orders", "product_sold", "products", "customers", "history"} <= writes.written
    for collection, asked in writes.filters:
        if collection in sharded:
            assert not isinstance(asked.get("_id"), dict | None), (collection, asked)
    client.close()
    home.client.close()
