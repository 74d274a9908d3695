"""Checks the settings of topics that Storelog did not make, and tells what each setting means.

A setting that keeps events from being applied is an error; one that only costs something is a
warning. Topics whose settings the account may not read are not checked.
Next: relay/topics.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from storelog.kafka import MAX_RECORD_BYTES

TIMEOUT_SECONDS = 30.0
_UNSAID = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
_HOUR_MS = 3_600_000
Configs = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Errors and warnings; each is a sentence with what to set."""

    errors: Sequence[str]
    warnings: Sequence[str]


def read_configs(admin: AdminClient, topics: Sequence[str]) -> Configs:
    """Return the settings of the topics by their names. Raises KafkaException.

    Leaves out topics whose settings the account may not read, and those still being made.
    """
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    found = {}
    for resource, result in admin.describe_configs(resources).items() if resources else ():
        try:
            entries = result.result(timeout=TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in _UNSAID:
                continue
            raise
        found[resource.name] = {name: str(entry.value) for name, entry in entries.items()}
    return found


def judge(topics: Sequence[str], configs: Configs, known: Any) -> Judgement:
    """Judge the topics of events. `known`: a broker's metadata of all brokers and topics."""
    there = [(topic, configs[topic]) for topic in topics if topic in configs]
    small = [t for t, c in there if int(c.get("max.message.bytes") or 0) < MAX_RECORD_BYTES]
    compacted = [t for t, c in there if "compact" in c.get("cleanup.policy", "")]
    errors = []
    if small:
        errors.append(
            f"topic {small[0]} takes only small records; a large order would never leave the log:"
            f" set max.message.bytes={MAX_RECORD_BYTES} on {', '.join(small)}"
        )
    if compacted:
        errors.append(
            f"topic {compacted[0]} is compacted: Kafka removes all events but the last of each"
            " customer, product or order, even those that no projector has applied: set"
            f" cleanup.policy=delete on {', '.join(compacted)}"
        )
    found = (_short_lived(there), _one_copy(topics, known), _copies(there, known.topics))
    warnings = [text for text in found if text]
    return Judgement(errors, warnings)


def _short_lived(there: Sequence[tuple[str, Mapping[str, str]]]) -> str | None:
    for topic, config in there:
        ms, size = int(config.get("retention.ms") or -1), int(config.get("retention.bytes") or -1)
        if ms < 0 and size < 0:
            continue
        kept = [f"{ms / _HOUR_MS:g} hours"] if ms >= 0 else []
        kept += [f"{size:,} bytes of each partition"] if size >= 0 else []
        return (
            f"topic {topic} keeps only {' and '.join(kept)}: the relay stops when an event is"
            " removed before a projector has applied it, until `storelog resend`; an older MongoDB"
            " needs `storelog rebuild --promote`, which reads the log; `storelog rebuild --from"
            " kafka` does not work (retention.ms=-1 and retention.bytes=-1 keep everything)"
        )
    return None


def _one_copy(topics: Sequence[str], known: Any) -> str | None:
    """With one broker there can be only one copy, so that is no fault."""
    brokers = len(known.brokers)
    alone = [t for t in topics if t in known.topics and _fewest_copies(known.topics[t]) == 1]
    if brokers < 2 or not alone:
        return None
    return (
        f"topic {alone[0]} has one copy on {brokers} brokers: while one broker is away no event of"
        " its partitions leaves the log, and with its disk they are lost, until `storelog resend`:"
        f" give {min(brokers, 3)} copies to {', '.join(alone)} (kafka-reassign-partitions.sh);"
        " STORELOG_KAFKA_REPLICATION_FACTOR is for topics that `storelog migrate` makes"
    )


def _fewest_copies(topic: Any) -> int:
    return min((len(each.replicas) for each in topic.partitions.values()), default=1)


def _copies(there: Sequence[tuple[str, Mapping[str, str]]], known: Mapping[str, Any]) -> str | None:
    for topic, config in there:
        if topic not in known:
            continue
        copies = _fewest_copies(known[topic])
        least = int(config.get("min.insync.replicas") or 1)
        if least > copies:
            return (
                f"topic {topic} has {copies} copies and min.insync.replicas={least}: Kafka accepts"
                " no record at all, so no event leaves the log: lower it, or add copies"
            )
        if copies > 1 and least == copies:
            return (
                f"topic {topic} has {copies} copies and min.insync.replicas={least}: while one"
                f" broker is away no event leaves the log; {copies - 1} lets one be away"
            )
        if copies > 1 and least == 1:
            return (
                f"topic {topic} has {copies} copies and min.insync.replicas=1: what one broker"
                " alone has acknowledged is lost with it, until `storelog resend`; 2 is safer"
            )
    return None
