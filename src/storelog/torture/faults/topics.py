"""Faults of topics: one is deleted, created again empty, and filled by `storelog resend`.

Next: torture/faults/changes.py
"""

import asyncio
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from storelog.kafka import client_settings, event_topics
from storelog.relay.topics import ensure_topics
from storelog.torture.checks.progress import lanes_of
from storelog.torture.faults.servers import has_caught_up, wait_caught_up
from storelog.torture.faults.trial import Trial
from storelog.upkeep.resend import resend

GONE_SECONDS = 30.0
FIRST_TRY_SECONDS = 20.0


def remake_topic(trial: Trial) -> None:
    """Delete a topic under load, create it again, and fill it from the log."""
    settings = trial.rig.settings
    topic = trial.dice.choice(event_topics(settings))
    # First of all: from the deletion on, the topic's order and a relay that ends are expected.
    trial.report.refilled.add(topic)
    admin = AdminClient(client_settings(settings))
    for gone in admin.delete_topics([topic]).values():
        gone.result(GONE_SECONDS)
    trial.wait(0.5, 3)
    _make_again(trial, admin, topic)
    trial.wait(0.5, 3)
    asyncio.run(resend(settings, 1, None, lambda *_: None))
    if not has_caught_up(trial, FIRST_TRY_SECONDS):
        # A consumer may still be at an old offset, beyond the records that it needs in the new
        # topic; records that are sent once more come after that offset.
        asyncio.run(resend(settings, 1, None, lambda *_: None))
    wait_caught_up(trial, f"topic {topic} was made again")


def _make_again(trial: Trial, admin: AdminClient, topic: str) -> None:
    """Create the topic again as soon as the broker has removed the old one."""
    settings, give_up_at = trial.rig.settings, time.monotonic() + GONE_SECONDS
    lanes = lanes_of(settings)
    while True:
        ensure_topics(settings, lanes)
        try:
            if topic in admin.list_topics(timeout=10).topics or time.monotonic() > give_up_at:
                return
        except KafkaException as error:
            trial.report.breach(f"Kafka does not list its topics: {error}")
            return
        trial.stop.wait(0.5)
