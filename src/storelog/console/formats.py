"""Formats of values on pages: money, numbers, times, bytes, fields of the log.

Next: console/page.py
"""

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def money(value: Any) -> str:
    """Return an amount with thousands separators and all its places: 1,234.50."""
    try:
        return f"{Decimal(str(value)):,f}"
    except InvalidOperation:
        return str(value)


def number(value: Any) -> str:
    """Return a whole number with thousands separators."""
    return f"{int(value):,}"


def moment(value: Any) -> str:
    """Return an RFC 3339 time in a readable form, in UTC: 2026-01-31 12:00:05."""
    text = str(value)
    return text[:19].replace("T", " ") if _TIME.fullmatch(text) else text


def size(value: Any) -> str:
    """Return a number of bytes in a suitable unit."""
    if value is None:
        return "not known"
    amount = float(value)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1_024:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1_024
    return f"{amount:,.1f} GiB"


def words(value: Any) -> str:
    """Return a name of the API in words: ProductUpdated is Product updated."""
    return _WORD.sub(" ", str(value)).replace("-", " ").capitalize()


def shown(value: Any) -> str:
    """Return any value of an event as one line."""
    if value is None:
        return "\u2013"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"{len(value)} lines" if len(value) != 1 else "1 line"
    return moment(value)


def ago(seconds: float) -> str:
    """Return how long ago something was, in its largest unit."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def age(then: str, now: datetime) -> str:
    """Return how long before `now` an RFC 3339 time was."""
    return ago(max(0.0, (now - datetime.fromisoformat(then)).total_seconds()))


FILTERS = {
    "money": money,
    "number": number,
    "moment": moment,
    "size": size,
    "words": words,
    "shown": shown,
}
