"""The report of verify: how much was checked, and each difference."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from bson.dbref import DBRef
from bson.decimal128 import Decimal128

from storelog.envelope import format_time

MAX_DIFFERENCES = 1_000
# The most fields of one document that are reported.
MAX_FIELDS = 20
# The path of a field, what is expected there, and what is found.
FieldDifference = tuple[str, Any, Any]


@dataclass(slots=True)
class Report:
    """`found` counts all differences, `differences` holds the first of them.

    `discarded`: the positions that the read model leaves out because an operator discarded them.
    `closed_anchors`: signed heads whose events the log has lost, closed by `storelog recover`.
    `not_checked`: what could not be compared, and why. `to_do`: what is needed, by which command.
    """

    position: int = 0
    checked: dict[str, int] = field(default_factory=dict)
    differences: list[dict[str, Any]] = field(default_factory=list)
    found: int = 0
    repaired: int = 0
    discarded: list[int] = field(default_factory=list)
    closed_anchors: list[dict[str, Any]] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        """Note that so many were checked."""
        self.checked[what] = self.checked.get(what, 0) + number

    def differ(self, where: str, subject: Any, name: str, expected: Any, found: Any) -> None:
        """Note a difference; `where` is log, postgresql.TABLE or mongodb.COLLECTION."""
        self.found += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(
                {
                    "where": where,
                    "id": subject,
                    "field": name,
                    "expected": plain(expected),
                    "found": plain(found),
                }
            )

    def facts(self) -> dict[str, Any]:
        """Return the report as the contract shows it."""
        facts = {
            "position": self.position,
            "checked": self.checked,
            "differences": self.differences,
        }
        if self.found > len(self.differences):
            facts["differencesInAll"] = self.found
        if self.repaired:
            facts["repaired"] = self.repaired
        if self.discarded:
            facts["discarded"] = self.discarded
        if self.closed_anchors:
            facts["closedAnchors"] = self.closed_anchors
        if self.not_checked:
            facts["notChecked"] = self.not_checked
        if self.to_do:
            facts["toDo"] = self.to_do
        return facts


def plain(value: Any) -> Any:
    """Return a value as JSON can show it."""
    if isinstance(value, Decimal128 | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, dict) and value.keys() == {"$ref", "$id"}:
        return f"{value['$ref']}/{value['$id']}"
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, bool | int | str | float) or value is None:
        return value
    return repr(value)


def differing(expected: Any, found: Any) -> list[FieldDifference]:
    """Return where two values differ, in order of names: the first MAX_FIELDS places."""
    return list(islice(_places(expected, found, ""), MAX_FIELDS))


def _places(expected: Any, found: Any, path: str) -> Iterator[FieldDifference]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys(), key=str):
            at = f"{path}.{name}" if path else str(name)
            if name in expected and name in found:
                yield from _places(expected[name], found[name], at)
            else:
                yield at, expected.get(name), found.get(name)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from _places(left, right, f"{path}[{index}]")
    elif not _is_same(expected, found):
        yield path, expected, found


def _is_same(expected: Any, found: Any) -> bool:
    if isinstance(found, DBRef):
        found = found.as_doc()
    if isinstance(expected, Decimal128) and isinstance(found, Decimal128):
        return bool(expected.to_decimal() == found.to_decimal())
    # In Python True equals 1, but MongoDB stores them as different types.
    kinds = {bool} & {type(expected), type(found)}
    return bool(expected == found) and (not kinds or type(expected) is type(found))
