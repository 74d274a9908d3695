"""Reads a file with the UCI Online Retail columns, and checks all of it before anything is sent.

What is wrong is refused by line number. Rows that the contract skips are counted by reason.
Next: traffic/retail_import.py
"""

import csv
import gzip
import hashlib
import io
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from storelog.errors import BadUse
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
GUEST = ""
MAX_LINES, MAX_QUANTITY, MAX_STOCK = 2_000, 1_000_000, 2_147_483_647
MAX_PRICE = Decimal(9_999_999_999)
_INTEGER = re.compile(r"[-+]?[0-9]{1,12}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{1,12})?")
_OTHER_TIME = re.compile(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d")


@dataclass(slots=True)
class Invoice:
    """One order to be: its lines are (stock code, quantity, price)."""

    number: str
    customer: str
    date: datetime
    lines: list[tuple[str, int, Decimal]] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """One product to be: what the last row says of it, and all the units that are sold."""

    name: str
    price: Decimal
    units: int = 0


@dataclass(slots=True)
class RetailFile:
    """A whole file, checked. `skipped` counts rows by reason; the contract names the reasons."""

    sha256: str = ""
    rows: int = 0
    invoices: dict[str, Invoice] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    customers: dict[str, None] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


def read_retail_file(path: Path, limit_invoices: int | None = None) -> RetailFile:
    """Return the file's orders, products and customers. Raises BadUse with the line's number."""
    result = RetailFile(skipped={"cancelled": 0, "quantity": 0, "price": 0})
    if limit_invoices is not None:
        result.skipped["limit"] = 0
    try:
        result.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadUse(f"{path}: {error.strerror}") from error
    for line, row in _rows(path):
        result.rows += 1
        try:
            _take(result, row, limit_invoices)
        except ValueError as error:
            raise BadUse(f"{path}: line {line}: {error}") from error
    if not result.rows:
        raise BadUse(f"{path}: line 1: there are no rows")
    for code, item in result.items.items():
        item.name = item.name or code
        if item.units > MAX_STOCK:
            raise BadUse(f"{path}: {code} sells {item.units} units, more than a stock can hold")
    return result


def _open(path: Path) -> IO[str]:
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
    return io.TextIOWrapper(raw, "utf-8-sig", newline="")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's line number and its values in the order of COLUMNS."""
    return workbook_rows(path, COLUMNS) if path.suffix.lower() == ".xlsx" else _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    line = 1
    with _open(path) as text:
        reader = csv.reader(text, strict=True)
        try:
            header = next(reader, [])
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise BadUse(f"{path}: line 1: the column {', '.join(missing)} is missing")
            places = [header.index(name) for name in COLUMNS]
            line = reader.line_num + 1
            for row in reader:
                if len(row) != len(header):
                    raise BadUse(f"{path}: line {line}: {len(row)} values instead of {len(header)}")
                yield line, [row[place] for place in places]
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            at = line + error.object[: error.start].count(b"\n")
            raise BadUse(f"{path}: line {at} or soon after: this is not UTF-8") from error
        except csv.Error as error:
            raise BadUse(f"{path}: line {line}: {error}") from error
        except (EOFError, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
            raise BadUse(f"{path}: line {line}: the file is cut off or damaged") from error


def _take(result: RetailFile, row: list[str], limit_invoices: int | None) -> None:
    """Take in one row, or count it as skipped. Raises ValueError."""
    number, code, description, quantity_text, date_text, price_text, customer, _ = row
    quantity, price, date = _quantity(quantity_text), _price(price_text), _date(date_text)
    reason = _reason(number, quantity, price)
    invoice = result.invoices.get(number)
    if reason is None and invoice is None and len(result.invoices) == limit_invoices:
        reason = "limit"
    if reason is not None:
        result.skipped[reason] += 1
        return
    _check(number, code, description, quantity, price)
    if invoice is None:
        invoice = result.invoices[number] = Invoice(number, customer, date)
    if len(invoice.lines) == MAX_LINES:
        raise ValueError(f"invoice {number} has more than {MAX_LINES} lines")
    if invoice.customer != customer:
        raise ValueError(f"invoice {number} has two customers: {invoice.customer}, {customer}")
    invoice.date = min(invoice.date, date)
    result.customers.setdefault(customer)
    item = result.items.setdefault(code, Item("", price))
    item.name = description if description.strip() else item.name
    item.price = price
    item.units += quantity
    invoice.lines.append((code, quantity, price))


def _reason(number: str, quantity: int, price: Decimal) -> str | None:
    if number.startswith("C"):
        return "cancelled"
    if quantity <= 0:
        return "quantity"
    return "price" if price <= 0 else None


def _check(number: str, code: str, description: str, quantity: int, price: Decimal) -> None:
    for name, value, most in (
        ("InvoiceNo", number, 100),
        ("StockCode", code, 100),
        ("Description", description, 200),
    ):
        if len(value) > most or "\0" in value or (most == 100 and not value):
            raise ValueError(f"{name} {value[:40]!r} must have 1 to {most} characters")
    if quantity > MAX_QUANTITY:
        raise ValueError(f"Quantity {quantity} is more than {MAX_QUANTITY}")
    if price > MAX_PRICE or price != round(price, 4):
        raise ValueError(f"UnitPrice {price} is more than {MAX_PRICE} or has more than 4 places")


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
