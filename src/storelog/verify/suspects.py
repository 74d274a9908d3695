"""Inspects the documents whose sums did not agree: reads them again and compares field by field.

It keeps in memory only documents of buckets that differ. Documents and log are read again, so a
document that only moved on meanwhile is no difference.
Next: verify/repair.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from storelog.documents.histories import OPEN
from storelog.read_models.change import Change
from storelog.verify.digests import POSITIONS
from storelog.verify.expected import EntityKey, Expected
from storelog.verify.fold import SALES, ExpectedWrite, Fields
from storelog.verify.newer import fill_document
from storelog.verify.report import FieldDifference, Report, differing

MARKS = ("cancelled", "cancelPosition")
SCAN_DOCUMENTS = 500
Document = dict[str, Any]


def marks_of(document: Document) -> Fields:
    """Return the fields that another lane sets on a document."""
    return {name: document[name] for name in MARKS if name in document}


@dataclass(frozen=True, slots=True)
class Suspects:
    """Buckets of one collection that differ: by position, by id, and by id in their marks."""

    positions: set[int]
    ids: set[int]
    marked: set[int]
    has_strays: bool = False

    def __bool__(self) -> bool:
        return bool(self.positions or self.ids or self.marked or self.has_strays)

    def has_id(self, document_id: Any) -> bool:
        """Tell whether the document of this id is in a bucket that differs."""
        if not isinstance(document_id, int):
            return True
        return document_id // POSITIONS in self.ids or document_id // POSITIONS in self.marked

    def has(self, document: Document) -> bool:
        """Tell whether a document is in a bucket that differs."""
        at = document.get("position")
        if not isinstance(at, int) or at <= 0:
            return True
        return at // POSITIONS in self.positions or self.has_id(document["_id"])


@dataclass(frozen=True, slots=True)
class Repair:
    """The right document; None: it must not exist. `is_forced`: its position may be wrong."""

    fields: Fields | None
    is_forced: bool = False


@dataclass(slots=True)
class _Case:
    """One document: as found, as of the run's position, as of its own, and as of the log's end."""

    found: Document | None = None
    due: Fields | None = None
    claimed: Fields | None = None
    newest: Fields | None = None
    marks: Fields = field(default_factory=dict)
    due_marks: Fields = field(default_factory=dict)


class Inspection:
    """A second reading. `repairs` and `mark_repairs` have the right documents."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        report: Report,
        position: int,
        suspects: dict[str, Suspects],
        expected: Expected,
    ) -> None:
        self._database = database
        self._report = report
        self._position = position
        self._suspects = suspects
        self._expected = expected
        self._cases: dict[EntityKey, _Case] = {}
        self.repairs: dict[EntityKey, Repair] = {}
        self.mark_repairs: dict[int, Fields | None] = {}

    async def read(self) -> None:
        """Read the documents of the buckets that differ."""
        for name, suspects in self._suspects.items():
            async for document in self._database[name].find({}, batch_size=SCAN_DOCUMENTS):
                # The open bucket of the history is compared separately.
                document.pop(OPEN, None)
                fill_document(name, document)
                if suspects.has(document):
                    self._cases[name, document["_id"]] = _Case(document)

    async def fold(self, changes: Sequence[Change]) -> None:
        """Fold a chunk of the log, from its beginning to its present end."""
        for change, write in await self._expected.writes(changes):
            key = (write.collection, write.document_id)
            case = self._cases.get(key)
            if case is None:
                suspects = self._suspects.get(write.collection)
                if suspects is None or not suspects.has_id(write.document_id):
                    continue
                case = self._cases[key] = _Case()
            self._note(case, change.position, write)

    def _note(self, case: _Case, position: int, write: ExpectedWrite) -> None:
        if write.is_mark:
            case.marks = write.fields
            if position <= self._position:
                case.due_marks = write.fields
            return
        case.newest = write.fields
        if position <= self._position:
            case.due = write.fields
        if case.found is not None and case.found.get("position") == position:
            case.claimed = write.fields

    def finish(self) -> None:
        """Report what differs."""
        for key, case in self._cases.items():
            if not self._settle(key, case) and key[0] == SALES:
                self._compare_marks(key, case)

    def _settle(self, key: EntityKey, case: _Case) -> bool:
        """Compare the fields of the document's own lane; return whether any differ."""
        found, newest = case.found, case.newest
        at = None if found is None else found.get("position")
        if newest is None:
            # A document with marks alone belongs to a sale that is a dead letter.
            if found is None or (at is None and case.marks):
                return False
            return self._differ(key, ("document", None, at), Repair(None, is_forced=True))
        if found is None or not isinstance(at, int):
            if case.due is None:
                return False
            place = ("document", "a document", None) if found is None else ("position", 1, at)
            return self._differ(key, place, Repair(newest))
        if case.due is not None and at < case.due["position"]:
            return self._differ(key, ("position", case.due["position"], at), Repair(newest))
        if case.claimed is None:
            wrong = ("position", "an event of it", at)
            return self._differ(key, wrong, Repair(newest, is_forced=True))
        marks = marks_of(found)
        fields = {n: v for n, v in found.items() if n != "_id" and n not in marks}
        places = differing(case.claimed, fields)
        for place in places:
            self._differ(key, place, Repair(newest))
        return bool(places)

    def _differ(self, key: EntityKey, place: FieldDifference, repair: Repair) -> bool:
        document_id = key[1] if isinstance(key[1], int | str) else repr(key[1])
        self._report.differ(f"mongodb.{key[0]}", document_id, *place)
        self.repairs[key] = repair
        return True

    def _compare_marks(self, key: EntityKey, case: _Case) -> None:
        found = marks_of(case.found or {})
        if found == case.marks or (not found and not case.due_marks):
            return
        self._report.differ(f"mongodb.{key[0]}", key[1], "cancelled", case.marks, found or None)
        self.mark_repairs[key[1]] = case.marks or None

    def marks_of(self, key: EntityKey) -> Fields:
        """Return the marks that a document must have."""
        case = self._cases.get(key)
        return case.marks if case is not None else {}
