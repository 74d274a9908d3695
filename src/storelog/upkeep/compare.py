"""Compares two read models, document by document, in memory that does not grow with them.

A first scan of each adds up hashes by bucket of ids; only buckets that differ are read again, and
compared field by field. Documents of the live one beyond the other's position are left out.
`storelog verify` compares the totals, whose documents depend on how the batches were cut.
Next: verify/report.py
"""

import hashlib
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from storelog.documents import histories
from storelog.projector.databases.shapes import read_shapes
from storelog.read_models.listed import BY_COLLECTION
from storelog.read_models.shapes import differing as differing_shapes
from storelog.verify.report import FieldDifference, Report, differing

# So many that a few differences leave nearly all buckets equal.
BUCKETS = 65_536
SCAN_DOCUMENTS = 500
_MARKS = ("cancelled", "cancelPosition")
_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
Document = dict[str, Any]


def compare(built: Database[Document], live: Database[Document], position: int) -> Report:
    """Return where `live` differs from `built`, which holds the log up to `position`."""
    report = Report(position)
    newer: set[str] = set()
    others = differing_shapes(read_shapes(live))
    same = [name for name in BY_COLLECTION if name not in others]
    for name in (*same, histories.COLLECTION):
        comparison = _Comparison(report, name, position, newer)
        comparison.run(built, live)
        if name in histories.KEPT_IN:
            newer |= {histories.name_of(name, number) for number in comparison.newer}
    return report


class _Comparison:
    """One collection. `newer`: ids of documents that the live one has changed meanwhile.

    `moved`: names of entities whose documents have changed, and whose histories may therefore have
    closed a bucket since.
    """

    def __init__(self, report: Report, name: str, position: int, moved: set[str]) -> None:
        self._report = report
        self._name = name
        self._position = position
        self._moved = moved
        self.newer: set[Any] = set()

    def run(self, built: Database[Document], live: Database[Document]) -> None:
        # One after the other, since the embedded server keeps all of a scan in its memory.
        others = self._sums(live)
        sums = self._sums(built)
        self._report.count(f"mongodb.{self._name}", sum(count for count, _ in sums.values()))
        suspects = {bucket for bucket, _ in sums.items() ^ others.items()}
        if suspects:
            self._compare(self._pick(built, suspects), self._pick(live, suspects))

    def _read(self, database: Database[Document]) -> Iterator[Document]:
        """Yield the documents that both should have alike."""
        for found in database[self._name].find({}, batch_size=SCAN_DOCUMENTS):
            document = dict(found)
            # `late` tells how the sums came about, not what they are.
            document.pop("late", None)
            if _number(document.get("position")) > self._position:
                self.newer.add(document["_id"])
                continue
            if _number(document.get("cancelPosition")) > self._position:
                for name in _MARKS:
                    document.pop(name)
            if histories.OPEN in document:
                # An event that was applied twice is stored twice and read once.
                own = histories.open_bucket(document)
                entries = histories.read_entries(own)
                before, starts = own.get("before"), own.get("starts", b"")
                document[histories.OPEN] = histories.make_bucket(before, entries, starts)
            yield document

    def _sums(self, database: Database[Document]) -> dict[int, tuple[int, int]]:
        """Return, for each bucket of ids, the number of documents and the sum of their hashes."""
        sums: dict[int, tuple[int, int]] = {}
        # Raw documents: below the first level the bytes are hashed as they are, which is faster.
        for document in self._read(database.with_options(_RAW)):
            raw = bson.encode(dict(sorted(document.items())))
            digest = int.from_bytes(hashlib.blake2b(raw, digest_size=16).digest())
            bucket = _bucket(document["_id"])
            count, total = sums.get(bucket, (0, 0))
            sums[bucket] = count + 1, total + digest
        return sums

    def _pick(self, database: Database[Document], suspects: set[int]) -> dict[Any, Document]:
        return {d["_id"]: d for d in self._read(database) if _bucket(d["_id"]) in suspects}

    def _compare(self, built: dict[Any, Document], live: dict[Any, Document]) -> None:
        for document_id in built.keys() | live.keys():
            expected, found = built.get(document_id), live.get(document_id)
            if document_id in self.newer or str(document_id).partition("/")[0] in self._moved:
                continue
            if expected is None or found is None:
                places: list[FieldDifference] = [("document", expected, found)]
            else:
                places = differing(expected, found)
            for place in places:
                self._report.differ(f"mongodb.{self._name}", document_id, *place)


def _bucket(document_id: Any) -> int:
    return crc32(str(document_id).encode()) % BUCKETS


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0
