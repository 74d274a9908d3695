"""That the log lacks what Kafka has: known to a projector that was started again, and forgotten."""

from collections import defaultdict
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from storelog.envelope import BEHIND, ChainedEvent
from storelog.log_history import LogHistory
from storelog.projector.batch import Batch
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.receive.lane import Lane
from storelog.relay.marks import log_is_behind, watermark

HISTORY = LogHistory("1e6f3a52-5f6e-4a06-8ad3-0a8b2c7d9e10")
AT = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "storelog.watermarks"


def event(position: int) -> ChainedEvent:
    number = UUID(int=position)
    facts = (number, "product", position, 1, "ProductCreated", 1, b"{}", AT, AT, "c")
    return ChainedEvent(position, bytes([position]) * 32, *facts, previous_hash=bytes(32))


def message(value: bytes, offset: int, key: str = "watermark") -> Any:
    said = {"topic": TOPIC, "offset": offset, "key": key.encode(), "value": value}
    return SimpleNamespace(**{name: lambda kept=kept: kept for name, kept in said.items()})


def loaded(checkpoint: Checkpoint) -> Lane:
    return Lane(defaultdict(lambda: None), checkpoint, None, {})  # type: ignore[arg-type]


def saved(lane: Lane) -> Checkpoint:
    """Return the checkpoint that the lane's next batch writes."""
    batch = Batch()
    lane.close(batch)
    return batch.checkpoints[lane.number]


def test_a_projector_that_is_started_again_hears_again_that_the_log_lacks_events() -> None:
    head = event(10)
    place = Checkpoint(0, 10, head.hash.hex(), 8, lanes=1)
    mark = message(watermark(head, 10, [10], AT, None, HISTORY), 4)
    behind = message(log_is_behind(event(7), 10, HISTORY), 5, BEHIND)
    lane = loaded(place)
    for each in (mark, behind):
        lane.receive(each, is_watermark=True)
    assert lane.standing.trouble is not None
    written = saved(lane)
    assert (written.safe, written.offsets) == (10, {TOPIC: 5})
    again = loaded(written)
    assert again.standing.trouble is None
    again.receive(behind, is_watermark=True)
    assert again.standing.trouble == lane.standing.trouble
    # A relay sends a watermark only where the log has all that Kafka has.
    again.receive(message(watermark(event(11), 11, [10], AT, None, HISTORY), 6), is_watermark=True)
    assert again.standing.trouble is None
    assert saved(again).offsets == {TOPIC: 7}
