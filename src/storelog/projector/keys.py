"""Keeps the newest set of API keys in MongoDB, from `storelog.keys`, for the Query Service.

Every projector process does so, in the database that the URI names, whichever read model is the
active one. A set is whole: the last one written is what holds, and a repeat changes nothing. The
newest is taken again every ANEW_SECONDS, which mends what became of the topic or of MongoDB.
Next: query_service/keys.py
"""

import asyncio
import threading
import time

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from pymongo.errors import PyMongoError

from storelog.api_keys import COLLECTION, DOCUMENT_ID, from_facts, to_facts
from storelog.config import Settings
from storelog.kafka import client_settings, keys_topic
from storelog.projector.database import connect

POLL_SECONDS = 0.5
ANEW_SECONDS = 10.0
OFFSETS_SECONDS = 5.0
MAX_BACK_OFF_SECONDS = 5.0
_log = structlog.get_logger()


class KeyKeeper:
    """Runs in a thread of its own until it is cancelled; errors of the servers are retried."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = keys_topic(settings)
        self._collection = connect(settings)[COLLECTION]
        self._stop = threading.Event()

    async def run(self) -> None:
        """Keep the newest set for ever."""
        work = asyncio.create_task(asyncio.to_thread(self._work))
        try:
            await asyncio.shield(work)
        finally:
            self._stop.set()
            await asyncio.wait([work])

    def _work(self) -> None:
        back_off = 0.1
        while not self._stop.is_set():
            try:
                self._follow()
                back_off = 0.1
            except (PyMongoError, KafkaException) as error:
                _log.warning("keys wait for a server", error=str(error), seconds=back_off)
                self._stop.wait(back_off)
                back_off = min(2 * back_off, MAX_BACK_OFF_SECONDS)
        self._collection.database.client.close()

    def _follow(self) -> None:
        """Keep the newest set, and what comes after it, for ANEW_SECONDS; with a new consumer.

        One that knew the topic from before a restart of its broker never reads a topic that was
        made again under its name (librdkafka, issue 4898), and is told by no error. It joins no
        group: every projector reads the one partition for itself.
        """
        own = {"group.id": self._settings.kafka_group_id, "enable.auto.commit": False}
        consumer = Consumer({**client_settings(self._settings), **own, **_FROM_START})
        over_at = time.monotonic() + ANEW_SECONDS
        try:
            place = TopicPartition(self._topic, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=OFFSETS_SECONDS)
            consumer.assign([TopicPartition(self._topic, 0, max(end - 1, 0))])
            while not self._stop.is_set() and time.monotonic() < over_at:
                for message in consumer.consume(100, POLL_SECONDS)[-1:]:
                    self._keep(message)
        finally:
            consumer.close()

    def _keep(self, message: Message) -> None:
        if (error := message.error()) is not None:
            raise KafkaException(error)
        try:
            known = from_facts(msgspec.json.decode(message.value() or b""))
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            # Whatever it is, it is no set of keys: the one that holds stays.
            _log.error("a record on the topic of keys is none", error=str(error))
            return
        document = {"_id": DOCUMENT_ID, **to_facts(known)}
        self._collection.replace_one({"_id": DOCUMENT_ID}, document, upsert=True)


_FROM_START = {"auto.offset.reset": "earliest", "fetch.wait.max.ms": 500}
