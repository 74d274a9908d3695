"""Reads a request's JSON: checks every limit of the contract, reports each error with its pointer.

Nothing is guessed or coerced; all errors of a body are collected before it is rejected.
Next: command_service/pipeline.py
"""

from typing import Any, Generic, TypeVar

from msgspec import UNSET, Struct

from storelog.command_service.field_checks import Invalid, check_of
from storelog.errors import InvalidFields
from storelog.shop.fields import fields_of, request_fields_of
from storelog.shop.kinds import Lines
from storelog.typed_cache import cached

S = TypeVar("S", bound=Struct)
_MISSING = object()
Errors = list[tuple[str, str]]


def read(structure: type[S], body: Any) -> S:
    """Return the body as its declared structure. Raises InvalidFields with every error."""
    errors: Errors = []
    parsed: S | None = _reader_of(structure).read(body, errors)
    if parsed is None:
        raise InvalidFields(errors)
    return parsed


def is_import(parsed: Struct) -> bool:
    """Tell whether a structure, or one of its lines, sets a field that only an import may set."""
    own, of_lines = _import_only(type(parsed))
    for name in own:
        if getattr(parsed, name) is not UNSET:
            return True
    for name, members in of_lines:
        lines = getattr(parsed, name)
        for line in () if lines is UNSET else lines:
            for member in members:
                if getattr(line, member) is not UNSET:
                    return True
    return False


@cached()
def _import_only(
    structure: type[Struct],
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the names of import-only fields, and for each field of lines those of its lines."""
    own, of_lines = [], []
    for field in fields_of(structure):
        if field.is_import_only:
            own.append(field.name)
        elif field.line is not None and (members := _import_only(field.line)[0]):
            of_lines.append((field.name, members))
    return tuple(own), tuple(of_lines)


class _Reader(Generic[S]):
    """Reads one structure and collects every error in it."""

    def __init__(self, structure: type[S]) -> None:
        fields = request_fields_of(structure)
        self._structure = structure
        self._names = frozenset(field.json for field in fields)
        self._optional = frozenset(field.json for field in fields if field.is_optional)
        self._plain = tuple(
            (field.name, field.json, check_of(field)) for field in fields if field.line is None
        )
        self._lines = tuple(
            (field.name, field.json, field.kind, _reader_of(field.line))
            for field in fields
            if field.line is not None and isinstance(field.kind, Lines)
        )

    def read(self, value: Any, errors: Errors) -> S | None:
        """Return the structure; None if anything is invalid, which is then in `errors`."""
        if not isinstance(value, dict):
            errors.append(("", "must be an object"))
            value = {}
        if not self._names.issuperset(value):
            for name in value.keys() - self._names:
                escaped = name.replace("~", "~0").replace("/", "~1")
                errors.append((f"/{escaped}", "is not known here or may not be set"))
        values: dict[str, Any] = {}
        for name, member, check in self._plain:
            try:
                if member in value:
                    values[name] = check(value[member])
                elif member not in self._optional:
                    raise Invalid("is required")
            except Invalid as wrong:
                errors.append((f"/{member}", str(wrong)))
        for name, member, kind, reader in self._lines:
            if member in self._optional and member not in value:
                continue
            try:
                lines = _lines(value.get(member, _MISSING), kind)
            except Invalid as wrong:
                errors.append((f"/{member}", str(wrong)))
            else:
                values[name] = tuple(_read_lines(reader, lines, errors, f"/{member}"))
        return self._structure(**values) if not errors else None


def _read_lines(reader: _Reader[Any], lines: list[Any], errors: Errors, at: str) -> list[Any]:
    found: Errors = []
    parsed = []
    for number, line in enumerate(lines):
        parsed.append(reader.read(line, found))
        if found:
            errors += [(f"{at}/{number}{pointer}", wrong) for pointer, wrong in found]
            found.clear()
    return parsed


def _lines(value: Any, kind: Lines) -> list[Any]:
    if value is _MISSING:
        raise Invalid("is required")
    if not isinstance(value, list):
        raise Invalid("must be an array")
    if not kind.fewest <= len(value) or (kind.most is not None and len(value) > kind.most):
        raise Invalid(f"must have {kind.fewest} to {kind.most} lines")
    return value


@cached()
def _reader_of(structure: type[S]) -> _Reader[S]:
    return _Reader(structure)
