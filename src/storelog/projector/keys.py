"""Keeps the newest set of API keys in MongoDB, from `storelog.keys`, for the Query Service.

Every projector process does so, in the database that the URI names, whichever read model is the
active one. Taken is only a set that this shop's relay has signed and that is newer than the one
there: what comes late, twice or from somebody else changes nothing. The newest records are read
again every ANEW_SECONDS, which restores what became of the topic or of MongoDB.
Next: query_service/keys.py
"""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from storelog.api_keys import COLLECTION, DOCUMENT_ID, KeySet, from_facts, to_facts
from storelog.config import Settings
from storelog.errors import PoisonRecord, Unavailable
from storelog.kafka import client_settings, kafka_failure, keys_topic
from storelog.origin import Origin, is_signed, keep_origin, read_origin
from storelog.projector.database import connect

POLL_SECONDS = 0.5
ANEW_SECONDS = 10.0
# Behind the newest set there may be records of others.
ANEW_RECORDS = 200
OFFSETS_SECONDS = 5.0
MAX_BACK_OFF_SECONDS = 5.0
_log = structlog.get_logger()


class KeyKeeper:
    """Runs in a thread of its own until it is cancelled; errors of the servers are retried."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = keys_topic(settings)
        self._home = connect(settings)
        self._origin: Origin | None = None
        self._known: KeySet | None = None
        self._complained_of = -1
        self._stop = threading.Event()

    async def key_set(self) -> KeySet:
        """Return the set that is kept. Raises Unavailable before MongoDB was read."""
        if self._known is None:
            raise Unavailable("MongoDB is away or too busy.")
        return self._known

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
                self._look()
                self._follow()
                back_off = 0.1
            except (PyMongoError, KafkaException) as error:
                _log.warning("keys wait for a server", error=kafka_failure(error), seconds=back_off)
                self._stop.wait(back_off)
                back_off = min(2 * back_off, MAX_BACK_OFF_SECONDS)
        self._home.client.close()

    def _look(self) -> None:
        """Read whose sets are taken, and the one that is kept; bring back what MongoDB has lost."""
        there = read_origin(self._home)
        if there is None and self._origin is not None:
            keep_origin(self._home, self._origin)
        self._origin = there or self._origin
        kept = kept_set(self._home)
        if self._known is not None and kept.version < self._known.version:
            keep_set(self._home, self._known)
        else:
            self._known = kept

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
            low, end = consumer.get_watermark_offsets(place, timeout=OFFSETS_SECONDS)
            start = max(end - ANEW_RECORDS, low, 0)
            consumer.assign([TopicPartition(self._topic, 0, start)])
            while not self._stop.is_set() and time.monotonic() < over_at:
                self._take(consumer.consume(ANEW_RECORDS, POLL_SECONDS))
        finally:
            consumer.close()

    def _take(self, messages: list[Message]) -> None:
        """Keep the newest set among the records, if it is newer than the one that is kept."""
        newest = self._known or KeySet()
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            try:
                known, signer = read_set(message, self._origin)
            except PoisonRecord as foreign:
                self._complain(message, str(foreign))
                continue
            if self._origin is None:
                self._origin = Origin(signer)
                keep_origin(self._home, self._origin)
            if known.version > newest.version:
                newest = known
        if newest is not self._known and keep_set(self._home, newest):
            self._known = newest

    def _complain(self, message: Message, cause: str) -> None:
        """Say of a record once that the set which holds stays, however often it is read again."""
        offset = message.offset() or 0
        if offset > self._complained_of:
            self._complained_of = offset
            _log.error(
                "a record on the topic of keys is not this shop's: it is not taken",
                offset=offset,
                cause=cause,
            )


def read_set(message: Message, origin: Origin | None) -> tuple[KeySet, str]:
    """Return the set that a record carries and who signed it. Raises PoisonRecord."""
    pairs: Any = message.headers() or []
    headers, content = dict(pairs), message.value() or b""
    signer, signature = headers.get("signer") or b"", headers.get("signature") or b""
    name = signer.decode("ascii", "replace")
    if origin is not None and name != origin.signer:
        raise PoisonRecord(
            "it is not signed by this shop's relay (`storelog migrate` brings its signer here)"
        )
    if not is_signed(name, signature, content):
        raise PoisonRecord("its signature is not the content's")
    try:
        return from_facts(msgspec.json.decode(content)), name
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoisonRecord(f"it is no set of keys: {error!r}") from error


def kept_set(home: Database[dict[str, Any]]) -> KeySet:
    """Return the set that is kept; none was ever made where there is none. Raises PyMongoError."""
    return _as_set(home[COLLECTION].find_one({"_id": DOCUMENT_ID}))


def _as_set(found: Mapping[str, Any] | None) -> KeySet:
    """Return what a document says; one that is damaged says nothing, and gives way to any set."""
    try:
        return KeySet() if found is None else from_facts(found)
    except (KeyError, TypeError, ValueError):
        return KeySet()


def keep_set(home: Database[dict[str, Any]], known: KeySet) -> bool:
    """Keep a set that is newer than the one there; tell whether it was. Raises PyMongoError.

    Of two projectors that keep two sets at once, the one with the newer set wins.
    """
    document = {"_id": DOCUMENT_ID, **to_facts(known)}
    while True:
        found = home[COLLECTION].find_one({"_id": DOCUMENT_ID})
        if found is None:
            try:
                home[COLLECTION].insert_one(document)
            except DuplicateKeyError:
                continue
            return True
        # The sets of earlier relays have no version.
        if _as_set(found).version >= known.version:
            return False
        as_found = {"_id": DOCUMENT_ID, "version": found.get("version")}
        if home[COLLECTION].replace_one(as_found, document).matched_count:
            return True


_FROM_START = {
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 500,
    # Somebody else's unfinished transaction would hold up what is ours.
    "isolation.level": "read_uncommitted",
}
