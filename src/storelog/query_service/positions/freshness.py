"""Opens a request's view, as fresh as the request wants: `Storelog-Wait-For`, `Prefer: wait=`.

With `asOf` the view is of that moment.

Guarantees that a read that waits for N includes all events up to N. Otherwise it is a 503 with the
reason: the read model is behind, or lacks a dead letter at or below N that the read would show.
Next: query_service/positions/reads.py
"""

import asyncio
import re
from typing import Any

from storelog.errors import Malformed, NotCaughtUp, OtherHistory
from storelog.log_history import HEADER, ID
from storelog.query_service.positions.asof import view_as_of
from storelog.query_service.positions.reads import Reads
from storelog.query_service.positions.view import View
from storelog.web.http import Request

DEFAULT_WAIT_SECONDS = 2
MAX_WAIT_SECONDS = 30
_POSITION = re.compile(r"\d{1,19}", re.ASCII)
# Possessive quantifiers: with backtracking, 60 KB of spaces would take a minute.
_WAIT = re.compile(r'\s*+wait\s*+=\s*+"?+([^";,\s]*+)"?+\s*+', re.ASCII | re.IGNORECASE)
_HELD_UP = {"state": {"$in": ["parked", "waiting"]}}


async def open_view(reads: Reads, request: Request, aggregate: str | None = None) -> View:
    """Return a view with the position that the request waits for; at once if it names none.

    `aggregate`: the only aggregate (`product-5`) that is read, None for lists and totals, in which
    any may be missing. Raises NotCaughtUp, OtherHistory, Malformed, Unavailable, PyMongoError.
    """
    now = asyncio.get_running_loop().time
    position, seconds = _wanted(request)
    give_up_at = now() + seconds
    history = wanted_history(request)
    view = await _present(reads, position, seconds, aggregate, history)
    as_of = request.query.get("asOf")
    if as_of is None:
        return view
    return await view_as_of(reads, view, as_of, max(give_up_at - now(), 0.0))


def patience(request: Request) -> float:
    """Return how many seconds the request may wait before it reads. Raises Malformed."""
    position, seconds = _wanted(request)
    return 0.0 if position is None and "asOf" not in request.query else seconds


async def _present(
    reads: Reads, position: int | None, seconds: int, aggregate: str | None, history: str | None
) -> View:
    view = await reads.view()
    check_history(view, history)
    if position is None:
        return view
    # A dead letter is not projected by waiting, so a read that lacks one fails at once.
    await _check_dead_letters(view, position, aggregate)
    if view.place.position < position:
        view = await view_of(reads, position, seconds, history)
        await _check_dead_letters(view, position, aggregate)
    return view


async def view_of(reads: Reads, position: int, seconds: float, history: str | None) -> View:
    """Wait for a view that includes the position, and return it.

    Raises NotCaughtUp with the read model's position by then, OtherHistory, Unavailable,
    PyMongoError.
    """
    view = await reads.reached(lambda place: place.position >= position, seconds)
    check_history(view, history)
    if view.place.position < position:
        raise NotCaughtUp(position, view.place.position)
    return view


def wanted_history(request: Request) -> str | None:
    """Return the history of the request's positions, None if unnamed. Raises Malformed."""
    given = request.headers.get(HEADER.lower())
    if given is None:
        return None
    if not ID.fullmatch(given.lower()):
        raise Malformed(f"{HEADER} must be the id of a history, as a response names it.")
    return given.lower()


def check_history(view: View, wanted: str | None) -> None:
    """Raise OtherHistory where the read model is known to have another history than `wanted`."""
    history = view.place.history
    if wanted is not None and history is not None and wanted != history:
        raise OtherHistory(wanted, history)


async def check_also(request: Request, view: View, aggregate: str) -> None:
    """Check one more aggregate that the response shows in part, before it is read.

    Raises NotCaughtUp if one of its dead letters is at or below the awaited position.
    """
    position, _ = _wanted(request)
    if position is not None:
        await _check_dead_letters(view, position, aggregate)


def _wanted(request: Request) -> tuple[int | None, int]:
    """Return the position to wait for, and the seconds to wait. Raises Malformed."""
    given = request.headers.get("storelog-wait-for")
    seconds = DEFAULT_WAIT_SECONDS
    for preference in request.headers.get("prefer", "").split(","):
        named = _WAIT.fullmatch(preference.partition(";")[0])
        if named is not None:
            if not named[1].isdecimal() or not named[1].isascii():
                raise Malformed("Prefer: wait= takes whole seconds, such as wait=5.")
            seconds = min(int(named[1][:10]), MAX_WAIT_SECONDS)
    if given is None:
        return None, seconds
    if not _POSITION.fullmatch(given) or int(given) >= 2**63:
        raise Malformed("Storelog-Wait-For must be one position, such as 42.")
    return int(given), seconds


async def _check_dead_letters(view: View, position: int, aggregate: str | None) -> None:
    if not view.place.dead_letters:
        return
    query: dict[str, Any] = {**_HELD_UP, "position": {"$lte": position}}
    if aggregate is not None:
        query["aggregate"] = aggregate
    letter = await view.collection("dead_letters").find_one(query, sort=[("position", 1)])
    if letter is not None:
        facts = {"position": int(letter["position"]), "aggregate": letter["aggregate"]}
        raise NotCaughtUp(position, view.place.position, facts)
