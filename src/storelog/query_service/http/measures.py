"""The Query Service's metrics: the position of its responses, read from MongoDB on a scrape.

Next: query_service/positions/reads.py
"""

from pymongo.errors import PyMongoError

from storelog.query_service.positions.reads import Reads
from storelog.web.metrics import gauge

POSITION = gauge(
    "storelog_read_position", "Every response includes all events up to this position of the log."
).of()
DEAD_LETTERS = gauge(
    "storelog_read_dead_letters",
    "Events that no response includes: they are dead letters or wait behind one.",
).of()


async def measure(reads: Reads) -> None:
    """Read the position of the read model; without MongoDB both metrics are absent."""
    try:
        place = (await reads.view()).place
    except PyMongoError:
        POSITION.clear()
        DEAD_LETTERS.clear()
        return
    POSITION.set(place.position)
    DEAD_LETTERS.set(place.dead_letters)
