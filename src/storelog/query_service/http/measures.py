"""What the Query Service reads for a scrape: the position its answers hold.

Next: query_service/positions/reads.py
"""

from pymongo.errors import PyMongoError

from storelog.query_service.positions.reads import Reads
from storelog.web.metrics import gauge

POSITION = gauge(
    "storelog_read_position", "Every answer holds everything up to this position of the log."
).of()
DEAD_LETTERS = gauge(
    "storelog_read_dead_letters",
    "Events that are in no answer: in the dead letters, or behind one.",
).of()


async def measure(reads: Reads) -> None:
    """Read how far the read model is; without MongoDB that is not known."""
    try:
        place = (await reads.view()).place
    except PyMongoError:
        POSITION.clear()
        DEAD_LETTERS.clear()
        return
    POSITION.set(place.position)
    DEAD_LETTERS.set(place.dead_letters)
