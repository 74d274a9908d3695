"""From a request's JSON to a command: every limit of the contract, every error with its pointer.

Nothing is guessed or coerced; all errors of a body are found before it is refused.
Next: command_service/pipeline.py
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Generic, TypeVar, assert_never

from msgspec import UNSET, Struct

from storelog.envelope import milliseconds, parse_milliseconds, to_moment
from storelog.errors import InvalidFields
from storelog.shop.characters import BETWEEN_DIGITS, UNSEEN, UNSEEN_BEYOND
from storelog.shop.fields import Field, fields_of, request_fields_of
from storelog.shop.kinds import (
    Amount,
    Choice,
    EmailAddress,
    Flag,
    Instant,
    Kind,
    Lines,
    Money,
    PhoneNumber,
    Text,
    Time,
    Whole,
)
from storelog.typed_cache import cached
from storelog.web.json_body import Number

_MONEY = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+(\.0+)?")
# Digits beyond every limit: a number of more is not read to its end.
_LONG = 40
_UNSEEN = re.compile(f"[{UNSEEN}{UNSEEN_BEYOND}]")
_BETWEEN_DIGITS = re.compile(f"[{BETWEEN_DIGITS}]")
_BRACKETS = dict.fromkeys(map(ord, "()[]"), "")
_TRUNK_ZERO = re.compile(r"^([(\[]?(?:\+|00)?[(\[]?[1-9][0-9]{0,2}[)\]]?)[(\[]0[)\]]")
S = TypeVar("S", bound=Struct)
_MISSING = object()
Check = Callable[[Any], Any]
Errors = list[tuple[str, str]]


class _Wrong(Exception):
    """What is wrong with one value."""


def text(low: int, high: int) -> Check:
    """Check a text of `low` to `high` characters (code points) without NUL."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or isinstance(value, Number):
            raise _Wrong("must be a string")
        if not low <= len(value) <= high:
            raise _Wrong(f"must have {low} to {high} characters")
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise _Wrong("must not hold U+0000 or a lone surrogate")
        return value

    return check


def integer(low: int, high: int) -> Check:
    """Check a whole number from `low` to `high`."""

    def check(value: Any) -> int:
        if not isinstance(value, Number):
            raise _Wrong("must be a whole number")
        if value.isdecimal() and len(value) < _LONG:
            number = int(value)
        elif _INTEGER.fullmatch(value):
            number = int(value.partition(".")[0][:_LONG])
        else:
            raise _Wrong("must be a whole number")
        if not low <= number <= high:
            raise _Wrong(f"must be from {low} to {high}")
        return number

    return check


def amount(kind: Amount) -> Check:
    """Check an amount of money from 0 to the kind's highest, with at most its places."""

    def check(value: Any) -> Money:
        if not isinstance(value, str) or not _MONEY.fullmatch(value):
            raise _Wrong('must be an amount: a number, or a string such as "4.25"')
        if len(value) > kind.written:
            raise _Wrong(f"must have at most {kind.written} characters")
        number = Decimal(value)
        if not 0 <= number <= kind.highest:
            raise _Wrong(f"must be from 0 to {kind.highest}")
        if number != round(number, kind.places):
            raise _Wrong(f"must have at most {kind.places} decimal places")
        return Money(abs(number))

    return check


def email(kind: EmailAddress) -> Check:
    """Check an e-mail address: of the kind's length, one @ with something on both sides of it."""
    check_text = text(kind.shortest, kind.longest)

    def check(value: Any) -> str:
        address: str = check_text(value)
        name, _, domain = address.partition("@")
        if address.count("@") != 1:
            raise _Wrong("must have one @")
        if not name or not domain:
            raise _Wrong("must have something before and after the @")
        if address != address.strip() or _UNSEEN.search(address):
            raise _Wrong(
                "must not begin or end with a blank, or hold a line break or an invisible character"
            )
        return address

    return check


def phone_number(kind: PhoneNumber) -> Check:
    """Return the check of a phone number, which leaves out what people write between its digits.

    At most the kind's longest is left: digits, after one + or none.
    """
    most = kind.longest
    cleaned = re.compile(rf"\+[0-9]{{1,{most - 1}}}|[0-9]{{1,{most}}}")

    def check(value: Any) -> str:
        if not isinstance(value, str) or isinstance(value, Number):
            raise _Wrong("must be a string or null")
        if len(value) > kind.typed:
            raise _Wrong(f"must have at most {kind.typed} characters as it is typed")
        # The 0 in brackets is dialled inside the country only.
        number = _TRUNK_ZERO.sub(r"\1", _BETWEEN_DIGITS.sub("", value)).translate(_BRACKETS)
        if value and not cleaned.fullmatch(number):
            raise _Wrong(
                f"must have digits only, after one + or none, and at most {most} characters"
            )
        return number

    return check


