"""Declared structures as JSON and back: money and times as the contract writes them.

Next: event_codec.py
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from storelog.envelope import format_time
from storelog.shop.kinds import Money, Time
from storelog.shop.money import format_money


def shown(value: Any) -> Any:
    """Return a value of a field as JSON shows it."""
    return _to_json(value) if isinstance(value, Money | Time) else value


def _to_json(value: Any) -> str:
    form = _FORMS.get(type(value))
    if form is None:
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return form(value)


_FORMS: Mapping[type[Any], Callable[[Any], str]] = {Money: format_money, Time: format_time}


def from_json(wanted: type[Any], value: Any) -> Any:
    """Return money or a time from its form in JSON: a hook of msgspec. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    if wanted is Money:
        try:
            amount = Money(value)
        except ArithmeticError as error:
            raise ValueError(f"{value!r} is no amount") from error
        if not amount.is_finite():
            raise ValueError(f"{value!r} is no number")
        return amount
    at = Time.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError(f"no time zone in {value!r}")
    return at


encode_json = msgspec.json.Encoder(enc_hook=_to_json).encode
