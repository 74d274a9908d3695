"""The declaration of a read model's collection; nothing has a default.

A fold takes one change and returns the writes that it causes; it does no I/O. Several processes
write to one collection, each the events of some lanes, and may fold an event more than once. So a
document of a `DocumentModel` is written by the events of one lane only. A collection of sums is a
`TotalsModel`. Next: read_models/totals.py
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storelog.documents.histories import Entry
from storelog.read_models.change import Change

Fields = dict[str, Any]
Index = list[tuple[str, int]]
# Takes a document and a position; returns the document as it was then, None before it existed.
AsWas = Callable[[Fields, int], Fields | None]


@dataclass(slots=True)
class Write:
    """Fields to set on one document, up to and including the event at `position`.

    `is_new`: the event creates the document. `is_whole`: the fields are the complete document, so a
    missing one may be created from them. `is_mark`: another lane sets them beside the owner's
    fields, before or after those. `entries`: what the event adds to the entity's history.
    """

    collection: str
    document_id: int
    fields: Fields
    position: int
    is_new: bool = False
    is_whole: bool = False
    is_mark: bool = False
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class DocumentModel:
    """A collection of documents whose fields are set by events.

    `shape`: a number that is raised with every change of what a fold writes; a read model that was
    filled with another shape must be rebuilt. `schema`: the `$jsonSchema` that MongoDB enforces,
    or None. `newer`: the fields that documents of an earlier shape lack, each with the value that
    is shown for it; newer fields of entities are declared with their structure. `as_was`: returns
    a document as of an earlier position; None where that is unknown, and `asOf` is rejected.
    """

    collection: str
    shape: int
    indexes: tuple[Index, ...]
    schema: Mapping[str, Any] | None
    newer: Mapping[str, Any]
    fold: Callable[[Change], list[Write]]
    as_was: AsWas | None
