"""The calls for operators: keys, dead letters, the log, and the health of all processes.

Next: client/blocking.py
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from storelog.client.bodies import Event, EventPage, Page
from storelog.client.session import Session, read
from storelog.envelope import format_time


class Key(msgspec.Struct, frozen=True, rename="camel"):
    """An API key without its text; `state` is valid, expired or revoked."""

    name: str
    role: str
    state: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class CreatedKey(msgspec.Struct, frozen=True, rename="camel"):
    """A key that was just created: `key` is its text, which Storelog does not store."""

    name: str
    role: str
    expires_at: datetime | None
    key: str
    is_first: bool


class Neighbour(msgspec.Struct, frozen=True, rename="camel"):
    """The event before or after another in the chain."""

    position: int
    event_type: str
    aggregate: str
    recorded_at: datetime
    hash: str


class ChainedEvent(Event, frozen=True, rename="camel"):
    """One event and its place in the chain; hashes are SHA-256 in hex."""

    caller: str | None
    causation_id: str | None
    traceparent: str | None
    payload_hash: str
    previous_hash: str
    hash: str
    is_hash_valid: bool
    previous: Neighbour | None
    next: Neighbour | None


class ParkedLetter(msgspec.Struct, frozen=True, rename="camel"):
    """A record that could not be projected; `waiting` events of its aggregate wait behind it."""

    id: str
    state: str
    aggregate: str | None
    position: int | None
    topic: str
    partition: int
    offset: int
    cause: str | None
    at: datetime
    waiting: int


class WholeLetter(ParkedLetter, frozen=True, rename="camel"):
    """A dead letter with the key, headers and value of its record."""

    key: str | None
    headers: Sequence[Any]
    value: str | None
    asked: str | None
    waiting_positions: Sequence[int]


class Settled(msgspec.Struct, frozen=True, rename="camel"):
    """The result for dead letters: the ids that are settled, and the causes of the others by id."""

    settled: Sequence[str]
    still_dead: Mapping[str, str]


class Operations(Session):
    """The calls for operators."""

    async def list_keys(self) -> list[Key]:
        """Return every key that was ever created, oldest first."""
        return read(await self.operate("GET", "command", "/keys"), Page[Key]).items

    async def create_key(
        self, name: str, role: str, *, expires_at: datetime | None = None
    ) -> CreatedKey:
        """Create a key and return its text, which cannot be read again."""
        # Sent once, without an Idempotency-Key: a stored response would hold the key's text.
        ends = None if expires_at is None else format_time(expires_at)
        body = {"name": name, "role": role, "expiresAt": ends}
        return read(await self.operate("POST", "command", "/keys", body), CreatedKey)

    async def revoke_key(self, name: str) -> Key:
        """Revoke a key for good. Raises ThingNotFound."""
        response = await self.operate("POST", "command", "/keys/revocations", {"name": name})
        return read(response, Key)

    async def find_events(
        self,
        *,
        aggregate: str | None = None,
        event_type: str | None = None,
        caller: str | None = None,
        correlation_id: str | None = None,
        event_id: str | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> EventPage:
        """Return a page of the events that match; with `before` the newest first.

        A page may be empty although more follow: continue at `next_after` or `next_before` until it
        is None.
        """
        asked = {
            "aggregate": aggregate,
            "eventType": event_type,
            "caller": caller,
            "correlationId": correlation_id,
            "eventId": event_id,
            "after": after,
            "before": before,
            "limit": limit,
        }
        return read(await self.get_log(asked), EventPage)

    async def get_event(self, position: int) -> ChainedEvent:
        """Return one event with its neighbours in the chain. Raises ThingNotFound."""
        return read(await self.operate("GET", "command", f"/events/{position}"), ChainedEvent)

    async def write_side(self) -> Mapping[str, Any]:
        """Return PostgreSQL's size, the relay's place, and the last results of operations."""
        return read(await self.operate("GET", "command", "/operations"), dict[str, Any])

    async def read_side(self) -> Mapping[str, Any]:
        """Return MongoDB's size, each lane's place, and the health of every process."""
        return read(await self.operate("GET", "query", "/operations"), dict[str, Any])

    async def list_dead_letters(self) -> list[ParkedLetter]:
        """Return the dead letters. Raises BadUse without a `projector_url`."""
        response = await self.operate("GET", "projector", "/dead-letters")
        return read(response, Page[ParkedLetter]).items

    async def get_dead_letter(self, letter_id: str) -> WholeLetter:
        """Return one dead letter with its bytes. Raises ThingNotFound."""
        asked = {"id": letter_id}
        response = await self.operate("GET", "projector", "/dead-letters/one", asked=asked)
        return read(response, WholeLetter)

    async def retry_dead_letters(self, ids: Sequence[str] = ()) -> Settled:
        """Replay dead letters, by default all that are parked. Raises ThingNotFound."""
        body = {"ids": list(ids)}
        return read(await self.operate("POST", "projector", "/dead-letters/retries", body), Settled)

    async def discard_dead_letter(self, letter_id: str) -> Settled:
        """Leave one event out of the read model for good. Raises ThingNotFound."""
        body = {"id": letter_id}
        response = await self.operate("POST", "projector", "/dead-letters/discards", body)
        return read(response, Settled)
