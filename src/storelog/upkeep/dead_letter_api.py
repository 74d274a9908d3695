"""Dead letters over HTTP, at the projector's port: list, show, retry, discard.

The projector's account is the only one of a process that may write dead letters, so it serves them.
Like `storelog dead-letters` it only records requests, which the owner of the lane carries out. If
the projector has an account in PostgreSQL too, a retry first takes the events' bytes from the log.
Next: upkeep/dead_letters.py
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

from storelog.config import Settings
from storelog.errors import (
    BadUse,
    CannotRun,
    Conflict,
    InvalidFields,
    NotFound,
    Unavailable,
)
from storelog.shop.value_schemas import COUNT, TEXT, TEXT_OR_NULL, strict_object
from storelog.upkeep.dead_letters import DeadLetters, Outcome, dead_letters
from storelog.web.http import Operation, Request, Response, Route
from storelog.web.json_body import read_members

T = TypeVar("T")
# Limits a response, however many dead letters there are.
MAX_SHOWN = 500
MAX_IDS = 500
MAX_ID_LENGTH = 400
# How long a request waits for the projector that owns the lane.
WAIT_SECONDS = 15.0
Json = dict[str, Any]
_COUNT_OR_NULL: Json = {"type": ["integer", "null"]}
_ID: Json = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH, "examples": ["1234"]}
_SUMMARY: Json = {
    "id": _ID,
    "state": TEXT,
    "aggregate": TEXT_OR_NULL,
    "position": _COUNT_OR_NULL,
    "topic": TEXT,
    "partition": COUNT,
    "offset": COUNT,
    "cause": TEXT_OR_NULL,
    "at": TEXT,
    "waiting": COUNT,
}
SCHEMAS: Json = {
    "DeadLetters": strict_object(
        items={"type": "array", "items": strict_object(**_SUMMARY)},
        found=COUNT,
        foreignNotKept=COUNT,
    ),
    "DeadLetter": strict_object(
        **_SUMMARY,
        key=TEXT_OR_NULL,
        headers={"type": "array", "items": {"type": "array", "items": TEXT_OR_NULL}},
        value=TEXT_OR_NULL,
        asked=TEXT_OR_NULL,
        waitingPositions={"type": "array", "items": COUNT},
    ),
    "DeadLetterIds": strict_object(
        ids={
            "type": "array",
            "items": _ID,
            "maxItems": MAX_IDS,
            "description": "None: all parked ones.",
        }
    ),
    "DeadLetterId": strict_object(id=_ID),
    "Settled": strict_object(
        settled={"type": "array", "items": _ID},
        stillDead={"type": "object", "additionalProperties": TEXT},
    ),
}


class DeadLetterApi:
    """The handlers; they serve one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._using = asyncio.Lock()

    async def list_all(self, _request: Request) -> Response:
        """GET /dead-letters"""

        def read(letters: DeadLetters) -> Json:
            items = letters.list_all()
            shown = {"items": items[:MAX_SHOWN], "found": len(items)}
            return {**shown, "foreignNotKept": letters.not_kept()}

        return _response(await self._use(read))

    async def show(self, request: Request) -> Response:
        """GET /dead-letters/one"""
        letter_id = request.query.get("id", "")
        if not 1 <= len(letter_id) <= MAX_ID_LENGTH:
            raise InvalidFields([("?id", "must be the id of a dead letter")])
        return _response(await self._use(lambda letters: letters.show(letter_id)))

    async def retry(self, request: Request) -> Response:
        """POST /dead-letters/retries"""
        ids = read_members(request, {"ids"}).get("ids")
        if not isinstance(ids, list) or len(ids) > MAX_IDS or not all(map(_is_id, ids)):
            raise InvalidFields([("/ids", f"must be a list of at most {MAX_IDS} ids")])
        return _outcome(await self._use(lambda letters: letters.retry(ids)))

    async def discard(self, request: Request) -> Response:
        """POST /dead-letters/discards"""
        letter_id: Any = read_members(request, {"id"}).get("id")
        if not _is_id(letter_id):
            raise InvalidFields([("/id", "must be the id of a dead letter")])
        return _outcome(await self._use(lambda letters: letters.discard(letter_id)))

    async def _use(self, work: Callable[[DeadLetters], T]) -> T:
        def use() -> T:
            with dead_letters(self._settings, WAIT_SECONDS) as letters:
                return work(letters)

        # Each request takes a thread for up to WAIT_SECONDS: a queue of them would grow.
        if self._using.locked():
            raise Unavailable("Another request about dead letters is under way.", slug="overloaded")
        try:
            async with self._using:
                return await asyncio.to_thread(use)
        except NotFound:
            raise
        except BadUse as error:
            raise Conflict("dead-letter-foreign", f"{str(error).capitalize()}.") from error
        except CannotRun as error:
            raise Unavailable(f"{error}.") from error


def dead_letter_routes(settings: Settings) -> list[Route]:
    """Return the routes."""
    api = DeadLetterApi(settings)
    found = Operation("Dead letters", 200, None, "DeadLetters")
    one = Operation("One dead letter", 200, None, "DeadLetter", {"id": _ID}, (404,))
    retry = Operation("Retry dead letters", 200, "DeadLetterIds", "Settled", errors=(404, 409))
    discard = Operation("Discard a dead letter", 200, "DeadLetterId", "Settled", errors=(404,))
    return [
        Route("GET", "/dead-letters", "read", api.list_all, found),
        Route("GET", "/dead-letters/one", "read", api.show, one),
        Route("POST", "/dead-letters/retries", "admin", api.retry, retry),
        Route("POST", "/dead-letters/discards", "admin", api.discard, discard),
    ]


def _is_id(value: Any) -> bool:
    return type(value) is str and 1 <= len(value) <= MAX_ID_LENGTH


def _response(facts: Json) -> Response:
    # MongoDB's integers have a type of their own, which the services' encoder does not know.
    body = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return Response(200, body.encode("utf-8", "replace"), (("Cache-Control", "no-store"),))


def _outcome(outcome: Outcome) -> Response:
    return _response({"settled": outcome.settled, "stillDead": outcome.still_dead})
