"""Keeps the newest set of API keys in MongoDB, from `storelog.keys`, for the Query Service.

Every projector process does so, in the database that the URI names, whichever read model is active.
It takes only a set that this shop's relay has signed and that is newer than the kept one: a set
that comes late, twice or from elsewhere changes nothing. `storelog migrate` brings the signer's
name; until then no set is taken. The newest records are read again every ANEW_SECONDS, which
recovers from a topic that was created again and from a MongoDB that lost its data.
Next: query_service/http/keys.py
"""

import asyncio
import threading
import time
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from pymongo.errors import PyMongoError

from storelog.api_keys import KeySet
from storelog.config import Settings
from storelog.errors import PoisonRecord, Unavailable
from storelog.kafka import client_settings, kafka_failure, keys_topic
from storelog.key_sets import SignedSet, keep_set, kept_set, prove
from storelog.origin import Origin, read_origin, restore_origin
from storelog.projector.databases.connection import connect

POLL_SECONDS = 0.5
# How soon a set that MongoDB lost is written again. Short, since only this process's memory has it.
LOOK_SECONDS = 1.0
ANEW_SECONDS = 10.0
# More than one, since records that are not this shop's may follow the newest set.
ANEW_RECORDS = 200
OFFSETS_SECONDS = 5.0
MAX_BACK_OFF_SECONDS = 5.0
_log = structlog.get_logger()


class KeyKeeper:
    """Runs in a thread of its own until cancelled; errors of Kafka and MongoDB are retried."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = keys_topic(settings)
        self._home = connect(settings)
        self._origin: Origin | None = None
        self._kept: SignedSet | None = None
        self._is_lost = False
        self._complained_of = -1
        self._stop = threading.Event()

    async def key_set(self) -> KeySet:
        """Return the set that is kept. Raises Unavailable until one was proven."""
        if self._kept is None:
            raise Unavailable("The keys are not known yet.")
        return self._kept.known

    async def run(self) -> None:
        """Keep the newest set until cancelled."""
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
                if self._look():
                    self._follow()
                else:
                    self._stop.wait(LOOK_SECONDS)
                back_off = 0.1
            except (PyMongoError, KafkaException) as error:
                _log.warning("keys wait for a server", error=kafka_failure(error), seconds=back_off)
                self._stop.wait(back_off)
                back_off = min(2 * back_off, MAX_BACK_OFF_SECONDS)
        self._home.client.close()

    def _look(self) -> bool:
        """Read the signer and the kept set; write again what MongoDB has lost.

        Return whether the signer is known.
        """
        there = read_origin(self._home)
        if there is None and self._origin is not None:
            restore_origin(self._home, self._origin)
        origin = self._origin = there or self._origin
        if origin is None:
            self._say_lost()
            return False
        self._is_lost = False
        if self._kept is not None and self._kept.known.signer != origin.signer:
            self._kept = None
        if self._kept is not None:
            keep_set(self._home, self._kept, origin)
        self._kept = kept_set(self._home, origin) or self._kept
        return True

    def _say_lost(self) -> None:
        """Log once that no set is taken, until the signer is known again."""
        if not self._is_lost:
            _log.error(
                "MongoDB does not say whose sets of keys to take, so none is taken:"
                " run `storelog migrate`"
            )
        self._is_lost = True

    def _follow(self) -> None:
        """Keep the newest set, and those after it, for ANEW_SECONDS, with a new consumer.

        A consumer that knew the topic before its broker restarted never reads one that was created
        again under its name (librdkafka, issue 4898), and gets no error. It joins no group: every
        projector reads the one partition for itself.
        """
        own = {"group.id": self._settings.kafka_group_id, "enable.auto.commit": False}
        consumer = Consumer({**client_settings(self._settings), **own, **_FROM_START})
        look_at, over_at = time.monotonic() + LOOK_SECONDS, time.monotonic() + ANEW_SECONDS
        try:
            place = TopicPartition(self._topic, 0)
            low, end = consumer.get_watermark_offsets(place, timeout=OFFSETS_SECONDS)
            start = max(end - ANEW_RECORDS, low, 0)
            consumer.assign([TopicPartition(self._topic, 0, start)])
            while not self._stop.is_set() and time.monotonic() < over_at:
                self._take(consumer.consume(ANEW_RECORDS, POLL_SECONDS))
                if time.monotonic() >= look_at:
                    self._look()
                    look_at = time.monotonic() + LOOK_SECONDS
        finally:
            consumer.close()

    def _take(self, messages: list[Message]) -> None:
        """Keep the newest set among the records, if it is newer than the one that is kept."""
        assert self._origin is not None
        newest = self._kept
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            try:
                signed = read_set(message, self._origin)
            except PoisonRecord as foreign:
                self._complain(message, str(foreign))
                continue
            if newest is None or signed.known.version > newest.known.version:
                newest = signed
        if newest is not None and newest is not self._kept:
            keep_set(self._home, newest, self._origin)
            self._kept = kept_set(self._home, self._origin) or newest

    def _complain(self, message: Message, cause: str) -> None:
        """Log a record that is not taken, once, however often it is read again."""
        offset = message.offset() or 0
        if offset > self._complained_of:
            self._complained_of = offset
            _log.error(
                "a record on the topic of keys is not this shop's: it is not taken",
                offset=offset,
                cause=cause,
            )


def read_set(message: Message, origin: Origin) -> SignedSet:
    """Return the set that a record carries, which the shop's relay signed. Raises PoisonRecord."""
    pairs: Any = message.headers() or []
    headers = dict(pairs)
    if (headers.get("signer") or b"") != origin.signer.encode():
        raise PoisonRecord(
            "it is not signed by this shop's relay (`storelog migrate` brings its signer here)"
        )
    return prove(message.value() or b"", headers.get("signature") or b"", origin)


_FROM_START = {
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 500,
    # The unfinished transaction of another producer would hold up this shop's records.
    "isolation.level": "read_uncommitted",
}
