"""Decide a batch of commands in memory, in arrival order: events, rows to write, and responses.

A rejected command changes nothing and does not affect the others of its batch. The code is pure,
except that it makes event ids, and never waits; so a batch can be decided again from the start when
the head has moved. The time of recording, and with it the hashes, is set just before it is sent.
Next: command_service/decisions.py
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from storelog.command_service.decisions import Decided, decide
from storelog.command_service.event_ids import new_event_id
from storelog.command_service.remembered import CallerKey, Remembered, replay
from storelog.command_service.state import BEFORE_ALL, Head, State
from storelog.command_service.submission import Submission
from storelog.envelope import Envelope, hashed_parts, link, pack_time
from storelog.errors import Refusal
from storelog.log_history import HEADER
from storelog.shop.aggregate import Aggregate
from storelog.shop.commands import NewIds
from storelog.shop.events import ENTITIES
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import Time
from storelog.web.http import Response
from storelog.web.problems import render

POSITION = "Storelog-Position"
Rows = dict[int, Aggregate[Any]]


@dataclass(slots=True)
class Writes:
    """Everything a batch changes; `append_batch` writes it in one call."""

    base: Head
    head: Head
    events: list[Envelope] = field(default_factory=list)
    payload_hashes: list[bytes] = field(default_factory=list)
    hashed_parts: list[tuple[bytes, bytes]] = field(default_factory=list)
    occurred_at: datetime = BEFORE_ALL
    # The rows of each kind of entity that are new, and those that are there already, by id.
    new: dict[str, Rows] = field(default_factory=lambda: {each.name: {} for each in ENTITIES})
    changed: dict[str, Rows] = field(default_factory=lambda: {each.name: {} for each in ENTITIES})
    remembered: dict[CallerKey, tuple[Remembered, datetime | None]] = field(default_factory=dict)

    def stamp(self, at: datetime) -> None:
        """Set the time of recording and chain the events; may be repeated with another time.

        The time is never before that of the event at the base, since the log is in order of time.
        """
        at = max(at, self.base.recorded_at)
        recorded_at, previous = pack_time(at), self.base.hash
        for number, event in enumerate(self.events):
            # No event may occur after it was recorded; the hash covers the time, so it changes too.
            if event.occurred_at > at:
                event.occurred_at = at
                self.hashed_parts[number] = hashed_parts(event, self.payload_hashes[number])
            event.recorded_at = at
            event.hash = previous = link(previous, self.hashed_parts[number], recorded_at)
        self.head.hash = previous
        self.head.recorded_at = at if self.events else self.base.recorded_at


class DecidedBatch:
    """Decides submissions one after the other on `state`, which it moves along.

    `remembered`: the responses that are stored already for the keys of these submissions.
    """

    def __init__(
        self,
        state: State,
        ids: NewIds,
        keep_keys: timedelta,
    ) -> None:
        self._state = state
        self._ids = ids
        self.remembered: dict[CallerKey, Remembered] = {}
        self._now = Time.of(BEFORE_ALL)
        self._keep_keys = keep_keys
        self.writes = Writes(state.head, Head(state.head.position, history=state.head.history))

    def decide(self, submission: Submission, now: Time) -> Response:
        """Decide one command and return its response, which is valid once the batch is committed.

        `now` must not be before the command came.
        """
        self._now = now
        next_position = self.writes.head.position + 1
        if submission.key is not None:
            earlier = self._earlier(submission.key)
            if earlier is not None and submission.idempotency is not None:
                return self._with_history(replay(earlier, submission, submission.idempotency))
        try:
            response = self._accept(submission)
        except Refusal as rejection:
            # `decide` raises before it changes the state, so there is nothing to take back.
            response = render(rejection, submission.instance, submission.correlation_id)
        if submission.key is not None and submission.idempotency is not None:
            # The body of a created entity is the payload of the command's first event: it is not
            # stored twice.
            created_at = next_position if response.status == 201 else None
            first = Remembered(submission.idempotency.request_hash, response, created_at)
            # An import may be repeated after years, so its keys never expire.
            forever = submission.idempotency.key.startswith("import/")
            expires_at = None if forever else self._now + self._keep_keys
            self.writes.remembered[submission.key] = (first, expires_at)
        return self._with_history(response)

    def _with_history(self, response: Response) -> Response:
        """Return the response with the history of the position that it names.

        The history is not stored with the response: a replay names the newest one, to which
        the whole log belongs by then.
        """
        history = self.writes.head.history
        if not history or not any(name == POSITION for name, _ in response.headers):
            return response
        headers = (*response.headers, (HEADER, history))
        # Keep the class, since measures.py counts replays by it.
        return type(response)(response.status, response.body, headers, response.content_type)

    def _earlier(self, key: CallerKey) -> Remembered | None:
        if key in self.writes.remembered:
            return self.writes.remembered[key][0]
        return self.remembered.get(key)

    def _accept(self, submission: Submission) -> Response:
        decision = decide(submission.command, self._state, self._ids, self._now)
        payloads = [self._append(decided, submission) for decided in decision.events]
        position = self.writes.head.position
        headers = [(POSITION, str(position)), ("ETag", f'"{decision.version}"')]
        if decision.location is not None:
            headers.append(("Location", submission.query_url + decision.location))
        if decision.body is None:
            # The event of a new entity has just the response's fields: its bytes serve for both.
            body = payloads[0] if decision.status == 201 else b""
        else:
            body = encode_json(decision.body)
        return Response(decision.status, body, tuple(headers))

    def _append(self, decided: Decided, submission: Submission) -> bytes:
        payload = encode_json(decided.event)
        payload_hash = sha256(payload).digest()
        kind, number, writes = decided.kind, decided.aggregate_id, self.writes
        writes.head.position += 1
        envelope = Envelope(
            writes.head.position,
            b"",  # the hash, like the time of recording, is set by `stamp`
            new_event_id(),
            kind.entity.name,
            number,
            decided.after.version,
            kind.name,
            kind.version,
            payload,
            self._now,
            self._now,
            submission.correlation_id,
            # What caused the event is the command, which its client names by the key.
            submission.idempotency.key if submission.idempotency else None,
            submission.caller or None,
            submission.traceparent,
        )
        writes.events.append(envelope)
        writes.payload_hashes.append(payload_hash)
        writes.hashed_parts.append(hashed_parts(envelope, payload_hash))
        writes.occurred_at = max(writes.occurred_at, self._now)
        # Each entity is written once, as the whole batch leaves it.
        new = writes.new[kind.entity.name]
        rows = new if kind.begins or number in new else writes.changed[kind.entity.name]
        rows[number] = decided.after
        return payload
