"""Customers and products by id, ascending or descending, and those whose names match given words.

As of a past moment, entities whose names may have changed since are checked one by one. A page
reads a bounded number of entities, so it may be short where few match; its cursor continues after
the last one that was read.
Next: query_service/paging/keyset.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from storelog.documents.forms import searched_names_of
from storelog.query_service.paging.keyset import PageKey
from storelog.query_service.paging.page import Page
from storelog.query_service.positions.view import Document, Selection, View
from storelog.read_side import IDS_AT_ONCE
from storelog.shop.event_kinds import EntityKind
from storelog.words import AskedWord, exactly, heads_asked, is_match, searched_text

# Ids are dense, but the entities with a word may be far apart.
WIDEN_BY, WIDEN_WORDS_BY = 2, 8
MAX_ID_WINDOW = 4_096
MAX_LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class WantedEntities:
    """Which entities of a kind are wanted, and in which order of their ids.

    `words`: beginnings of words, as `asked_words` gives them; an empty list matches all entities.
    `exact`: the values of unique fields, by their names in documents. `is_counting`: the fields
    beyond those that decide are not needed.
    """

    entity: EntityKind
    match: Mapping[str, Any]
    words: list[AskedWord]
    exact: Mapping[str, str]
    is_down: bool
    is_counting: bool = False

    @property
    def collection(self) -> str:
        """The entities' collection."""
        return self.entity.collection

    @property
    def heads(self) -> list[AskedWord]:
        """The entries of the words' collection: each entity must have one of every tuple."""
        values = [(exactly(name, value),) for name, value in self.exact.items()]
        return values + heads_asked(self.words)

    @property
    def fields(self) -> Selection | None:
        """The fields to read of an entity, None for all."""
        if not self.is_counting:
            return None
        searched = searched_names_of(self.entity.structure)
        return dict.fromkeys((*searched, "deleted", *self.match, *self.exact), 1)

    def has(self, document: Document) -> bool:
        """Tell whether the document is wanted."""
        return (
            not document["deleted"]
            and all(document[name] == value for name, value in self.match.items())
            and all(document.get(name) == value for name, value in self.exact.items())
            and (not self.words or is_match(self._text(document), self.words))
        )

    def _text(self, document: Document) -> str:
        return searched_text(map(document.get, searched_names_of(self.entity.structure)))


async def page(view: View, wanted: WantedEntities, after: PageKey | None, limit: int) -> Page:
    """Return a page of the wanted entities, and the id after which the next page begins."""
    highest = await _highest(view, wanted.entity)
    found: list[Document] = []
    widen_by = WIDEN_WORDS_BY if wanted.words else WIDEN_BY
    # At most one entity has a unique value, so one window covers all ids.
    looked_at, window = 0, highest if wanted.exact else max(limit + 1, IDS_AT_ONCE)
    renamed = await _renamed(view, wanted)
    # A client can send any cursor, so the page begins at an end of the ids at the latest.
    first = highest + 1 if wanted.is_down else 0
    at = min(max(after[0], 0), highest + 1) if after else first
    while len(found) <= limit and (at > 1 if wanted.is_down else at < highest):
        if looked_at > MAX_LOOKED_AT:
            return Page(found, [at])
        low, high = (at - window, at) if wanted.is_down else (at + 1, at + 1 + window)
        within = range(max(low, 1), min(high, highest + 1))
        ids = await _candidates(view, wanted, within, renamed)
        looked_at += len(ids)
        await _look(view, wanted, ids, found, limit + 1)
        at = max(low, 1) if wanted.is_down else high - 1
        window = min(widen_by * window, MAX_ID_WINDOW)
    more = len(found) > limit
    return Page(found[:limit], [found[limit - 1]["_id"]] if more else None)


async def _highest(view: View, entity: EntityKind) -> int:
    """Return an id above which the view has no entity of the kind."""
    match entity.bound:
        case "customers":
            return view.place.highest_customer
        case "products":
            return view.place.highest_product
        case "orders" | None:
            documents = view.collection(entity.collection)
            newest = await documents.find_one({}, {"_id": 1}, sort=[("_id", -1)])
            return 0 if newest is None else int(newest["_id"])
        case _:
            assert_never(entity.bound)


async def _look(
    view: View, wanted: WantedEntities, ids: Sequence[int], found: list[Document], enough: int
) -> None:
    """Add the wanted entities of a window; read as many at a time as the page still lacks."""
    at = 0
    while at < len(ids) and len(found) < enough:
        some = ids[at : at + max(enough - len(found), IDS_AT_ONCE)]
        at += len(some)
        documents = await view.many(wanted.collection, some, wanted.fields)
        numbers = sorted(documents, reverse=wanted.is_down)
        found += [documents[number] for number in numbers if wanted.has(documents[number])]


async def _renamed(view: View, wanted: WantedEntities) -> set[int] | None:
    """Return the ids whose names may have differed at the view's moment; None: possibly all."""
    if not view.is_past or not wanted.heads:
        return set()
    names = view.present(wanted.entity.words_collection)
    found = names.find({"position": {"$gt": view.position}}).limit(MAX_LOOKED_AT + 1)
    renamed = {name["_id"] async for name in found}
    return renamed if len(renamed) <= MAX_LOOKED_AT else None


async def _candidates(
    view: View, wanted: WantedEntities, ids: range, renamed: set[int] | None
) -> Sequence[int]:
    """Return the ids of a window that may be wanted, in the wanted order."""
    heads = wanted.heads
    if not heads or not ids or renamed is None:
        return ids[::-1] if wanted.is_down else ids
    names = view.present(wanted.entity.words_collection)
    named: set[int] = set()
    for head in heads[0]:
        found = names.find({"words": head, "_id": {"$gte": ids[0], "$lte": ids[-1]}})
        async for name in found:
            if all(set(some) & set(name["words"]) for some in heads):
                named.add(name["_id"])
    return sorted(named.union(renamed.intersection(ids)), reverse=wanted.is_down)
