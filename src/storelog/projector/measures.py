"""The projector's metrics: what it counts and how far its lanes lag, read from memory on a scrape.

Next: projector/projector.py
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from storelog import tracing
from storelog.envelope import parse_time
from storelog.projector.receive.record import Record, header_of
from storelog.watermark import Watermark
from storelog.web.clock import LogClock, LogTimes
from storelog.web.metrics import SIZES, counter, gauge, histogram

if TYPE_CHECKING:
    from storelog.projector.receive.lane import Lane

EVENTS = counter("storelog_projector_events_total", "Events folded into MongoDB.").of()
BATCH_EVENTS = histogram(
    "storelog_projector_batch_events",
    "Events folded and written together.",
    bounds=SIZES,
).of()
WRITE = histogram(
    "storelog_projector_write_seconds", "Seconds until MongoDB had acknowledged a batch."
).of()
RETRIES = counter(
    "storelog_projector_retries_total", "Times the projector began again: a server was away."
).of()
READY = gauge("storelog_projector_ready", "1 while the lanes are loaded and MongoDB works.").of()
POSITION = gauge(
    "storelog_projector_position", "The lane's last event that MongoDB holds.", ("lane",)
)
SAFE_POSITION = gauge(
    "storelog_projector_safe_position",
    "MongoDB holds the lane's share of everything up to this position.",
    ("lane",),
)
DEAD_LETTERS = gauge(
    "storelog_projector_dead_letters",
    "The lane's events that could not be projected, or wait behind one that could not.",
    ("lane",),
)
WAITING = gauge(
    "storelog_projector_waiting_records",
    "Records in memory that wait for an earlier one of their lane.",
    ("lane",),
)
LAG_EVENTS = gauge(
    "storelog_projector_lag_events",
    "Positions from the lane's safe one to the newest the relay has announced.",
    ("lane",),
)
LAG_SECONDS = gauge(
    "storelog_projector_lag_seconds",
    "Age of the oldest announced position that the lane has not reached; 0: none.",
    ("lane",),
)
# Times in the log are PostgreSQL's, which may be ahead of this machine's; these two allow for that.
TIMES, CLOCK = LogTimes(), LogClock()
_MONGODB = {"db.system.name": "mongodb"}
_BY_LANE = (POSITION, SAFE_POSITION, DEAD_LETTERS, WAITING, LAG_EVENTS, LAG_SECONDS)


def trace_records(records: Sequence[Record], began_ns: int, written_ns: int) -> None:
    """Add to each traced event's trace its projection, with the write to MongoDB below it."""
    spans = tracing.BatchSpans("consumer", began_ns)
    attributes = {"storelog.batch.events": len(records)}
    for record in records:
        span = spans.begin(f"project {record.topic}", traceparent_of(record), attributes)
        if span is not None:
            write = tracing.begin(
                "write to MongoDB", "client", span.traceparent, _MONGODB, at_ns=began_ns
            )
            write.end(at_ns=written_ns)
    spans.end()


def traceparent_of(record: Record) -> str | None:
    """Return the trace that the record belongs to, None where its header is missing or invalid."""
    text = header_of(record, "traceparent") or ""
    return text if tracing.is_traceparent(text) else None


def saw(mark: Watermark, *, is_new: bool) -> None:
    """Take in the times of a watermark: the log's, and that of PostgreSQL's clock if it is new.

    An old watermark says nothing of the clock: it was sent at an unknown time before it was read.
    """
    if mark.recordedAt is not None:
        TIMES.saw(parse_time(mark.recordedAt))
    if mark.readAt is not None:
        TIMES.saw(parse_time(mark.readAt))
        if is_new:
            CLOCK.saw(parse_time(mark.readAt))


def measure(lanes: "Iterable[Lane]", *, is_ready: bool) -> None:
    """Set the metrics of the lanes that this process owns now, and drop those of all others."""
    READY.set(is_ready)
    for family in _BY_LANE:
        family.forget()
    for lane in lanes:
        name, checkpoint, announced = str(lane.number), lane.checkpoint, lane.announced
        POSITION.of(name).set(checkpoint.position)
        SAFE_POSITION.of(name).set(checkpoint.safe)
        DEAD_LETTERS.of(name).set(checkpoint.dead_letters)
        WAITING.of(name).set(lane.merge.number_waiting())
        LAG_EVENTS.of(name).set(0 if announced is None else announced.newest - checkpoint.safe)
        seconds = 0.0
        if announced is not None and announced.oldest_recorded_at is not None:
            seconds = TIMES.age(parse_time(announced.oldest_recorded_at))
        LAG_SECONDS.of(name).set(seconds)
