"""How many events were recorded lately, as far as the read model has them.

Next: console/operations.py
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from storelog.console.query_side import QuerySide
from storelog.envelope import format_time, utc_now
from storelog.errors import InvalidFields, Unavailable
from storelog.web.http import Request

WINDOWS = {"minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """The events of the last minute, hour or day; None where the read side is too far behind."""

    window: str
    events: int | None
    per_second: float | None


async def rates(query: QuerySide, page: Request, position: int) -> list[Rate]:
    """Return the rate of each window; `position`: up to where the read model is complete now.

    Positions have no gaps, so two of them tell how many events lie between.
    """
    before = await asyncio.gather(
        *(_position(query, page, seconds) for seconds in WINDOWS.values())
    )
    # A read model that was behind may have come further since `position` was read.
    return [
        Rate(window, None, None)
        if then is None or then > position
        else Rate(window, position - then, (position - then) / seconds)
        for (window, seconds), then in zip(WINDOWS.items(), before, strict=True)
    ]


async def _position(query: QuerySide, page: Request, seconds: int) -> int | None:
    """Return the position that the log had so long ago, 0 before its first event."""
    then = format_time(utc_now() - timedelta(seconds=seconds))
    try:
        # Any read as of a time names the position that it stands for; this one reads little else.
        return (await query.get(page, "/customers", {"limit": "1", "asOf": then})).position
    except InvalidFields as error:
        # The clock here may be so far ahead of PostgreSQL's that the time is still to come.
        is_future = any("future" in each["detail"] for each in error.facts["errors"])
        return None if is_future else 0
    except Unavailable:
        return None
