"""A product that a whole batch is about costs one write, however often it was sold."""

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
from storelog.projector.lanes import OwnedLanes
from support.kafka import HostileRelay, read_events
from support.load import place_orders
from support.system import System

SALES = 1_000


class _Updates(CommandListener):
    """Notes each update statement that is sent: its collection and its document's id."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("update", "findAndModify"):
            asked = event.command.get("updates", [{"q": event.command.get("query", {})}])
            collection = event.command[event.command_name]
            self.sent += [(collection, update["q"].get("_id")) for update in asked]

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def test_a_thousand_sales_of_a_product_in_a_batch_are_one_update_of_it(settings: Settings) -> None:
    with System(settings, ("command-service",)) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=5_000)["productId"]
        body = {"customerId": customer, "orderItems": [{"productId": product, "quantity": 2}]}
        statuses, _ = place_orders([system.commands.url], [body] * SALES, 32)
        assert statuses == {201: SALES}
    relay = HostileRelay(settings)
    for outgoing in relay.outgoing:
        relay.send(outgoing)
    relay.flush()
    messages = read_events(settings)
    home = connect(settings)
    updates = _Updates()
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings.mongodb_uri, event_listeners=[updates], retryWrites=False, tz_aware=True
    )
    database = client.get_database(home.name, home.codec_options, write_concern=home.write_concern)
    make_indexes(database)
    lanes = OwnedLanes(database, (0, 1, 2), settings.kafka_topic_prefix)

    def write(some: list[Any]) -> None:
        for message in some:
            lane = lanes.get(message.partition() or 0)
            assert lane is not None
            lane.receive(message, is_watermark=False)
        lanes.collect(3 * len(messages))
        lanes.begin()
        assert lanes.is_written()

    write([message for message in messages if "Sold" not in str(message.topic())])
    updates.sent.clear()
    write([message for message in messages if "Sold" in str(message.topic())])
    assert not lanes.has_next()
    assert updates.sent.count(("products", product)) == 1
    stored = database["products"].find_one({"_id": product})
    assert stored is not None
    assert stored["stock"] == 5_000 - 2 * SALES
    assert database["product_sold"].count_documents({}) == SALES
    assert lanes.drop() is None
    client.close()
    home.client.close()
