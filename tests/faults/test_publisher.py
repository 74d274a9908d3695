"""A publisher that is thrown away in the middle of a batch leaves no hole behind it in Kafka."""

import asyncio
import json
import random
import threading
import time
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException

from storelog.config import Settings
from storelog.envelope import Envelope, utc_now
from storelog.errors import Unavailable
from storelog.kafka import watermark_topic
from storelog.relay.kafka_watch import ends
from storelog.relay.publisher import Publisher
from support.kafka import headers_of, make_topic, read_events, read_topics
from support.system import wait_for

pytestmark = pytest.mark.alone

EVENTS = 30_000
LARGE = 20
MOST_BYTES = 100_000
BATCH_BYTES = 300_000


def test_a_watermark_is_sent_before_its_events_are_acknowledged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a projector makes one batch of has the watermark in it."""
    publisher = Publisher(settings)
    sent: list[str] = []

    class Waits:
        def produce(self, topic: str, *_: object, **__: object) -> None:
            sent.append(topic.removeprefix(settings.kafka_topic_prefix))

        def flush(self, _: float) -> int:
            sent.append("acknowledged")
            return 0

    monkeypatch.setattr(publisher, "_producer", Waits())
    lanes = asyncio.run(publisher.publish([_event()], (0, 0), is_announced=True))
    marks = [watermark_topic(settings).removeprefix(settings.kafka_topic_prefix)] * 2
    assert sent == ["CustomerUpdated", *marks, "acknowledged"]
    assert max(lanes) == 1


def test_no_later_event_is_sent_once_an_earlier_one_was_thrown_away(settings: Settings) -> None:
    events = [replace(_event(), position=n, version=n) for n in range(1, EVENTS + 1)]
    publisher = Publisher(settings)
    failures: list[Exception] = []

    def publish() -> None:
        try:
            asyncio.run(publisher.publish(events, (0, 0, 0)))
        except Unavailable as error:
            failures.append(error)

    sending = threading.Thread(target=publish)
    began = time.monotonic()
    sending.start()
    wait_for(lambda: any(ends(settings).values()), "the first of them to be acknowledged")
    publisher.close()
    sending.join(30)
    assert failures, "it was thrown away too late"
    assert time.monotonic() - began < 10
    found = [int(headers_of(record)["position"]) for record in read_events(settings)]
    assert len(found) < EVENTS
    assert found == list(range(1, len(found) + 1))


def test_no_later_event_is_in_kafka_where_an_earlier_one_of_its_batch_was_rejected(
    settings: Settings,
) -> None:
    """Else the earlier one, which is sent again, would come after it."""
    settings = replace(settings, kafka_topic_prefix=f"{settings.kafka_topic_prefix}small.")
    topic = f"{settings.kafka_topic_prefix}CustomerUpdated"
    make_topic(settings, topic, {"max.message.bytes": str(MOST_BYTES)})
    events = [replace(_event(), position=n, version=n) for n in range(1, 200)]
    # Too large for the topic, and for the batch of the events before it and after it.
    large = json.dumps({"name": random.Random(1).randbytes(BATCH_BYTES).hex()}).encode()
    events[LARGE - 1] = replace(events[LARGE - 1], payload=large)
    publisher = Publisher(settings)
    began = time.monotonic()
    with pytest.raises((Unavailable, KafkaException), match="too large"):
        asyncio.run(publisher.publish(events, (0, 0, 0)))
    assert time.monotonic() - began < 10
    found = [int(headers_of(record)["position"]) for record in read_topics(settings, [topic])]
    assert found == list(range(1, LARGE))
    with pytest.raises((Unavailable, KafkaException)):
        asyncio.run(publisher.publish(events[-1:], (0, 0, 0)))
    publisher.close()


def _event() -> Envelope:
    now = utc_now()
    return Envelope(
        1, bytes(32), uuid4(), "customer", 1, 1, "CustomerUpdated", 1, b"{}", now, now, "x"
    )
