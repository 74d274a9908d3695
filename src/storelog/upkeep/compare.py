"""Compares two read models, document by document, in memory that does not grow with them.

A first scan of each adds up hashes by bucket of ids; only buckets that differ are read again, and
compared field by field. What the live one has beyond the position of the other is left out; figures
are what `storelog verify` compares, since they lie in the documents as the batches came.
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
from storelog.verify.report import Place, Report, differing

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
            newer |= {histories.name_of(name, thing) for thing in comparison.newer}
    return report


class _Comparison:
    """One collection. `newer`: ids of documents that the live one has moved on meanwhile.

    `moved` names the things whose documents have: their histories may have closed a bucket since.
    """

    def __init__(self, report: Report, name: str, position: int, moved: set[str]) -> None:
        self._report = report
        self._name = name
        self._position = position
        self._moved = moved
        self.newer: set[Any] = set()

    def run(self, built: Database[Document], live: Database[Document]) -> None:
        # The embedded server keeps a scan whole in its memory: so one after the other.
        others = self._sums(live)
        sums = self._sums(built)
        self._report.count(f"mongodb.{self._name}", sum(count for count, _ in sums.values()))
        suspects = {bucket for bucket, _ in sums.items() ^ others.items()}
        if suspects:
            self._compare(self._pick(built, suspects), self._pick(live, suspects))

    def _read(self, database: Database[Document]) -> Iterator[Document]:
        """Yield the documents of the common past."""
        for found in database[self._name].find({}, batch_size=SCAN_DOCUMENTS):
            document = dict(found)
            # Which late events sums hold says how they came about, not what they are.
            document.pop("late", None)
            if _number(document.get("position")) > self._position:
                self.newer.add(document["_id"])
                continue
            if _number(document.get("cancelPosition")) > self._position:
                for name in _MARKS:
                    document.pop(name)
            if histories.OPEN in document:
                # A repeated event is kept twice and read once.
                own = histories.open_bucket(document)
                entries = histories.read_entries(own)
                before, starts = own.get("before"), own.get("starts", b"")
                document[histories.OPEN] = histories.make_bucket(before, entries, starts)
            yield document

    def _sums(self, database: Database[Document]) -> dict[int, tuple[int, int]]:
        """Return for each bucket of ids how many documents it has, and the sum of their hashes."""
        sums: dict[int, tuple[int, int]] = {}
        # What lies deeper than the first level is summed up as the bytes it is.
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
        for thing in built.keys() | live.keys():
            expected, found = built.get(thing), live.get(thing)
            if thing in self.newer or str(thing).partition("/")[0] in self._moved:
                continue
            if expected is None or found is None:
                places: list[Place] = [("document", expected, found)]
            else:
                places = differing(expected, found)
            for place in places:
                self._report.differ(f"mongodb.{self._name}", thing, *place)


def _bucket(thing: Any) -> int:
    return crc32(str(thing).encode()) % BUCKETS


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0
