"""Reads a file with the UCI Online Retail columns, and checks all of it before anything is sent.

An error names the line; the checks are those of the HTTP API itself. Rows that are skipped as the
reference says are counted by reason.
Next: traffic/retail_checks.py
"""

import csv
import gzip
import hashlib
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum, auto
from pathlib import Path
from typing import IO, Any

from storelog.errors import BadUse
from storelog.shop.kinds import MAX_LINES
from storelog.traffic import retail_checks
from storelog.traffic.encodings import seems_to_be
from storelog.traffic.retail_workbook import workbook_rows

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
# Online Retail II, the longer data set of the same shop, names three of them differently.
OTHER_NAMES = {"Invoice": "InvoiceNo", "Price": "UnitPrice", "Customer ID": "CustomerID"}
MAX_CODE = 100
_INTEGER = re.compile(r"[-+]?[0-9]{1,12}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,12})?")
_OTHER_TIME = re.compile(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d")


@dataclass(slots=True)
class Invoice:
    """One order to place; its lines are (stock code, quantity, price)."""

    number: str
    customer: str
    date: datetime
    lines: list[tuple[str, int, Decimal]] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """One product to create: name and price of its last row, and all units that are sold."""

    name: str
    price: Decimal
    units: int = 0
    line: int = 0


class Skip(StrEnum):
    """Why a row is skipped; the values are the words in the summary."""

    CANCELLED = auto()
    QUANTITY = auto()
    PRICE = auto()
    LIMIT = auto()
    BLANK = auto()


@dataclass(slots=True)
class RetailFile:
    """A whole file, checked. `skipped` counts rows by the reasons in docs/reference.md."""

    sha256: str = ""
    rows: int = 0
    invoices: dict[str, Invoice] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    customers: dict[str, None] = field(default_factory=dict)
    skipped: dict[Skip, int] = field(default_factory=dict)


def read_retail_file(
    path: Path,
    limit_invoices: int | None = None,
    *,
    spare_stock: int = 0,
    encoding: str | None = None,
) -> RetailFile:
    """Return the file's orders, products and customers, all of which the API would accept.

    `spare_stock`: the units that each product has left at the end. Raises BadUse with the line.
    """
    result = RetailFile(skipped={Skip.CANCELLED: 0, Skip.QUANTITY: 0, Skip.PRICE: 0})
    if limit_invoices is not None:
        result.skipped[Skip.LIMIT] = 0
    try:
        result.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadUse(f"{path}: {error.strerror}") from error
    for line, row in _rows(path, encoding):
        result.rows += 1
        try:
            _take(result, line, row, limit_invoices)
        except ValueError as error:
            raise BadUse(f"{path}: line {line}: {error}") from error
    if not result.rows:
        raise BadUse(f"{path}: line 1: there are no rows")
    # Only now are all sales of a product known, which its stock at the beginning must cover.
    for code, item in result.items.items():
        try:
            retail_checks.check_stock(code, item.units + spare_stock)
        except ValueError as error:
            raise BadUse(f"{path}: line {item.line}: {error}") from error
    return result


def _open(path: Path, encoding: str | None) -> IO[str]:
    name = path.name.lower()
    raw: Any
    if name.endswith(".csv.xz"):
        raw = lzma.open(path, "rb")  # noqa: SIM115  closed by the reader below
    elif name.endswith(".csv.gz"):
        raw = gzip.open(path, "rb")  # noqa: SIM115
    elif name.endswith(".csv"):
        raw = path.open("rb")
    else:
        raise BadUse(f"{path}: the name must end in .csv, .csv.xz, .csv.gz or .xlsx")
    return io.TextIOWrapper(raw, encoding or "utf-8-sig", newline="")


def _rows(path: Path, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's line number and its values in the order of COLUMNS, [] for a blank row."""
    if path.suffix.lower() != ".xlsx":
        return _csv_rows(path, encoding)
    if encoding is not None:
        raise BadUse(f"{path}: a workbook names its own encoding; leave --encoding out")
    return workbook_rows(path, COLUMNS, OTHER_NAMES)


def _csv_rows(path: Path, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    line = 1
    with _open(path, encoding) as text:
        reader = csv.reader(text, strict=True)
        try:
            header = [OTHER_NAMES.get(name.strip(), name.strip()) for name in next(reader, [])]
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise BadUse(f"{path}: line 1: the column {', '.join(missing)} is missing")
            places = [header.index(name) for name in COLUMNS]
            line = reader.line_num + 1
            for row in reader:
                if not any(map(str.strip, row)):
                    yield line, []
                elif len(row) != len(header):
                    raise BadUse(f"{path}: line {line}: {len(row)} values instead of {len(header)}")
                else:
                    yield line, [row[place] for place in places]
                line = reader.line_num + 1
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                line += error.object[: error.start].count(b"\n")
            raise BadUse(f"{path}: line {line} or soon after: {_not_in(path, encoding)}") from error
        except csv.Error as error:
            raise BadUse(f"{path}: line {line}: {error}") from error
        except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
            raise BadUse(f"{path}: line {line}: the file is cut off or damaged") from error


def _not_in(path: Path, encoding: str | None) -> str:
    """Return the message for a file that has another encoding than expected."""
    with _open(path, "latin-1") as text:
        seems = seems_to_be(text)
    advice = f"; it seems to be {seems}: --encoding {seems}" if seems else ""
    return f"this is not {encoding or 'UTF-8'}{advice}"


def _take(result: RetailFile, line: int, row: list[str], limit_invoices: int | None) -> None:
    """Add one row to the result, or count it as skipped. Raises ValueError."""
    if not row:
        result.skipped[Skip.BLANK] = result.skipped.get(Skip.BLANK, 0) + 1
        return
    number, code, description, quantity_text, date_text, price_text, customer, _ = row
    quantity, price, date = _quantity(quantity_text), _price(price_text), _date(date_text)
    reason = _reason(number, quantity, price)
    invoice = result.invoices.get(number)
    if reason is None and invoice is None and len(result.invoices) == limit_invoices:
        reason = Skip.LIMIT
    if reason is not None:
        result.skipped[reason] += 1
        return
    _check_code("InvoiceNo", number)
    _check_code("StockCode", code)
    retail_checks.check_line(quantity, price)
    retail_checks.check_date(date)
    if invoice is None:
        invoice = result.invoices[number] = Invoice(number, customer, date)
    if len(invoice.lines) == MAX_LINES:
        raise ValueError(f"invoice {number} has more than {MAX_LINES} lines")
    if invoice.customer != customer:
        raise ValueError(f"invoice {number} has two customers: {invoice.customer}, {customer}")
    invoice.date = min(invoice.date, date)
    if customer not in result.customers:
        retail_checks.check_customer(customer)
        result.customers[customer] = None
    item = result.items.setdefault(code, Item(code, price))
    if description.strip():
        retail_checks.check_name(description)
        item.name = description
    item.price, item.line = price, line
    item.units += quantity
    invoice.lines.append((code, quantity, price))


def _check_code(column: str, code: str) -> None:
    if not 1 <= len(code) <= MAX_CODE or "\0" in code:
        raise ValueError(f"{column} {code[:40]!r} must have 1 to {MAX_CODE} characters")


def _reason(number: str, quantity: int, price: Decimal) -> Skip | None:
    if number.startswith("C"):
        return Skip.CANCELLED
    if quantity <= 0:
        return Skip.QUANTITY
    return Skip.PRICE if price <= 0 else None


def _quantity(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"Quantity {text[:40]!r} is not a whole number")
    return int(text)


def _price(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"UnitPrice {text[:40]!r} is not a number")
    return Decimal(text)


def _date(text: str) -> datetime:
    try:
        if _OTHER_TIME.fullmatch(text):
            return datetime.strptime(f"{text} +0000", "%m/%d/%Y %H:%M %z")
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        raise ValueError(f"InvoiceDate {text[:40]!r} is not a time such as 2010-12-01 08:26:00")
    return at.replace(tzinfo=UTC)
