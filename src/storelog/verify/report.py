"""What verify found: how much was checked, and each difference by name."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson.dbref import DBRef
from bson.decimal128 import Decimal128

from storelog.envelope import format_time

MAX_DIFFERENCES = 1_000


@dataclass(slots=True)
class Report:
    """`found` counts all differences, `differences` holds the first of them."""

    position: int = 0
    checked: dict[str, int] = field(default_factory=dict)
    differences: list[dict[str, Any]] = field(default_factory=list)
    found: int = 0
    repaired: int = 0

    def count(self, what: str, number: int = 1) -> None:
        """Note that so many were checked."""
        self.checked[what] = self.checked.get(what, 0) + number

    def differ(self, where: str, thing: Any, name: str, expected: Any, found: Any) -> None:
        """Note a difference; `where` is log, postgresql.TABLE or mongodb.COLLECTION."""
        self.found += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(
                {
                    "where": where,
                    "id": thing,
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
        return f"{value.collection}/{value.id}"
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, bool | int | str | float) or value is None:
        return value
    return repr(value)


def differing(expected: Any, found: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return where two values first differ, as (path, expected, found), or None."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in expected.keys() | found.keys():
            at = f"{path}.{name}" if path else str(name)
            if name not in expected or name not in found:
                return at, expected.get(name), found.get(name)
            inner = differing(expected[name], found[name], at)
            if inner is not None:
                return inner
        return None
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (left, right) in enumerate(zip(expected, found, strict=True)):
            inner = differing(left, right, f"{path}[{index}]")
            if inner is not None:
                return inner
        return None
    if isinstance(expected, Decimal128) and isinstance(found, Decimal128):
        same = expected.to_decimal() == found.to_decimal()
    else:
        kinds = {bool} & {type(expected), type(found)}
        same = expected == found and (not kinds or type(expected) is type(found))
    return None if same else (path, expected, found)
