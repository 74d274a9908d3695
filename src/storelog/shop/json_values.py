"""Declared structures as JSON and back: money and times as the contract writes them.

Next: event_codec.py
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from storelog.envelope import format_time, in_utc
from storelog.shop.kinds import Money, Time
from storelog.shop.money import format_money
from storelog.typed_cache import cached

# MongoDB's decimals hold this many digits exactly. No release accepted an amount whose first digit
# is farther from the point than _FARTHEST.
_DIGITS, _FARTHEST = 34, 20


def shown(value: Any) -> Any:
    """Return a value of a field as JSON shows it."""
    form = _SHOWN.get(type(value))
    return value if form is None else form(value)


def to_json(value: Any) -> str:
    """Return the JSON form of money or a time: a hook of msgspec. Raises TypeError."""
    form = _FORMS.get(type(value))
    if form is None:
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return form(value)


def _lines(lines: tuple[Any, ...]) -> list[Any]:
    return [msgspec.to_builtins(line, enc_hook=to_json) for line in lines]


_FORMS: Mapping[type[Any], Callable[[Any], str]] = {Money: format_money, Time: format_time}
_SHOWN: Mapping[type[Any], Callable[[Any], Any]] = {**_FORMS, tuple: _lines}


def from_json(wanted: type[Any], value: Any) -> Any:
    """Return money or a time from its form in JSON: a hook of msgspec. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return _money(value) if wanted is Money else in_utc(Time.fromisoformat(value), value)


@cached(4_096)
def _money(value: str) -> Money:
    """Return an amount that PostgreSQL and MongoDB can both hold. Raises ValueError for others.

    Cached, since parsing one is slow and a shop has few prices.
    """
    try:
        amount = Money(value)
    except ArithmeticError as error:
        raise ValueError(f"{value!r} is not an amount") from error
    if not amount.is_finite():
        raise ValueError(f"{value!r} is not a number")
    # A few characters such as "1e999999" would expand to a million digits once they are written.
    if abs(amount.adjusted()) > _FARTHEST or (
        len(value) > _DIGITS and len(amount.as_tuple().digits) > _DIGITS
    ):
        raise ValueError(f"{value!r} has too many digits")
    return amount


encode_json = msgspec.json.Encoder(enc_hook=to_json).encode
