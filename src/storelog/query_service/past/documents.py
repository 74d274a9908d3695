"""Documents as they were at a position: orders and sales by their own marks, others by history.

For a customer or product that has changed since, one bucket of its history gives the state after
its last event at or below the position. The entity's own document holds the newest bucket and lists
where others begin. Between two listed ones, the bucket is found by guesses from their positions.
Next: query_service/past/buckets.py
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from storelog.documents.forms import fields_of_facts
from storelog.documents.histories import (
    KEPT_IN,
    Bucket,
    EntityState,
    Start,
    apply,
    name_of,
    open_bucket,
    read_before,
    read_entries,
    shown_fields,
    start_of,
    starts_around,
)
from storelog.errors import InvalidFields
from storelog.query_service.positions.view import Document, Selection, View
from storelog.read_models.listed import BY_COLLECTION
from storelog.read_models.read_model import AsWas

# Events may come in bursts, so guesses by proportion alone can be wrong many times in a row.
HALVED_EVERY = 4


class PastView(View):
    """A view of an earlier moment: every document as it was, and none that came later."""

    @property
    def is_past(self) -> bool:
        """Whether the view is of an earlier moment."""
        return True

    def as_was(self, collection: str, found: Document) -> Document | None:
        """Return a document as far as it tells its own past, None before it was created.

        Raises InvalidFields where the read model shows the present only.
        """
        return self._way_back(collection)(found, self.position)

    def collection(self, name: str) -> Any:
        """Return a collection to read; documents of a read model must go through `as_was`.

        Raises InvalidFields where the read model shows the present only.
        """
        if name in BY_COLLECTION:
            self._way_back(name)
        return super().collection(name)

    def _way_back(self, name: str) -> AsWas:
        as_was = BY_COLLECTION[name].as_was
        if as_was is None:
            raise InvalidFields([("?asOf", f"the read model {name} shows the present only")])
        return as_was

    async def one(self, collection: str, number: int) -> Document | None:
        """Return a document, unless it was missing or deleted."""
        found = (await self.many(collection, [number])).get(number)
        return None if found is None or found["deleted"] else found

    async def many(
        self, collection: str, ids: Iterable[int], fields: Selection | None = None
    ) -> dict[int, Document]:
        """Return the documents of these ids, deleted ones too; `fields` of them are enough."""
        self._way_back(collection)
        # A history is part of the document, so all fields are needed.
        now = await self.raw(collection, ids, None if collection in KEPT_IN else fields)
        then = {
            number: was
            for number, found in now.items()
            if (was := self.as_was(collection, found)) is not None
        }
        return then | await self._changed_since(collection, then)

    async def as_were(self, collection: str, found: list[Document]) -> list[Document]:
        """Return documents that `as_was` has returned, each with its fields as they were."""
        changed = await self._changed_since(collection, {each["_id"]: each for each in found})
        return [changed.get(each["_id"], each) for each in found]

    async def _changed_since(
        self, collection: str, entities: Mapping[int, Document]
    ) -> dict[int, Document]:
        """Return the entities that have changed since, as they were by their histories."""
        if collection not in KEPT_IN:
            return {}
        changed = {
            name_of(collection, number): found
            for number, found in entities.items()
            if found["position"] > self.position
        }
        was = await self._by_history(collection, changed)
        return {int(name.rpartition("-")[2]): document for name, document in was.items()}

    async def names(self, collection: str, ids: Iterable[int]) -> dict[int, str]:
        """Return the names of customers or products, of deleted ones too."""
        wanted = list(ids)
        fields = dict.fromkeys(("name", "created", "bodyPosition", "deleted", "position"), 1)
        now = await self.raw(collection, wanted, fields)
        # Sales change a product but not its name, so most names need no history.
        same = {n: found["name"] for n, found in now.items() if self._is_named(found)}
        others = [number for number in now if number not in same]
        return same | {n: was["name"] for n, was in (await self.many(collection, others)).items()}

    def _is_named(self, found: Document) -> bool:
        return bool(found.get("bodyPosition", self.position + 1) <= self.position)

    async def _by_history(
        self, collection: str, changed: dict[str, Document]
    ) -> dict[str, Document]:
        was = {}
        for name, bucket in (await self._buckets(changed)).items():
            state, version = read_before(bucket), 0
            for entry in read_entries(bucket, up_to=self.position):
                apply(state, entry, shown_fields(name))
                version = entry.version
            was[name] = {**changed[name], **_as_it_was(collection, state), "version": version}
        return was

    async def _buckets(self, entities: dict[str, Document]) -> dict[str, Bucket]:
        """Return for each entity the bucket that holds its last event at or below the position."""
        buckets: dict[str, Bucket] = {}
        searches: dict[str, _Search] = {}
        for name, document in entities.items():
            own = open_bucket(document)
            start = start_of(own)
            if start is None:
                continue
            if start[1] <= self.position:
                buckets[name] = own
            else:
                searches[name] = _Search.of(document, start, own, self.position)
        while left := {n: s for n, s in searches.items() if not s.is_done}:
            guesses = {name: f"{name}/{search.guess()}" for name, search in left.items()}
            found = await self.raw("history", guesses.values())
            for name, label in guesses.items():
                left[name].see(found.get(label))
        return buckets | {n: s.best for n, s in searches.items() if s.best is not None}


@dataclass(slots=True)
class _Search:
    """A search for one entity's bucket: it is `best`, or one of those from `low` to `high`.

    Bucket `low` begins at position `low_at` or later, the one after `high` at `high_at`.
    """

    position: int
    low: int
    high: int
    low_at: int
    high_at: int
    best: Document | None = None
    turn: int = 0
    guessed: int = 0

    @classmethod
    def of(cls, found: Document, start: Start, own: Bucket, position: int) -> "_Search":
        last, following = starts_around(own.get("starts", b""), position)
        low, low_at = last or (0, int(found["created"]["position"]))
        after, high_at = following or start
        return cls(position, low, after - 1, low_at, high_at)

    @property
    def is_done(self) -> bool:
        return self.high < self.low

    def guess(self) -> int:
        """Return the next bucket to read: by proportion, and every few turns the middle one."""
        self.turn += 1
        width = max(1, self.high_at - self.low_at)
        share = (self.high + 1 - self.low) * (self.position - self.low_at) // width
        half = (self.high - self.low) // 2
        guess = self.low + (half if self.turn % HALVED_EVERY == 0 else share)
        self.guessed = max(self.low, min(guess, self.high))
        return self.guessed

    def see(self, bucket: Document | None) -> None:
        """Narrow the search by the bucket that was guessed."""
        start = None if bucket is None else start_of(bucket)
        if start is None or start[1] > self.position:
            self.high = self.guessed - 1
            self.high_at = start[1] if start else self.high_at
            return
        self.best, self.low = bucket, self.guessed + 1
        self.low_at = int(bucket["position"]) if bucket else self.low_at
        if self.low_at > self.position:
            self.high = self.guessed


def _as_it_was(collection: str, state: EntityState) -> dict[str, Any]:
    """Return a state of the history with a document's fields."""
    return fields_of_facts(KEPT_IN[collection].structure, state.fields)
