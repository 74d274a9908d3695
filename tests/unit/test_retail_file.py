"""The retail file: what is taken, what is skipped and why, what is refused and on which line."""

import gzip
import lzma
from decimal import Decimal
from pathlib import Path

import pytest

from storelog.errors import BadUse
from storelog.traffic.retail_file import read_retail_file
from support.retail import HEADER

ROWS = """536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
536365,71053,LANTERN,2,2010-12-01 08:20:00,3.390,17850,United Kingdom
C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527,United Kingdom
536370,85123A,,-5,2010-12-01 09:41:00,1,,France
536370,85123A,"HEART, WHITE ",1,2010-12-01 10:00:00,2.75,,France
536371,FREE,Gift,1,2010-12-01 10:00:00,0,,France
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_rows_become_orders_products_and_customers(tmp_path: Path) -> None:
    read = read_retail_file(write(tmp_path / "a.csv", f"{HEADER}\n{ROWS}"))
    assert read.rows == 6
    assert read.skipped == {"cancelled": 1, "quantity": 1, "price": 1}
    assert list(read.invoices) == ["536365", "536370"]
    first = read.invoices["536365"]
    assert f"{first.date:%H:%M}" == "08:20"
    assert first.lines == [("85123A", 6, Decimal("2.55")), ("71053", 2, Decimal("3.390"))]
    assert read.items["85123A"].name == "HEART, WHITE "
    assert read.items["85123A"].price == Decimal("2.75")
    assert read.items["85123A"].units == 7
    assert list(read.customers) == ["17850", ""]


def test_compressed_files_are_the_same(tmp_path: Path) -> None:
    raw = f"{HEADER}\n{ROWS}".encode()
    (tmp_path / "a.csv.xz").write_bytes(lzma.compress(raw))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(raw))
    for name in ("a.csv.xz", "a.csv.gz"):
        assert read_retail_file(tmp_path / name).rows == 6


def test_a_limit_counts_what_it_leaves_out(tmp_path: Path) -> None:
    read = read_retail_file(write(tmp_path / "a.csv", f"{HEADER}\n{ROWS}"), 1)
    assert list(read.invoices) == ["536365"]
    assert read.skipped["limit"] == 1
    assert list(read.items) == ["85123A", "71053"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1,A,x,six,2010-12-01 08:26:00,2.55,1,UK", "Quantity"),
        ("1,A,x,6,yesterday,2.55,1,UK", "InvoiceDate"),
        ("1,A,x,6,2010-12-01 08:26:00,2.5.5,1,UK", "UnitPrice"),
        ("1,A,x,6,2010-12-01 08:26:00,1.00001,1,UK", "UnitPrice"),
        ("1,A,x,6,2010-12-01 08:26:00,NaN,1,UK", "UnitPrice"),
        ("1,A,x,1000001,2010-12-01 08:26:00,1,1,UK", "Quantity"),
        ("1,,x,6,2010-12-01 08:26:00,1,1,UK", "StockCode"),
        (f"1,A,{'x' * 201},6,2010-12-01 08:26:00,1,1,UK", "Description"),
        ("1,A,x,6,2010-12-01 08:26:00", "5 values instead of 8"),
        ("536365,A,x,6,2010-12-01 08:26:00,1,99,UK", "two customers"),
        ('1,A,"x,6,2010-12-01 08:26:00,1,1,UK', "unexpected end"),
    ],
)
def test_a_bad_row_is_refused_by_its_line_number(tmp_path: Path, row: str, why: str) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}\n{ROWS}{row}\n")
    with pytest.raises(BadUse, match=f"line 8: .*{why}"):
        read_retail_file(path)


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER.replace("UnitPrice", "Price") + "\n" + ROWS)
    with pytest.raises(BadUse, match="line 1: the column UnitPrice is missing"):
        read_retail_file(path)


def test_a_wrong_encoding_is_refused_near_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{HEADER}\n{ROWS}".encode() + b"1,A,caf\xe9,6,2010-12-01 08:26:00,1,1,UK\n")
    with pytest.raises(BadUse, match=r"line \d.*not UTF-8"):
        read_retail_file(path)


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_a_truncated_file_is_refused(tmp_path: Path, pack: object) -> None:
    name = "a.csv.xz" if pack is lzma.compress else "a.csv.gz"
    packed = pack(f"{HEADER}\n{ROWS * 500}".encode())  # type: ignore[operator]
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BadUse, match=r"line \d+: the file is cut off"):
        read_retail_file(tmp_path / name)


def test_what_is_not_there_or_not_csv_is_refused(tmp_path: Path) -> None:
    for path in (
        tmp_path / "none.csv",
        write(tmp_path / "a.txt", "x"),
        write(tmp_path / "b.csv", ""),
    ):
        with pytest.raises(BadUse):
            read_retail_file(path)
