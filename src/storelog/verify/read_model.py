"""Compares every document of MongoDB with the log, at the position that the document itself names.

First all documents are read once and added up: their contents by position, their versions by id.
Then the log is folded and subtracted from the sums. So writes may go on meanwhile, memory does not
grow with orders or events, and only sums that are not zero are inspected.
Next: verify/suspects.py
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
from pymongo.asynchronous.database import AsyncDatabase

from storelog.documents.histories import OPEN
from storelog.read_models.change import Change
from storelog.read_models.shapes import Shapes
from storelog.verify.digests import Bits, HashSums, digest
from storelog.verify.expected import EntityKey, Expected
from storelog.verify.fold import COLLECTIONS, ExpectedWrite
from storelog.verify.listed_documents import Models, filled_models, other_shapes
from storelog.verify.newer import fill_document
from storelog.verify.report import Report
from storelog.verify.suspects import Inspection, Suspects, marks_of

# The embedded Python server reads a collection fastest in batches of this size.
SCAN_DOCUMENTS = 500
Document = dict[str, Any]


class _Collection:
    """The sums of one collection, `found` minus `expected`."""

    def __init__(self, highest: int) -> None:
        self.claims = Bits(highest)
        self.contents = HashSums()
        self.versions = HashSums()
        self.marks = HashSums()
        self.has_strays = False

    def suspects(self) -> Suspects:
        return Suspects(
            self.contents.suspects(),
            self.versions.suspects(),
            self.marks.suspects(),
            self.has_strays,
        )


class ComparedDocuments:
    """The documents as of `position`; newer ones are compared at their own position."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        report: Report,
        position: int,
        connection: asyncpg.Connection,
    ) -> None:
        self._database = database
        self._report = report
        self._position = position
        self._connection = connection
        self._models: Models = ()
        self._expected = Expected(connection)
        self._collections: dict[str, _Collection] = {}
        self._newer: dict[EntityKey, int] = {}

    async def scan(self, head: int, shapes: Shapes) -> int:
        """Read all documents once; return the newest position among them.

        `shapes`: those that the read models were filled with. `head`: a position of the log that no
        document had passed when the scan began.
        """
        newest = 0
        self._models = filled_models(shapes)
        for name in other_shapes(shapes):
            self._report.not_checked.append(f"mongodb.{name}: it has another release's shape")
        self._expected = Expected(self._connection, self._models)
        for name in (*COLLECTIONS, *(model.collection for model in self._models)):
            # Documents written meanwhile may be beyond the head; one far beyond it is damaged.
            highest = 2 * head + 1_000_000
            sums = self._collections[name] = _Collection(highest)
            cursor = self._database[name].find({}, batch_size=SCAN_DOCUMENTS)
            async for document in cursor:
                document.pop(OPEN, None)
                fill_document(name, document)
                at = document.get("position")
                if isinstance(at, int) and 0 < at <= highest:
                    newest = max(newest, self._found(name, sums, document, at))
                else:
                    sums.has_strays |= at is not None or not marks_of(document)
                self._add_marks(sums, document)
        return newest

    def _found(self, name: str, sums: _Collection, document: Document, at: int) -> int:
        document_id = document.pop("_id")
        marks = marks_of(document)
        if not isinstance(document_id, int):
            sums.has_strays = True
            return 0
        fields = {n: value for n, value in document.items() if n not in marks}
        document["_id"] = document_id
        sums.claims.add(at)
        sums.contents.add(at, digest(fields))
        # By id, since a missing or outdated document claims no position of the log.
        sums.versions.add(document_id, hash((document_id, fields.get("version", 0))))
        if at > self._position:
            self._newer[name, document_id] = at
        else:
            self._report.count(f"mongodb.{name}")
        return at

    def _add_marks(self, sums: _Collection, document: Document) -> None:
        marks = marks_of(document)
        at = marks.get("cancelPosition", 0)
        if marks and isinstance(at, int) and at <= self._position:
            sums.marks.add(document["_id"], digest(marks))

    async def fold(self, changes: Sequence[Change]) -> None:
        """Subtract a chunk of the log, up to the position, from the sums."""
        for change, write in await self._expected.writes(changes):
            sums = self._collections[write.collection]
            if write.is_mark:
                sums.marks.add(write.document_id, -digest(write.fields))
                continue
            self._take_version(sums, change, write)
            if change.position in sums.claims:
                sums.contents.add(change.position, -digest(write.fields))

    def _take_version(self, sums: _Collection, change: Change, write: ExpectedWrite) -> None:
        """Subtract the document's new version, and add its previous one again."""
        document_id, has_version = write.document_id, "version" in write.fields
        sums.versions.add(document_id, -hash((document_id, change.version if has_version else 0)))
        if not write.is_new:
            sums.versions.add(
                document_id, hash((document_id, change.version - 1 if has_version else 0))
            )

    async def fold_later(self, changes: Sequence[Change]) -> None:
        """Subtract newer events, for the documents that hold them already."""
        for change, write in await self._expected.writes(changes):
            held = self._newer.get((write.collection, write.document_id), 0)
            if write.is_mark or change.position > held:
                continue
            sums = self._collections[write.collection]
            self._take_version(sums, change, write)
            if change.position in sums.claims:
                sums.contents.add(change.position, -digest(write.fields))
                if change.position == held:
                    self._report.count(f"mongodb.{write.collection}")

    def inspection(self) -> Inspection | None:
        """Return the inspection of sums that are not zero; None if all are."""
        found = {name: sums.suspects() for name, sums in self._collections.items()}
        suspects = {name: buckets for name, buckets in found.items() if buckets}
        if not suspects:
            return None
        expected = Expected(self._connection, self._models)
        return Inspection(self._database, self._report, self._position, suspects, expected)
