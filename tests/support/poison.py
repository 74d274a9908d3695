"""A relay that sends poison in the place of some events."""

import time

from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from storelog.kafka import client_settings
from storelog.relay.record_headers import record_headers
from support.kafka import HostileRelay, Outgoing
from support.system import System, wait_for

Poison = tuple[bytes | None, bytes, dict[str, bytes]]


class PoisonRelay(HostileRelay):
    """Sends the log, with poison in the place of some events.

    `seconds`: how long after it was sent each became a dead letter, by position.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system.settings)
        self._mongo = system.mongo
        self.seconds: dict[int, float] = {}

    def send_with(self, poison: dict[int, Poison]) -> None:
        self._allow_large()
        producer = Producer({**client_settings(self.settings), "message.max.bytes": 20_000_000})
        for outgoing in self.outgoing:
            event = outgoing.event
            if event.position not in poison:
                self.send(outgoing)
                continue
            value, key, other = poison[event.position]
            headers = dict(record_headers(event, event.aggregate, outgoing.lane_previous)) | other
            topic = self.settings.kafka_topic_prefix + event.event_type
            self._wait_for_what_is_before(outgoing)
            producer.produce(
                topic, value, key, partition=outgoing.lane, headers=list(headers.items())
            )
            assert producer.flush(30) == 0
            self._time(event.position)
        self.flush()
        self.announce()

    def _wait_for_what_is_before(self, outgoing: Outgoing) -> None:
        self.flush()
        reached = {"_id": outgoing.lane, "position": outgoing.lane_previous}
        wait_for(lambda: self._mongo.checkpoints.find_one(reached), "all that was sent before")

    def _time(self, position: int) -> None:
        began = time.monotonic()
        letter = {"_id": str(position), "state": "parked"}
        wait_for(lambda: self._mongo.dead_letters.find_one(letter), f"dead letter {position}")
        self.seconds[position] = time.monotonic() - began

    def _allow_large(self) -> None:
        entry = ConfigEntry(
            "max.message.bytes", "20000000", incremental_operation=AlterConfigOpType.SET
        )
        topic = self.settings.kafka_topic_prefix + "OrderCreated"
        wanted = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient(client_settings(self.settings))
        for done in admin.incremental_alter_configs([wanted]).values():
            done.result(30)
