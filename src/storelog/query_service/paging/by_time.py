"""Walks over documents by time, newest or oldest first, within a view's bounds.

A walk reads one page and the few documents by which its windows exceed it.
Next: query_service/paging/keyset.py
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from storelog.envelope import milliseconds, to_moment
from storelog.query_service.http.parameters import Range
from storelog.query_service.paging.ends import WalkedPages
from storelog.query_service.paging.keyset import TimeBounds, Walk
from storelog.query_service.positions.view import Document, View


class Milestones(Protocol):
    """Returns times ahead, the nearest first; see read_models/orders/milestones.py."""

    def __call__(
        self, view: View, bounds: TimeBounds, at: int, order_id: int | None, *, is_up: bool
    ) -> Awaitable[list[int]]: ...


@dataclass(frozen=True, slots=True)
class ByTime:
    """How a walk uses an index of a collection.

    `time` and `ties`: the fields of the index, the order's id being the first of the ties. `mark`:
    the field that is true for deleted documents, and `others` its value for all others. `at_once`:
    how many documents are read at a time. `milestones`: limits the windows after empty ones.
    `size_of`: returns about how many bytes a document has.
    """

    collection: str
    time: str
    ties: tuple[str, ...]
    mark: str
    others: bool | None
    at_once: int
    milestones: Milestones
    size_of: Callable[[Document], int]


def _all(_: Document) -> bool:
    return True


def walk(
    view: View,
    by: ByTime,
    match: Mapping[str, Any],
    span: Range,
    wanted: int,
    *,
    is_marked: bool = False,
    has: Callable[[Document], bool] = _all,
    fields: Mapping[str, int] | None = None,
) -> Walk | None:
    """Return a walk in the range, or None where it would be empty.

    `is_marked`: over deleted or cancelled documents instead of the others. `has`: a further check
    of each document. `fields`: the fields to read, for counting.
    """
    if view.place.oldest_order is None or view.place.newest_order is None:
        return None
    oldest, newest = milliseconds(view.place.oldest_order), milliseconds(view.place.newest_order)
    known = (oldest, newest)
    if span.start_ms is not None:
        oldest = max(oldest, span.start_ms)
    if span.end_ms is not None:
        newest = min(newest, span.end_ms - 1)
    if oldest > newest:
        return None

    def keep(found: Document) -> Document | None:
        was = view.as_was(by.collection, found)
        return was if was and bool(was.get(by.mark)) == is_marked and has(was) else None

    # A document that was deleted then is still deleted. One that existed may be deleted by now, so
    # a walk of the past must look among both.
    marked: tuple[bool | None, ...] = (True,)
    if not is_marked:
        marked = (by.others, True) if view.is_past else (by.others,)
    chunk = wanted if fields else min(wanted, by.at_once)
    documents = view.collection(by.collection)
    bounds = (to_moment(oldest), to_moment(newest))
    ahead = partial(by.milestones, view, bounds)
    pages = None
    # An event adds at most one document to a list, but to the cancelled sales all of an order.
    if view.ends is not None and not is_marked and fields is None:
        of = view.database.name, view.place.history, by.collection, *sorted(match.items()), span
        pages = WalkedPages(view.ends, of, view.position, wanted, by.time, by.size_of)
    return Walk(
        documents, match, by.time, by.ties, *bounds, wanted, chunk, by.mark, marked, keep, fields,
        ahead, known, pages,
    )  # fmt: skip
