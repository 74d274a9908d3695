"""Files of signed heads: what is damaged in one is named, and what was lost is closed."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from storelog.log_history import LogHistory
from storelog.origin import Origin
from storelog.upkeep import closed_anchors, lost_events
from storelog.upkeep.closed_anchors import close_lost
from storelog.verify.anchor import open_anchor
from storelog.verify.report import Report


def test_a_signature_that_is_no_signature_at_all_is_named(tmp_path: Path) -> None:
    path = tmp_path / "anchor"
    open_anchor(path, tmp_path).add(3, bytes(32))
    signature = open_anchor(path, tmp_path).heads[3].signature
    path.write_text(path.read_text().replace(signature, "\u00e9"), encoding="utf-8")
    report = Report()
    open_anchor(path, tmp_path).check_signatures(report)
    found = [(each["id"], each["field"], each["found"]) for each in report.differences]
    assert found == [(3, "anchor", "\u00e9")]


def message(position: int, event_hash: str) -> Any:
    """A record of the relay's, of before it named histories and proofs."""
    headers = {
        "position": str(position), "lane_previous": "0", "aggregate_version": "1",
        "schema_version": "1", "hash": event_hash, "correlation_id": "c",
        "recorded_at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    facts = {"topic": "t", "partition": 0, "offset": position, "key": b"order-1", "value": b"{}"}
    facts |= {"headers": [(name, text.encode()) for name, text in headers.items()], "error": None}
    return SimpleNamespace(**{name: lambda v=value: v for name, value in facts.items()})


def test_only_the_events_of_heads_that_are_gone_are_kept_while_kafka_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_events, "MAX_LOST", 2)
    gone = "ab" * 32

    class Kafka:
        """A topic with the lost event, and many more of the history after it."""

        def __init__(self, _: Any) -> None:
            end = SimpleNamespace(
                error=lambda: SimpleNamespace(code=lambda: KafkaError._PARTITION_EOF),
                topic=lambda: "t",
                partition=lambda: 0,
            )
            lost, others = message(3, gone), (message(at, "cd" * 32) for at in range(3, 99))
            self._messages = [lost, *others, end]

        def list_topics(self, timeout: float) -> Any:
            return SimpleNamespace(topics={"t": SimpleNamespace(partitions={0: timeout})})

        def consume(self, *_: Any) -> list[Any]:
            return self._messages

        def assign(self, _: Any) -> None:
            pass

        def close(self) -> None:
            pass

    async def hash_at(*_: Any) -> bytes:
        return bytes(32)

    async def read_origin(_: Any) -> Origin:
        return Origin("", None, [LogHistory("one"), LogHistory("two", 2, 2)])

    monkeypatch.setattr(lost_events, "Consumer", Kafka)
    monkeypatch.setattr(lost_events, "client_settings", lambda _: {})
    monkeypatch.setattr(lost_events, "event_topics", lambda _: ["t"])
    monkeypatch.setattr(closed_anchors, "hash_at", hash_at)
    monkeypatch.setattr(closed_anchors, "read_origin", read_origin)
    anchor = open_anchor(tmp_path / "anchor", tmp_path)
    anchor.add(3, bytes.fromhex(gone))
    connection: Any = None
    settings: Any = SimpleNamespace(kafka_group_id="storelog")
    assert asyncio.run(close_lost(connection, settings, anchor)) == [3]
