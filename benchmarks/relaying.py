"""How fast does the relay send a backlog? Against a producer alone with the same records."""

import asyncio
import subprocess
import sys
import time

import asyncpg
from confluent_kafka import Producer

from benchmarks.figures import Figure, Report
from benchmarks.shop import open_shop
from benchmarks.stage import Stage, backlog_rate
from storelog.config import Settings
from storelog.event_codec import kafka_value, lane_of_event
from storelog.kafka import client_settings
from storelog.relay import cursor
from storelog.relay.publisher import PRODUCER
from storelog.relay.record_headers import Header, record_headers
from support.embedded import new_settings
from support.system import System, wait_for

SAMPLE = 40_000
WAIT_SECONDS = 300.0
Sent = tuple[str, bytes, bytes, int, list[Header]]


def measure(report: Report, stage: Stage, system: System, events: int) -> None:
    """Fill the log of a new system, and measure the relay on that backlog."""
    open_shop(system)
    write_backlog(system, events)
    total = system.written()
    ceiling = asyncio.run(_producer_alone(system, new_settings(stage.servers)))
    system.start("relay")
    with stage.using(system) as use:
        rate = backlog_rate(lambda: _relayed(system), total, WAIT_SECONDS)
    report.note_use("a backlog is relayed", use.cpu_percent, use.memory_mb)
    what = f"a backlog of {total:,} events, acknowledged"
    of = "/s, a producer alone"
    report.add(Figure("relay", what, rate, "events/s", 30_000, ceiling=ceiling, ceiling_of=of))


def fill_and_relay(system: System, events: int) -> None:
    """Fill the log of a new system, and let the relay send all of it."""
    open_shop(system)
    write_backlog(system, events)
    system.start("relay")
    total = system.written()
    wait_for(lambda: _relayed(system) >= total, "the relay", WAIT_SECONDS)


def write_backlog(system: System, events: int) -> None:
    """Write orders of three lines, four events each, straight through the pipeline."""
    argv = [sys.executable, "-m", "benchmarks.direct", "--orders", str(events // 4)]
    subprocess.run(
        [*argv, "--in-flight", "256"],
        env=system.environment,
        check=True,
        timeout=WAIT_SECONDS,
        capture_output=True,
    )


def _relayed(system: System) -> int:
    return int(system.sql("SELECT position FROM relay_cursor")[0]["position"])


async def _producer_alone(system: System, scratch: Settings) -> float:
    """Return records/s of a producer that only sends what the relay would send."""
    connection = await asyncpg.connect(system.settings.postgres_url)
    events = await cursor.read_after(connection, 2_000, SAMPLE)
    await connection.close()
    records: list[Sent] = [
        (
            scratch.kafka_topic_prefix + event.event_type,
            kafka_value(event.event_type, event.payload),
            event.aggregate.encode(),
            lane_of_event(event.aggregate_type, event.aggregate, event.payload, 3),
            record_headers(event, event.aggregate, 0),
        )
        for event in events
    ]
    return _send_all(scratch, records)


def _send_all(settings: Settings, records: list[Sent]) -> float:
    producer = Producer({**client_settings(settings), **PRODUCER})
    producer.list_topics(timeout=10)
    began = time.monotonic()
    for topic, value, key, lane, headers in records:
        while True:
            try:
                producer.produce(topic, value, key, lane, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0
    return len(records) / (time.monotonic() - began)
