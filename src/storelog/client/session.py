"""What all calls share: keys on commands, positions from commands to reads, pages of lists.

Next: client/commands.py
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Generic, Self, TypeVar, get_args, get_origin
from uuid import uuid4

import msgspec

from storelog.client.bodies import Page
from storelog.client.problems import NoAnswer
from storelog.client.transport import Success, Transport
from storelog.envelope import format_time
from storelog.errors import BadUse
from storelog.log_history import HEADER
from storelog.shop.events import ENTITIES
from storelog.shop.fields import values_before
from storelog.shop.json_values import from_json

T = TypeVar("T")
# One that has a version.
V = TypeVar("V", bound=msgspec.Struct)
PAGE = 200


class Session:
    """One shop, by its two services' addresses; use it as an async context.

    No address has a default: who listens there may be a stranger's shop. `projector_url` is only
    needed for dead letters.

    `position` is the newest that this client's commands were given. Reads ask for everything up to
    it, so it may be handed on to another client, whose reads then hold the same; so may
    `log_history`, which says of which history of the log it is. A method raises Problem for a
    refusal, NoAnswer when nothing has answered for `patience_seconds`, and ClientClosed after
    `close`.
    """

    def __init__(
        self,
        command_url: str,
        query_url: str,
        api_key: str | None = None,
        *,
        projector_url: str | None = None,
        patience_seconds: float = 30.0,
        wait_seconds: int = 10,
        max_in_flight: int = 48,
    ) -> None:
        self._command_url, self._query_url = command_url.rstrip("/"), query_url.rstrip("/")
        self._projector_url = (projector_url or "").rstrip("/")
        self.transport = Transport(api_key, patience_seconds, max_in_flight)
        self._wait_seconds = wait_seconds
        self.position = 0
        self.log_history: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.close()

    async def command(
        self, method: str, path: str, body: Any, key: str | None, if_version: int | None = None
    ) -> Success:
        """Send a command to the Command Service, and keep the position that it was given."""
        headers = {"Idempotency-Key": key or uuid4().hex}
        if if_version is not None:
            headers["If-Match"] = f'"{if_version}"'
        answer = await self.transport.call(
            method, self._command_url, path, headers=headers, body=body
        )
        self._take_note(answer)
        return answer

    def _take_note(self, answer: Success) -> None:
        """Keep the newest position; those of another history of the log mean nothing."""
        if answer.history is not None and answer.history != self.log_history:
            if self.log_history is not None:
                self.position = 0
            self.log_history = answer.history
        self.position = max(self.position, answer.position)

    async def get(
        self, path: str, asked: Mapping[str, Any] | None = None, *, is_waiting: bool = True
    ) -> Success:
        """Read from the Query Service what holds everything up to `position`."""
        headers = {}
        if is_waiting and self.position:
            headers["Storelog-Wait-For"] = str(self.position)
            if self.log_history is not None:
                headers[HEADER] = self.log_history
            # A read that waits longer than there is patience would never be answered.
            seconds = min(self._wait_seconds, int(self.transport.patience))
            headers["Prefer"] = f"wait={seconds}"
        return await self.transport.call(
            "GET", self._query_url, path, query=_query(asked or {}), headers=headers
        )

    async def operate(
        self, method: str, service: str, path: str, body: Any = None, asked: Any = None
    ) -> Success:
        """Call what operators need: `service` is command, query or projector.

        It has no Idempotency-Key and is sent once, but a GET. Raises BadUse where the client does
        not know the service's address.
        """
        urls = {"command": self._command_url, "query": self._query_url}
        url = {**urls, "projector": self._projector_url}[service]
        if not url:
            raise BadUse("give the client `projector_url`: dead letters are the projector's")
        return await self.transport.call(method, url, path, query=_query(asked or {}), body=body)

    async def get_log(self, asked: Mapping[str, Any]) -> Success:
        """Read from the Command Service's log."""
        return await self.transport.call("GET", self._command_url, "/events", query=_query(asked))


class Listing(Generic[T]):
    """A list, fetched a page at a time while it is iterated over, once."""

    def __init__(
        self, session: Session, path: str, kind: type[Page[T]], asked: Mapping[str, Any]
    ) -> None:
        self._session, self._path, self._kind = session, path, kind
        self._asked = {**asked, "limit": PAGE}
        self._is_over = False

    async def next_page(self) -> list[T] | None:
        """Return the next page's items, which may be none; None after the last page."""
        if self._is_over:
            return None
        page = read(await self._session.get(self._path, self._asked), self._kind)
        self._asked["cursor"] = page.next_cursor
        self._is_over = page.next_cursor is None
        return page.items

    async def __aiter__(self) -> AsyncIterator[T]:
        while (items := await self.next_page()) is not None:
            for item in items:
                yield item


def read(answer: Success, kind: type[T]) -> T:
    """Return the answer's body, checked. Raises NoAnswer for one that is no service's.

    A field that the service, or the one whose response it repeats, did not know yet has its value
    of before.
    """
    newer = _newer(kind)
    try:
        if not newer:
            return msgspec.json.decode(answer.body, type=kind, dec_hook=from_json)
        return msgspec.convert(
            _filled(msgspec.json.decode(answer.body), newer), kind, dec_hook=from_json
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer(f"the answer is not one of a Storelog service: {error}") from error


def _filled(said: Any, newer: Mapping[str, Any]) -> Any:
    """Return a body, or a page of them, with the fields that came later."""
    if not isinstance(said, dict):
        return said
    if isinstance(said.get("items"), list):
        return {**said, "items": [_filled(each, newer) for each in said["items"]]}
    return {**newer, **said}


def _newer(kind: Any) -> Mapping[str, Any]:
    """Return the fields of an entity, or of a page of them, that came later."""
    (of,) = get_args(kind) if get_origin(kind) is Page else (kind,)
    known = (entity.structure for entity in ENTITIES if issubclass(of, entity.structure))
    return next(map(values_before, known), {})


def versioned(answer: Success, kind: type[V]) -> V:
    """Return the answer's body with the version that its ETag names."""
    return msgspec.structs.replace(read(answer, kind), version=answer.version)


def _query(asked: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in asked.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return format_time(value if value.tzinfo else value.replace(tzinfo=UTC))
    return value.isoformat() if isinstance(value, date) else str(value)
