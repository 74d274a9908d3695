"""A dead letter is of its event, whatever stands at its place in Kafka."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from storelog.projector import dead_letters
from storelog.projector.fold.left_out import LeftOut
from storelog.projector.receive.foreign import letter_of
from storelog.projector.receive.record import Record

AT = datetime(2026, 1, 2, tzinfo=UTC)
RECORD = Record("t", 3, 17, 9, 4, "", 2, 1, "order-1", "order-1", b"{", [], AT, None, "c")


def test_events_at_one_place_of_a_topic_that_was_made_again_have_a_dead_letter_each() -> None:
    other = replace(RECORD, position=12, aggregate="order-2")
    assert dead_letters.of_record(RECORD, "why", 3)["_id"] == "9"
    assert dead_letters.of_record(other, "why", 3)["_id"] == "12"
    out = LeftOut()
    out.add("order-1", 9, 2)
    assert (out.has("order-1", 9), out.has("order-2", 12)) == (True, False)


def foreign(**changes: Any) -> str:
    """Return the id of the dead letter of a foreign record."""
    facts = {"topic": "t", "partition": 3, "offset": 17, "key": b"k", "value": b"v"}
    facts |= {"headers": [("h", b"x")], "timestamp": (1, 1_700_000_000_000)} | changes
    message: Any = SimpleNamespace(**{name: lambda v=value: v for name, value in facts.items()})
    return str(letter_of(message, "why")["_id"])


def test_a_foreign_record_has_one_dead_letter_and_another_one_at_its_place_has_another() -> None:
    assert foreign() == foreign()
    assert foreign().startswith("t/3/17/")
    others = [
        foreign(timestamp=(1, 1_700_000_000_001)),
        foreign(key=b"kv", value=b""),
        foreign(value=b"w"),
        foreign(value=None, headers=None),
        foreign(headers=[("h", None)]),
    ]
    assert len({foreign(), *others}) == 1 + len(others)
