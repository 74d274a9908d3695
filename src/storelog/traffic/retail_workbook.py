"""The rows of an .xlsx file, row by row, each value as the text that a .csv file would have.

Cells have types in a workbook: whole numbers lose their decimal point, times become ISO 8601, and
an empty cell is an empty text. Every sheet is read; one without cells is skipped.
Next: traffic/retail_file.py
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from storelog.errors import BadUse

_DAMAGED = (BadZipFile, ParseError, KeyError, ValueError, EOFError, OSError, zlib.error)


def workbook_rows(
    path: Path, columns: Sequence[str], other_names: Mapping[str, str]
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's number and its values in the order of `columns`, [] for a blank row.

    `other_names`: alternative names of columns. Raises BadUse.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise BadUse(f"{path}: to read it, pip install 'storelog[xlsx]'") from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except _DAMAGED as error:
        raise BadUse(f"{path}: this is not an .xlsx file, or it is damaged") from error
    try:
        for sheet in book.worksheets:
            yield from _sheet_rows(path, sheet, columns, other_names)
    finally:
        book.close()


def _sheet_rows(
    path: Path, sheet: Any, columns: Sequence[str], other_names: Mapping[str, str]
) -> Iterator[tuple[int, list[str]]]:
    # Some programs write wrong dimensions, and the reader would stop there.
    sheet.reset_dimensions()
    rows = _cells(path, sheet)
    header = next(rows, None)
    if header is None:
        return
    names = [_text(cell).strip() for cell in header[1]]
    names = [other_names.get(name, name) for name in names]
    missing = [name for name in columns if name not in names]
    if missing:
        where = f"{path}: sheet {sheet.title!r}, line {header[0]}"
        raise BadUse(f"{where}: the column {', '.join(missing)} is missing")
    places = [names.index(name) for name in columns]
    for line, cells in rows:
        if not any(_text(cell).strip() for cell in cells):
            yield line, []
            continue
        # openpyxl ends a row at its last cell with a value, so later cells may be missing.
        yield line, [_text(cells[place]) if place < len(cells) else "" for place in places]


def _cells(path: Path, sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield every row that has a value; rows may have a format only."""
    line = 0
    try:
        for line, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            if any(cell is not None for cell in cells):
                yield line, cells
    except _DAMAGED as error:
        raise BadUse(f"{path}: sheet {sheet.title!r}, line {line + 1}: it is damaged") from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, float):
        # The shortest text that reads back as the same number, without an exponent.
        exact = Decimal(repr(value))
        return str(int(value)) if value.is_integer() else f"{exact:f}"
    return str(value)
