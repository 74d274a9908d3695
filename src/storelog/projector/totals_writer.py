"""Keeps the totals: reads a document, adds what is above its position, writes by comparison.

Documents that were used lately stay in memory; after any error the lane is loaded again, and with
it all of this.
Next: projector/read_models/totals.py
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson.int64 import Int64
from pymongo import InsertOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.domain.money import exact_sum
from storelog.projector.checkpoints import Fenced
from storelog.projector.footing import Footing
from storelog.projector.read_models.document import money
from storelog.projector.read_models.totals import COLLECTION, Delta, Key
from storelog.read_side import IDS_AT_ONCE

MAX_KEPT_ENTRIES = 60_000


@dataclass(frozen=True, slots=True)
class Total:
    """One entry: units, exact sales, number of orders."""

    units: int = 0
    sales: Decimal = Decimal(0)
    orders: int = 0

    def plus(self, delta: Delta) -> "Total":
        """Return the entry with the delta added."""
        sales = exact_sum((self.sales, delta.sales))
        return Total(self.units + delta.units, sales, self.orders + delta.orders)

    def fields(self) -> dict[str, Any]:
        """Return the entry as MongoDB keeps it."""
        return {"units": Int64(self.units), "sales": money(self.sales), "orders": self.orders}


@dataclass(slots=True)
class _Document:
    """`late`: positions that were added after later ones: they had waited as dead letters."""

    position: int = 0
    entries: dict[str, Total] = field(default_factory=dict)
    late: list[int] = field(default_factory=list)


class TotalsWriter:
    """One lane's totals."""

    def __init__(self, database: Database[dict[str, Any]], footing: Footing) -> None:
        self._collection = database[COLLECTION]
        self._footing = footing
        self._kept: OrderedDict[str, _Document] = OrderedDict()

    def write(self, deltas: Iterable[Delta], *, are_late: bool = False) -> None:
        """Add the deltas to the figures, each once. Raises Fenced and PyMongoError.

        `are_late`: below a document's position they are no repeats, unless it names them.
        """
        by_key: dict[Key, list[Delta]] = {}
        for delta in deltas:
            by_key.setdefault(delta.key, []).append(delta)
        self._load([str(key) for key in by_key])
        operations = [
            operation
            for key, added in by_key.items()
            if (operation := self._operation(key, added, are_late=are_late)) is not None
        ]
        if not operations:
            return
        try:
            with self._footing.step():
                done = self._collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            raise Fenced("totals") from error
        if done.inserted_count + done.matched_count != len(operations):
            raise Fenced("totals")
        self._forget_oldest()

    def _load(self, keys: list[str]) -> None:
        missing = [key for key in keys if key not in self._kept]
        for start in range(0, len(missing), IDS_AT_ONCE):
            some = missing[start : start + IDS_AT_ONCE]
            with self._footing.step():
                documents = list(self._collection.find({"_id": {"$in": some}}))
            for found in documents:
                entries = {name: read_total(entry) for name, entry in found["entries"].items()}
                late = [int(position) for position in found.get("late", ())]
                self._kept[found["_id"]] = _Document(int(found["position"]), entries, late)

    def _operation(
        self, key: Key, deltas: list[Delta], *, are_late: bool
    ) -> InsertOne[dict[str, Any]] | UpdateOne | None:
        name = str(key)
        document = self._kept.setdefault(name, _Document())
        self._kept.move_to_end(name)
        before = document.position
        late = set(document.late)
        changed: dict[str, Total] = {}
        for delta in deltas:
            is_late = are_late and delta.position <= before and delta.position not in late
            if delta.position > before or is_late:
                entry = document.entries.get(delta.entry, Total()).plus(delta)
                changed[delta.entry] = document.entries[delta.entry] = entry
                document.position = max(document.position, delta.position)
                if is_late:
                    document.late.append(delta.position)
        if not changed:
            return None
        if before == 0:
            return InsertOne(
                {
                    "_id": name,
                    "kind": key.kind,
                    "period": key.period,
                    "lane": key.lane,
                    "bucket": key.bucket,
                    "entries": {entry: total.fields() for entry, total in changed.items()},
                    "position": Int64(document.position),
                }
            )
        fields: dict[str, Any] = {f"entries.{e}": total.fields() for e, total in changed.items()}
        fields["position"] = Int64(document.position)
        if len(document.late) > len(late):
            fields["late"] = [Int64(position) for position in document.late]
        return UpdateOne({"_id": name, "position": Int64(before)}, {"$set": fields})

    def _forget_oldest(self) -> None:
        kept = sum(len(document.entries) for document in self._kept.values())
        while kept > MAX_KEPT_ENTRIES:
            _, oldest = self._kept.popitem(last=False)
            kept -= len(oldest.entries)


def read_total(entry: dict[str, Any]) -> Total:
    """Return an entry from what MongoDB keeps."""
    return Total(int(entry["units"]), entry["sales"].to_decimal(), int(entry["orders"]))
