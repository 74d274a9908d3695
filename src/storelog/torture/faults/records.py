"""Faults of records: foreign ones are sent to the log's topics while the load runs.

Next: torture/faults/wires.py
"""

import asyncio
import time
from collections.abc import Iterator

from confluent_kafka import KafkaException, Producer

from storelog.errors import CannotRun
from storelog.kafka import client_settings, event_topics, kafka_failure, watermark_topic
from storelog.lag import read_lag
from storelog.torture.checks.progress import lanes_of
from storelog.torture.checks.topics import FOREIGN_KEY
from storelog.torture.faults.servers import has_caught_up
from storelog.torture.faults.trial import Trial
from storelog.upkeep.dead_letters import dead_letters

ROUNDS = 6
SEND_SECONDS = 30.0
SETTLED_SECONDS = 30.0
RecordHeaders = list[tuple[str, str | bytes | None]]
# No JSON, an existing position of the log, one far beyond it, and a look-alike of a watermark.
RECORDS: tuple[tuple[bytes, RecordHeaders], ...] = (
    (b"\x00\xff", []),
    (b"{}", [("position", "7"), ("hash", "00"), ("lane_previous", "0")]),
    (b"{}", [("position", str(2**62)), ("hash", "ab" * 32), ("lane_previous", "0")]),
    (b'{"position": 999999999, "hash": "00", "recordedAt": null, "lanes": [1, 1, 1]}', []),
)


def send_foreign(trial: Trial) -> None:
    """Send foreign records, also in transactions: they change nothing and are counted apart."""
    settings = trial.rig.settings
    before = asyncio.run(read_lag(settings)).foreign
    sent = 0
    for number in range(ROUNDS):
        sent += _send(trial, in_transaction=number % 2 == 1)
        trial.wait(0.1, 0.5)
    if not has_caught_up(trial, SETTLED_SECONDS):
        trial.report.breach(f"foreign records: after {SETTLED_SECONDS:.0f} s nothing is readable")
    give_up_at = time.monotonic() + SETTLED_SECONDS
    while (found := asyncio.run(read_lag(settings)).foreign - before) < sent:
        if time.monotonic() > give_up_at:
            trial.report.breach(f"foreign records: {sent} were sent, {found} are counted apart")
            break
        trial.stop.wait(0.25)
    with dead_letters(settings) as letters:
        letters.discard_foreign()


def _send(trial: Trial, *, in_transaction: bool) -> int:
    """Send one record to each topic; return how many were sent. Raises CannotRun."""
    named = {"transactional.id": f"torture-{trial.dice.random()}"} if in_transaction else {}
    producer = Producer({**client_settings(trial.rig.settings), **named})
    sent = 0
    try:
        if in_transaction:
            producer.init_transactions(SEND_SECONDS)
            producer.begin_transaction()
        for topic, partition, value, headers in _drawn(trial):
            producer.produce(topic, value, FOREIGN_KEY, partition=partition, headers=headers)
            sent += 1
        if in_transaction:
            producer.commit_transaction(SEND_SECONDS)
    except KafkaException as error:
        raise CannotRun(f"foreign records: {kafka_failure(error)}") from error
    if producer.flush(SEND_SECONDS):
        raise CannotRun("foreign records: Kafka did not accept them in time")
    return sent


def _drawn(trial: Trial) -> Iterator[tuple[str, int, bytes, RecordHeaders]]:
    settings = trial.rig.settings
    lanes = lanes_of(settings)
    for topic in (*event_topics(settings), watermark_topic(settings)):
        value, headers = trial.dice.choice(RECORDS)
        yield topic, trial.dice.randrange(lanes), value, headers
