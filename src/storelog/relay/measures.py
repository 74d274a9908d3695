"""What the relay counts, and what it reads from PostgreSQL for a scrape: how far behind it is.

Next: relay/relay.py
"""

from storelog import postgres
from storelog.web.metrics import SIZES, counter, gauge, histogram

EVENTS = counter("storelog_relay_events_total", "Events that Kafka has acknowledged.").of()
BATCH_EVENTS = histogram(
    "storelog_relay_batch_events", "Events sent to Kafka together.", bounds=SIZES
).of()
PUBLISH = histogram(
    "storelog_relay_publish_seconds", "Seconds until Kafka had acknowledged a whole batch."
).of()
RETRIES = counter(
    "storelog_relay_retries_total", "Times the relay began again because a server was away."
).of()
ACTIVE = gauge("storelog_relay_active", "1 in the one relay that sends, 0 in a standby.").of()
POSITION = gauge("storelog_relay_position", "Kafka holds everything up to this position.").of()
LAG_EVENTS = gauge("storelog_relay_lag_events", "Events in the log that Kafka lacks.").of()
LAG_SECONDS = gauge(
    "storelog_relay_lag_seconds", "Age of the oldest event in the log that Kafka lacks; 0: none."
).of()
# From the start, so that a standby shows 0 and not a missing series.
ACTIVE.set(0)
_BEHIND = """SELECT c.position AS relayed, h.position - c.position AS events,
    (SELECT extract(epoch FROM clock_timestamp() - occurred_at)::float8
     FROM events WHERE position = c.position + 1) AS seconds
    FROM log_head h, relay_cursor c"""


async def measure(postgres_url: str) -> None:
    """Read how far behind the relay is; without PostgreSQL the gauges show nothing."""
    try:
        connection = await postgres.connect(
            postgres_url, timeout=0.9, command_timeout=0.9, is_writing=False
        )
        try:
            row = await connection.fetchrow(_BEHIND)
        finally:
            connection.terminate()
    except postgres.FAILURES:
        row = None
    if row is None:
        for unknown in (POSITION, LAG_EVENTS, LAG_SECONDS):
            unknown.clear()
        return
    POSITION.set(row["relayed"])
    LAG_EVENTS.set(row["events"])
    LAG_SECONDS.set(max(0.0, row["seconds"] or 0.0))
