"""What all calls share: keys of commands, positions from commands to reads, pages of lists.

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
# A structure with a version.
V = TypeVar("V", bound=msgspec.Struct)
PAGE = 200


class Session:
    """One shop, by the addresses of its two services; use it as an async context manager.

    No address has a default, since another shop may listen there. `projector_url` is needed for
    dead letters only.

    `position` is the newest one of this client's commands. Reads wait for everything up to it. To
    give another client the same guarantee, copy `position` and `log_history`, the history of the
    log to which it belongs. A method raises Problem for an error response, NoAnswer if no service
    has responded for `patience_seconds`, and ClientClosed after `close`.
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
        """Send a command to the Command Service, and keep the position of its response."""
        # Random by default: two calls are two commands, while all tries of one call are one.
        headers = {"Idempotency-Key": key or uuid4().hex}
        if if_version is not None:
            headers["If-Match"] = f'"{if_version}"'
        response = await self.transport.call(
            method, self._command_url, path, headers=headers, body=body
        )
        self._take_note(response)
        return response

    def _take_note(self, response: Success) -> None:
        """Keep the newest position; drop one of another history, where it means another event."""
        if response.history is not None and response.history != self.log_history:
            if self.log_history is not None:
                self.position = 0
            self.log_history = response.history
        # Commands may overtake one another, so a later response can have an earlier position.
        self.position = max(self.position, response.position)

    async def get(
        self, path: str, asked: Mapping[str, Any] | None = None, *, is_waiting: bool = True
    ) -> Success:
        """Read from the Query Service; the response includes everything up to `position`."""
        headers = {}
        if is_waiting and self.position:
            headers["Storelog-Wait-For"] = str(self.position)
            if self.log_history is not None:
                headers[HEADER] = self.log_history
            # If the service waited longer than the client, its response would always come too late.
            seconds = min(self._wait_seconds, int(self.transport.patience))
            headers["Prefer"] = f"wait={seconds}"
        return await self.transport.call(
            "GET", self._query_url, path, query=_query(asked or {}), headers=headers
        )

    async def operate(
        self, method: str, service: str, path: str, body: Any = None, asked: Any = None
    ) -> Success:
        """Call an operator's endpoint of a service: command, query or projector.

        There is no Idempotency-Key, so only a GET is repeated. Raises BadUse where the client does
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
    """A list that is fetched a page at a time during iteration; it can be iterated once."""

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
        # Only the cursor changes from page to page: it is bound to the other parameters.
        self._asked["cursor"] = page.next_cursor
        self._is_over = page.next_cursor is None
        return page.items

    async def __aiter__(self) -> AsyncIterator[T]:
        while (items := await self.next_page()) is not None:
            for item in items:
                yield item


def read(response: Success, kind: type[T]) -> T:
    """Return the response's body, checked. Raises NoAnswer if no service can have written it.

    A field that an older service did not know gets the value declared for older data. The same
    holds where a newer service repeats the stored response of an older one.
    """
    newer = _newer(kind)
    try:
        if not newer:
            return msgspec.json.decode(response.body, type=kind, dec_hook=from_json)
        return msgspec.convert(
            _filled(msgspec.json.decode(response.body), newer), kind, dec_hook=from_json
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer(f"the response is not from a Storelog service: {error}") from error


def _filled(said: Any, newer: Mapping[str, Any]) -> Any:
    """Return a body, or a page of bodies, with the fields that were added later."""
    if not isinstance(said, dict):
        return said
    if isinstance(said.get("items"), list):
        return {**said, "items": [_filled(each, newer) for each in said["items"]]}
    return {**newer, **said}


def _newer(kind: Any) -> Mapping[str, Any]:
    """Return the fields of an entity, or of a page's entities, that were added later."""
    (of,) = get_args(kind) if get_origin(kind) is Page else (kind,)
    known = (entity.structure for entity in ENTITIES if issubclass(of, entity.structure))
    return next(map(values_before, known), {})


def versioned(response: Success, kind: type[V]) -> V:
    """Return the response's body with the version that its ETag names."""
    return msgspec.structs.replace(read(response, kind), version=response.version)


def _query(asked: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in asked.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return format_time(value if value.tzinfo else value.replace(tzinfo=UTC))
    return value.isoformat() if isinstance(value, date) else str(value)
