"""What a read model declares of a collection; nothing has a default.

A fold takes one change and returns what it writes; it does no I/O. Several processes write one
collection, each the events of some lanes; one may fold an event again. So a document of a
`DocumentModel` is written by the events of one lane only.
What is added up is a `TotalsModel`. Next: read_models/totals.py
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storelog.documents.histories import Entry
from storelog.read_models.change import Change

Fields = dict[str, Any]
Index = list[tuple[str, int]]
# A document, and a position: the document as it was then, None when there was none.
AsWas = Callable[[Fields, int], Fields | None]


@dataclass(slots=True)
class Write:
    """Fields to set on one document, up to and including the event at `position`.

    `is_new`: the document begins here. `is_whole`: the fields are all of it, so that it may be made
    if it is missing. `is_mark`: set beside the owner's fields by another lane, in any order.
    `entries`: what the entity's history gets.
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
    """A collection of documents whose fields events set.

    `shape`: raised with every change of what a fold writes; a read model that was filled with
    another one is to be rebuilt. `schema`: the `$jsonSchema` that the server holds documents to,
    None for none. `newer`: the fields that documents of an earlier shape lack, each with the value
    that is shown for it; those of entities are declared with their structure. `as_was`: how a
    document is shown as of an earlier position; None: it cannot be, and `asOf` is rejected.
    """

    collection: str
    shape: int
    indexes: tuple[Index, ...]
    schema: Mapping[str, Any] | None
    newer: Mapping[str, Any]
    fold: Callable[[Change], list[Write]]
    as_was: AsWas | None
