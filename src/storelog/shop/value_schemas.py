"""The JSON Schema of a value of each kind: as a client sends it, and as it is written.

Older releases wrote such values as well, so the schema of what is written is no narrower than
theirs.
Next: command_service/schemas.py
"""

from typing import Any, assert_never

from storelog.shop.characters import BETWEEN_DIGITS, UNSEEN
from storelog.shop.kinds import (
    MAX_ID,
    Amount,
    Choice,
    EmailAddress,
    Flag,
    Instant,
    Kind,
    Lines,
    PhoneNumber,
    Text,
    Whole,
)

Json = dict[str, Any]
TIME: Json = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
ID: Json = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
COUNT: Json = {"type": "integer", "minimum": 0}
TEXT: Json = {"type": "string"}
TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_NO_NUL = r"^[^\x00]*$"
_BETWEEN = rf"[{BETWEEN_DIGITS}()\[\]]*"


def strict_object(**properties: Json) -> Json:
    """Return the schema of an object that has these members, all of them and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def asked(kind: Kind) -> Json:
    """Return the schema of a value that a client sends."""
    match kind:
        case Amount():
            return {"oneOf": [_number(kind), _digits(kind)]}
        case EmailAddress():
            seen, outer = f"[^@{UNSEEN}]*", rf"[^@\s{UNSEEN}]"
            return {**written(kind), "pattern": f"^{outer}{seen}@{seen}{outer}$"}
        case PhoneNumber():
            return {
                "type": "string",
                "maxLength": kind.typed,
                "pattern": _dialled(kind),
                "description": "Blanks, dots, hyphens, brackets and a (0) after a country code"
                " are left out.",
            }
        case Instant():
            # A pattern can hold a time to whole years only; the Command Service checks the rest.
            return {**TIME, "pattern": "^(19|2[0-9])[0-9]{2}-"}
        case Whole() | Text() | Flag() | Choice() | Lines():
            return written(kind)
        case _:
            assert_never(kind)


def _number(kind: Amount) -> Json:
    step = float(f"1e-{kind.places}")
    return {"type": "number", "minimum": 0, "maximum": int(kind.highest), "multipleOf": step}


def _digits(kind: Amount) -> Json:
    # JSON Schema cannot compare a number inside a text, so its digits are counted; `not` excludes
    # fractions above the highest amount.
    highest = str(kind.highest)
    if set(highest) != {"9"}:
        raise TypeError(f"no pattern can limit an amount to {highest}: it is not all nines")
    some = rf"0*[0-9]{{1,{len(highest)}}}(\.[0-9]{{1,{kind.places}}}0*)?"
    return {
        "type": "string",
        "maxLength": kind.written,
        "pattern": rf"^(-?0+(\.0+)?|{some})$",
        "not": {"pattern": rf"^0*{highest}\.0*[1-9]"},
    }


def _dialled(kind: PhoneNumber) -> str:
    digit, most = f"{_BETWEEN}[0-9]", kind.longest - 1
    number = rf"\+({digit}){{1,{most}}}|[0-9]({digit}){{0,{most}}}"
    return f"^({_BETWEEN}({number}){_BETWEEN})?$"


def written(kind: Kind) -> Json:
    """Return the schema of a value that is written, by this release or by one before it."""
    match kind:
        case Whole():
            return {"type": "integer", "minimum": kind.lowest, "maximum": kind.highest}
        case Text():
            return _text(kind.shortest, kind.longest, _NO_NUL)
        case EmailAddress():
            return _text(kind.shortest, kind.longest, r"^[^@\x00]*@[^@\x00]*$")
        case PhoneNumber():
            return _text(0, kind.longest, _NO_NUL)
        case Amount():
            places = "2" if kind.stored == 2 else f"2,{kind.stored}"
            return {"type": "string", "pattern": rf"^\d+\.\d{{{places}}}$"}
        case Instant():
            return dict(TIME)
        case Flag():
            return {"type": "boolean"}
        case Choice():
            return {"enum": list(kind.texts)}
        case Lines():
            raise TypeError("lines without a structure")
        case _:
            assert_never(kind)


def _text(shortest: int, longest: int, pattern: str) -> Json:
    least = {"minLength": shortest} if shortest else {}
    return {"type": "string", **least, "maxLength": longest, "pattern": pattern}
