"""Reads the query parameters of lists and analytics; one error names all wrong ones.

Next: query_service/paging/keyset.py
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct

from storelog.envelope import milliseconds, parse_day_or_time, to_moment
from storelog.errors import InvalidFields
from storelog.shop import events
from storelog.shop.fields import unique_fields_of
from storelog.shop.kinds import MAX_ID, Text
from storelog.shop.value_schemas import ID
from storelog.words import AskedWord, asked_words

MAX_LIMIT = 500
DEFAULT_LIMIT = 50
MAX_QUERY_LENGTH = 200
MAX_QUERY_WORDS = 10
_TIME: dict[str, Any] = {
    "description": "A day (2026-01-31) or an RFC 3339 time, rounded up to a millisecond. The range"
    " includes `from` and excludes `to`.",
    "oneOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}],
}
LIMIT: dict[str, Any] = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_LIMIT,
    "default": DEFAULT_LIMIT,
    "description": "The largest number of items. A page of large orders also ends at about 2 MiB.",
}
RANGE = {"from": _TIME, "to": _TIME}
_CURSOR = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]+$",
    "maxLength": 1000,
    "description": "The `nextCursor` of the page before, with the same filters.",
}
PAGE = {"limit": LIMIT, "cursor": _CURSOR}
CUSTOMER, PRODUCT, ORDER = (
    {kind.id_name: ID} for kind in (events.CUSTOMER, events.PRODUCT, events.ORDER)
)
SEARCH: dict[str, Any] = {
    "q": {
        "type": "string",
        "maxLength": MAX_QUERY_LENGTH,
        "pattern": r"^[^\u0000]*$",
        "description": f"1 to {MAX_QUERY_WORDS} beginnings of words of the name, in any case.",
    },
    "sort": {"enum": ["id", "-id"], "default": "id"},
}
COUNT: dict[str, Any] = {
    "count": {
        "type": "boolean",
        "description": "Also count the items of all pages: `count`. If `countIsExact` is false,"
        " there are at least that many.",
    }
}


@dataclass(frozen=True, slots=True)
class Range:
    """A half-open time range; None is open.

    Times in documents are whole milliseconds, so a finer bound is rounded up.
    """

    start: datetime | None = None
    end: datetime | None = None

    @property
    def start_ms(self) -> int | None:
        """The first millisecond inside."""
        return _ceiling(self.start)

    @property
    def end_ms(self) -> int | None:
        """The first millisecond after the range."""
        return _ceiling(self.end)


def _ceiling(at: datetime | None) -> int | None:
    if at is None:
        return None
    whole = milliseconds(at)
    return whole + 1 if at.microsecond % 1000 else whole


class Parameters:
    """Reads parameters one by one; `done` raises one error with everything that was wrong."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self._errors: list[tuple[str, str]] = []

    def number(self, name: str) -> int | None:
        """Take an id."""
        return self._integer(name, MAX_ID)

    def limit(self) -> int:
        """Take the page's size."""
        return self._integer("limit", MAX_LIMIT) or DEFAULT_LIMIT

    def _integer(self, name: str, highest: int) -> int | None:
        given = self._query.get(name)
        if given is None:
            return None
        if re.fullmatch(r"[1-9]\d{0,18}", given, re.ASCII) and int(given) <= highest:
            return int(given)
        self._errors.append((f"?{name}", f"must be a whole number from 1 to {highest}"))
        return None

    def words(self) -> list[AskedWord]:
        """Take the words to search for, as an empty list without `q`."""
        given = self._query.get("q")
        if given is None:
            return []
        words = asked_words(given) if len(given) <= MAX_QUERY_LENGTH else []
        if not 1 <= sum(map(len, words)) <= MAX_QUERY_WORDS:
            self._errors.append(("?q", f"must have 1 to {MAX_QUERY_WORDS} words"))
        return words

    def unique(self, structure: type[Struct]) -> dict[str, str]:
        """Take the values of a structure's unique fields, by their names."""
        given = {}
        for field in unique_fields_of(structure):
            value = self._query.get(field.json)
            if value is None:
                continue
            given[field.json] = value
            kind = field.kind
            if not isinstance(kind, Text) or not kind.shortest <= len(value) <= kind.longest:
                limits = f"{kind.shortest} to {kind.longest}" if isinstance(kind, Text) else "no"
                self._errors.append((f"?{field.json}", f"must have {limits} characters"))
        return given

    def sort(self, *keys: str) -> str:
        """Take one of the keys to sort by; the first is the default."""
        given = self._query.get("sort", keys[0])
        if given not in keys:
            self._errors.append(("?sort", f"must be one of {', '.join(keys)}"))
        return given

    def flag(self, name: str) -> bool | None:
        """Take true or false."""
        given = self._query.get(name)
        if given not in (None, "true", "false"):
            self._errors.append((f"?{name}", "must be true or false"))
        return None if given is None else given == "true"

    def range(self) -> Range:
        """Take `from` and `to`."""
        start, end = self._moment("from"), self._moment("to")
        if start and end and start > end:
            self._errors.append(("?from", "must not be after `to`"))
        return Range(start, end)

    def _moment(self, name: str) -> datetime | None:
        given = self._query.get(name)
        if given is None:
            return None
        try:
            return to_moment(parse_day_or_time(given, round_up=True))
        except ValueError:
            self._errors.append(
                (f"?{name}", "must be a day or a time such as 2026-01-31T12:00:00Z")
            )
            return None

    def done(self) -> None:
        """Raise InvalidFields if anything was wrong."""
        if self._errors:
            raise InvalidFields(self._errors)
