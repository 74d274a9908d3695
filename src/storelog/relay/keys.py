"""Announces the API keys' newest set on `storelog.keys`, for readers without a PostgreSQL account.

Every relay process does this, the standby too: a set is complete and has a version, and readers
keep the newest. The empty set is announced as well, since readers reject every key before they know
a set. A change is announced within a quarter of a second, the newest set again every minute. Each
set is signed, so that another writer to the topic cannot make keys.
Next: projector/keys.py
"""

import asyncio
import time

import structlog
from confluent_kafka import KafkaError, Message, Producer

from storelog import postgres
from storelog.api_keys import KeySet, read_announced
from storelog.config import Settings
from storelog.errors import CannotRun, Unavailable
from storelog.kafka import client_settings, kafka_failure, kafka_reason, keys_topic
from storelog.key_sets import SignedSet, sign_set
from storelog.relay import cursor as cursors
from storelog.relay.publisher import KAFKA_FAILURES

POLL_SECONDS = 0.25
AGAIN_SECONDS = 60.0
SIGNATURE = "signature"
SIGNER = "signer"
SEND_SECONDS = 10.0
MAX_BACK_OFF_SECONDS = 5.0
_log = structlog.get_logger()


class KeyAnnouncer:
    """Runs until it is cancelled; errors of the servers are retried for ever, with back-off."""

    def __init__(self, settings: Settings) -> None:
        if settings.postgres_url is None:
            raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
        self._url = settings.postgres_url
        self._settings = settings
        self._known: KeySet | None = None

    async def key_set(self) -> KeySet:
        """Return the newest set. Raises Unavailable before PostgreSQL has given one."""
        if self._known is None:
            raise Unavailable("PostgreSQL is away or not migrated.")
        return self._known

    async def run(self) -> None:
        """Announce for ever."""
        back_off = POLL_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self._announce_changes()
            except (*postgres.FAILURES, *KAFKA_FAILURES) as error:
                if time.monotonic() - began > MAX_BACK_OFF_SECONDS:
                    back_off = POLL_SECONDS
                _log.warning("keys wait for a server", error=kafka_failure(error), seconds=back_off)
                await asyncio.sleep(back_off)
                back_off = min(2 * back_off, MAX_BACK_OFF_SECONDS)

    async def _announce_changes(self) -> None:
        connection = await cursors.connect(self._url)
        producer = Producer({**client_settings(self._settings), "acks": "all"})
        announced, again_at = None, 0.0
        try:
            while True:
                self._known, secret = await read_announced(connection)
                if self._known != announced or time.monotonic() >= again_at:
                    await asyncio.to_thread(self._send, producer, sign_set(self._known, secret))
                    announced, again_at = self._known, time.monotonic() + AGAIN_SECONDS
                await asyncio.sleep(POLL_SECONDS)
        finally:
            # Not closed gracefully: a server that is away must not hold this up.
            connection.terminate()

    def _send(self, producer: Producer, signed: SignedSet) -> None:
        failures: list[str] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(kafka_reason(error))

        producer.produce(
            keys_topic(self._settings),
            signed.content,
            b"keys",
            partition=0,
            headers=[(SIGNER, signed.known.signer), (SIGNATURE, signed.signature)],
            on_delivery=delivered,
        )
        if producer.flush(SEND_SECONDS) or failures:
            producer.purge()
            raise Unavailable(f"Kafka has not taken the keys: {' '.join(failures)}")
