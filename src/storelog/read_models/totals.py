"""Read models that add up: sums and counts of each key, exact however often an event is delivered.

Events of many lanes add to one key. So each lane has a document of its own for each key, which only
the owner of the lane writes. It names the last position that it holds, and already includes every
event at or below that. A dead letter that is retried lies below, so its position is kept in `late`
for as long as the letter may come again. Pure.
Next: projector/write/totals_writer.py
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Literal

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from storelog.documents.forms import decimal128
from storelog.errors import PoisonRecord
from storelog.read_models.change import Change
from storelog.read_models.read_model import Fields, Index

TotalKey = int | str
# Far below the 34 digits that a document holds, so that sums of many additions stay exact.
MAX_KEY_LENGTH, MAX_ADDED = 200, 10**22
_EXACT = Context(prec=34)


@dataclass(frozen=True, slots=True)
class Sum:
    """One sum of a read model: a count, which is a whole number, or an amount, which is a decimal.

    `since`: the first shape that has it. `before`: the value shown where an earlier one is stored.
    """

    name: str
    kind: Literal["count", "amount"]
    since: int
    before: Any


@dataclass(frozen=True, slots=True)
class Added:
    """What one event adds to the sums of one key; a negative number subtracts.

    Sums that are not named keep their values.
    """

    key: TotalKey
    sums: Mapping[str, int | Decimal]


# What one event adds to one document, with its position.
Addition = tuple[int, Mapping[str, int | Decimal]]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class TotalsModel:
    """A collection of sums by key.

    `shape`: a number that is raised with every change of what a fold adds. `keys`: int for ids, str
    for texts; sums by another key are another read model. `fold`: returns what an event adds.
    """

    collection: str
    shape: int
    keys: type[int | str]
    sums: tuple[Sum, ...]
    fold: Callable[[Change], Iterable[Added]]

    @property
    def indexes(self) -> tuple[Index, ...]:
        """The indexes: one, in which a page of keys is a range."""
        return ([("key", 1)],)

    @property
    def schema(self) -> Mapping[str, Any]:
        """The types of the documents."""
        kinds = {"count": "long", "amount": "decimal"}
        types: dict[str, Any] = {"_id": "string", "lane": ["int", "long"], "position": "long"}
        types |= {each.name: kinds[each.kind] for each in self.sums}
        properties = {name: {"bsonType": kind} for name, kind in types.items()}
        return {"bsonType": "object", "required": [*types][:3], "properties": properties}

    @property
    def as_was(self) -> None:
        """None, since earlier values of the sums are not kept: the endpoint rejects `asOf`."""
        return

    def sums_of(self, shape: int) -> tuple[Sum, ...]:
        """Return the sums that are kept where the stored shape is this one."""
        return tuple(each for each in self.sums if each.since <= shape)

    def additions(self, change: Change) -> list[Added]:
        """Return what a change adds, checked. Raises PoisonRecord."""
        found = list(self.fold(change))
        for added in found:
            _check(self.collection, added)
        return found


def _check(collection: str, added: Added) -> None:
    if isinstance(added.key, str) and len(added.key) > MAX_KEY_LENGTH:
        raise PoisonRecord(f"{collection}: a key of more than {MAX_KEY_LENGTH} characters")
    # As a dead letter the event stops itself alone; a sum that MongoDB rejects would stop its lane.
    if any(not -MAX_ADDED <= number <= MAX_ADDED for number in added.sums.values()):
        raise PoisonRecord(f"{collection}: more than a sum can hold")


def id_of_total(lane: int, key: TotalKey) -> str:
    """Return the `_id` of the document of a lane and a key."""
    return f"{lane}/{key}"


def plus(one: int | Decimal, other: int | Decimal) -> int | Decimal:
    """Return the sum, exact to 34 digits."""
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return _EXACT.add(Decimal(one), Decimal(other))


def stored(kind: str, number: int | Decimal) -> Int64 | Decimal128:
    """Return a number as a document has it."""
    return Int64(number) if kind == "count" else decimal128(str(number))


def number_in(value: Any) -> int | Decimal:
    """Return a number of a document."""
    return value.to_decimal() if isinstance(value, Decimal128) else int(value)


def missing(
    found: Fields | None, additions: Sequence[Addition], *, are_late: bool
) -> list[Addition]:
    """Return the additions that a document lacks; `are_late`: they come from dead letters."""
    if found is None:
        return list(additions)
    if are_late:
        known = set(found.get("late", ()))
        return [each for each in additions if each[0] not in known]
    return [each for each in additions if each[0] > found["position"]]


def total_with(
    found: Fields | None,
    place: tuple[int, TotalKey],
    additions: Sequence[Addition],
    sums: Sequence[Sum],
) -> Fields:
    """Return the document of a place, a lane and a key, with what is added to it."""
    lane, key = place
    before = found or {}
    # A late addition is below the position that the document holds, which must not go back.
    at = max(int(before.get("position", 0)), *(position for position, _ in additions))
    document: Fields = {
        "lane": lane,
        "key": Int64(key) if isinstance(key, int) else key,
        "position": Int64(at),
    }
    for each in sums:
        total = number_in(before.get(each.name, 0))
        for _, added in additions:
            total = plus(total, added.get(each.name, 0))
        document[each.name] = stored(each.kind, total)
    return document


def with_late(document: Fields, kept: Collection[int]) -> Fields:
    """Return the document with the late positions that it includes and that may come again."""
    late = {"late": [Int64(position) for position in sorted(kept)]} if kept else {}
    return {**document, **late}
