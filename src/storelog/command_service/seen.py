"""What Kafka has seen of the log, read by a service that was just started.

It has given out nothing yet, and no relay may have looked since PostgreSQL has failed over. Takes
at most WITHIN_SECONDS, and asks Kafka for nothing afterwards: without it the service works as ever.
Next: command_service/given.py
"""

import asyncio
from typing import TYPE_CHECKING

import structlog

from storelog.config import Settings

if TYPE_CHECKING:
    from storelog.seen_marks import SeenMark

WITHIN_SECONDS, REQUEST_SECONDS = 2.5, 1.0
_log = structlog.get_logger()


async def seen_in_kafka(settings: Settings) -> "list[SeenMark]":
    """Return the newest places of the log that Kafka has seen; none where it does not say in time.

    Before the start of the service's work: it reads with a client of its own, which is closed.
    """
    if settings.kafka_bootstrap_servers is None:
        return []
    reading = asyncio.create_task(asyncio.to_thread(_read, settings))
    await asyncio.wait({reading}, timeout=WITHIN_SECONDS)
    if reading.done():
        return reading.result()
    _log.warning("the log was not compared with Kafka, which does not respond in time")
    return []


def _read(settings: Settings) -> "list[SeenMark]":
    # Only here, once: the service needs no Kafka.
    from confluent_kafka import KafkaException

    from storelog.kafka import kafka_failure
    from storelog.seen_marks import newest_watermarks

    try:
        return newest_watermarks(settings, REQUEST_SECONDS)
    except KafkaException as error:
        _log.warning("the log was not compared with Kafka", error=kafka_failure(error))
        return []
