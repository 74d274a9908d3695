"""A publisher that is thrown away in the middle of a batch leaves no hole behind it in Kafka."""

import asyncio
import threading
import time
from dataclasses import replace
from uuid import uuid4

from storelog.config import Settings
from storelog.envelope import Envelope, utc_now
from storelog.errors import Unavailable
from storelog.relay.publisher import Publisher
from support.kafka import headers_of, read_events

EVENTS = 30_000


def test_no_later_event_is_sent_once_an_earlier_one_was_thrown_away(settings: Settings) -> None:
    now = utc_now()
    first = Envelope(
        1, bytes(32), uuid4(), "customer", 1, 1, "CustomerUpdated", 1, b"{}", now, now, "x"
    )
    events = [replace(first, position=n, version=n) for n in range(1, EVENTS + 1)]
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
    threading.Event().wait(0.15)
    publisher.close()
    sending.join(30)
    assert failures, "it was thrown away too late"
    assert time.monotonic() - began < 10
    found = [int(headers_of(record)["position"]) for record in read_events(settings)]
    assert len(found) < EVENTS
    assert found == list(range(1, len(found) + 1))