def instant(kind: Instant) -> Check:
    """Check an RFC 3339 time from the kind's earliest to its latest; it is cut to milliseconds."""
    earliest, latest = milliseconds(kind.earliest), milliseconds(kind.latest)
    days = f"{kind.earliest:%Y-%m-%d} to {kind.latest:%Y-%m-%d}"

    def check(value: Any) -> Time:
        try:
            at = parse_milliseconds(value if isinstance(value, str) else "")
        except ValueError:
            raise _Wrong('must be a time such as "2026-01-02T03:04:05.678Z"') from None
        if not earliest <= at <= latest:
            raise _Wrong(f"must be from {days}")
        return Time.of(to_moment(at))

    return check


def read(structure: type[S], body: Any) -> S:
    """Return the declared structure that a body is. Raises InvalidFields with every error."""
    errors: Errors = []
    said: S | None = _reader_of(structure).read(body, errors)
    if said is None:
        raise InvalidFields(errors)
    return said


def is_import(said: Struct) -> bool:
    """Tell whether a structure, or a line of it, says what only an import may say."""
    own, of_lines = _import_only(type(said))
    for name in own:
        if getattr(said, name) is not UNSET:
            return True
    for name, members in of_lines:
        lines = getattr(said, name)
        for line in () if lines is UNSET else lines:
            for member in members:
                if getattr(line, member) is not UNSET:
                    return True
    return False


@cached()
def _import_only(
    structure: type[Struct],
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the names of such fields, and for each field of lines those of a line's."""
    own, of_lines = [], []
    for field in fields_of(structure):
        if field.is_import_only:
            own.append(field.name)
        elif field.line is not None and (members := _import_only(field.line)[0]):
            of_lines.append((field.name, members))
    return tuple(own), tuple(of_lines)


class _Reader(Generic[S]):
    """Reads one structure; what is wrong is collected."""

    def __init__(self, structure: type[S]) -> None:
        fields = request_fields_of(structure)
        self._structure = structure
        self._names = frozenset(field.json for field in fields)
        self._optional = frozenset(field.json for field in fields if field.is_optional)
        self._plain = tuple(
            (field.name, field.json, _check_of(field)) for field in fields if field.line is None
        )
        self._lines = tuple(
            (field.name, field.json, field.kind, _reader_of(field.line))
            for field in fields
            if field.line is not None and isinstance(field.kind, Lines)
        )

    def read(self, value: Any, errors: Errors) -> S | None:
        """Return the structure, None where anything is wrong; then `errors` has it."""
        if not isinstance(value, dict):
            errors.append(("", "must be an object"))
            value = {}
        if not self._names.issuperset(value):
            for name in value.keys() - self._names:
                escaped = name.replace("~", "~0").replace("/", "~1")
                errors.append((f"/{escaped}", "is not known here or may not be set"))
        said: dict[str, Any] = {}
        for name, member, check in self._plain:
            try:
                if member in value:
                    said[name] = check(value[member])
                elif member not in self._optional:
                    raise _Wrong("is required")
            except _Wrong as wrong:
                errors.append((f"/{member}", str(wrong)))
        for name, member, kind, reader in self._lines:
            if member in self._optional and member not in value:
                continue
            try:
                lines = _lines(value.get(member, _MISSING), kind)
            except _Wrong as wrong:
                errors.append((f"/{member}", str(wrong)))
            else:
                said[name] = tuple(_read_lines(reader, lines, errors, f"/{member}"))
        return self._structure(**said) if not errors else None


def _read_lines(reader: _Reader[Any], lines: list[Any], errors: Errors, at: str) -> list[Any]:
    found: Errors = []
    said = []
    for number, line in enumerate(lines):
        said.append(reader.read(line, found))
        if found:
            errors += [(f"{at}/{number}{pointer}", wrong) for pointer, wrong in found]
            found.clear()
    return said


def _lines(value: Any, kind: Lines) -> list[Any]:
    if value is _MISSING:
        raise _Wrong("is required")
    if not isinstance(value, list):
        raise _Wrong("must be an array")
    if not kind.fewest <= len(value) or (kind.most is not None and len(value) > kind.most):
        raise _Wrong(f"must have {kind.fewest} to {kind.most} lines")
    return value


@cached()
def _reader_of(structure: type[S]) -> _Reader[S]:
    return _Reader(structure)


def _check_of(field: Field) -> Check:
    check = _check_of_kind(field.kind)
    return (lambda value: None if value is None else check(value)) if field.is_nullable else check


def _check_of_kind(kind: Kind) -> Check:
    match kind:
        case Whole():
            return integer(kind.lowest, kind.highest)
        case Text():
            return text(kind.shortest, kind.longest)
        case Amount():
            return amount(kind)
        case EmailAddress():
            return email(kind)
        case PhoneNumber():
            return phone_number(kind)
        case Instant():
            return instant(kind)
        case Flag() | Choice() | Lines():
            raise TypeError(f"no request has a {type(kind).__name__}")
        case _:
            assert_never(kind)
