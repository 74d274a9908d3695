"""The retail file: which rows are imported, skipped (and why) or rejected (and on which line)."""

import gzip
import lzma
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from storelog.errors import BadUse
from storelog.traffic.encodings import check_encoding
from storelog.traffic.retail_file import Skip, read_retail_file
from storelog.traffic.retail_import import key_of
from support.retail import HEADER, write_stand_in, write_workbook

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


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A made-up file, as .csv and as a workbook."""
    folder = tmp_path_factory.mktemp("retail")
    plain = write_stand_in(folder / "a.csv", seed=7, invoices=100)
    return plain, write_workbook(plain, folder / "a.xlsx")


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
    assert read.skipped[Skip.LIMIT] == 1
    assert list(read.items) == ["85123A", "71053"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1,A,x,six,2010-12-01 08:26:00,2.55,1,UK", "Quantity"),
        ("1,A,x,6,yesterday,2.55,1,UK", "InvoiceDate"),
        ("1,A,x,6,1899-12-31 23:59:59,2.55,1,UK", "InvoiceDate"),
        ("1,A,x,6,9999-12-31 00:00:00,2.55,1,UK", "InvoiceDate"),
        ("1,A,x,6,2010-12-01 08:26:00,2.5.5,1,UK", "UnitPrice"),
        ("1,A,x,6,2010-12-01 08:26:00,1.00001,1,UK", "UnitPrice"),
        ("1,A,x,6,2010-12-01 08:26:00,NaN,1,UK", "UnitPrice"),
        ("1,A,x,1000001,2010-12-01 08:26:00,1,1,UK", "Quantity"),
        ("1,,x,6,2010-12-01 08:26:00,1,1,UK", "StockCode"),
        (f"1,A,{'x' * 201},6,2010-12-01 08:26:00,1,1,UK", "Description"),
        ("1,A,x,6,2010-12-01 08:26:00", "5 values instead of 8"),
        ("1,A,x,6,2010-12-01 08:26:00,1,x@y,UK", "CustomerID 'x@y'.*/email must have one @"),
        (f"1,A,x,6,2010-12-01 08:26:00,1,{'9' * 400},UK", "CustomerID"),
        (f"1,{'9' * 400},x,6,2010-12-01 08:26:00,1,1,UK", "StockCode"),
        (f"{'9' * 400},A,x,6,2010-12-01 08:26:00,1,1,UK", "InvoiceNo"),
        ("1,A,x,6,2010-12-01 08:26:00,99999999999,1,UK", "UnitPrice"),
        ("536365,A,x,6,2010-12-01 08:26:00,1,99,UK", "two customers"),
        ('1,A,"x,6,2010-12-01 08:26:00,1,1,UK', "unexpected end"),
    ],
)
def test_a_bad_row_is_rejected_by_its_line_number(tmp_path: Path, row: str, why: str) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}\n{ROWS}{row}\n")
    with pytest.raises(BadUse, match=f"line 8: .*{why}"):
        read_retail_file(path)


def test_a_missing_column_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER.replace("UnitPrice", "Cost") + "\n" + ROWS)
    with pytest.raises(BadUse, match="line 1: the column UnitPrice is missing"):
        read_retail_file(path)


def test_a_wrong_encoding_is_rejected_near_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{HEADER}\n{ROWS}".encode() + b"1,A,caf\xe9,6,2010-12-01 08:26:00,1,1,UK\n")
    with pytest.raises(BadUse, match=r"line \d.*not UTF-8; it seems to be cp1252: --encoding"):
        read_retail_file(path)
    assert read_retail_file(path, encoding="cp1252").items["A"].name == "café"


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_a_truncated_file_is_rejected(tmp_path: Path, pack: object) -> None:
    name = "a.csv.xz" if pack is lzma.compress else "a.csv.gz"
    packed = pack(f"{HEADER}\n{ROWS * 500}".encode())  # type: ignore[operator]
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BadUse, match=r"line \d+: the file is cut off"):
        read_retail_file(tmp_path / name)


def test_a_file_that_is_missing_or_not_csv_is_rejected(tmp_path: Path) -> None:
    for path in (
        tmp_path / "none.csv",
        write(tmp_path / "a.txt", "x"),
        write(tmp_path / "b.csv", ""),
    ):
        with pytest.raises(BadUse):
            read_retail_file(path)


def test_a_workbook_gives_what_the_same_rows_give_as_csv(stand_in: tuple[Path, Path]) -> None:
    read, workbook = map(read_retail_file, stand_in)
    assert workbook.sha256 != read.sha256
    assert workbook == replace(read, sha256=workbook.sha256)
    assert read.rows > 1_000
    assert "" in read.customers


def test_an_invalid_workbook_is_rejected(tmp_path: Path, stand_in: tuple[Path, Path]) -> None:
    path = write(tmp_path / "a.xlsx", "no workbook")
    with pytest.raises(BadUse, match=r"not an .xlsx file, or it is damaged"):
        read_retail_file(path)
    whole = stand_in[1].read_bytes()
    for part in (2, 4):
        path.write_bytes(whole[: len(whole) * part // 5])
        with pytest.raises(BadUse, match="damaged"):
            read_retail_file(path)


def test_a_file_with_damaged_compressed_data_is_rejected(
    tmp_path: Path, stand_in: tuple[Path, Path]
) -> None:
    plain, whole = stand_in
    # Behind the ten bytes of its head: a block of a kind that there is not.
    packed = bytearray(gzip.compress(plain.read_bytes()))
    packed[10] = 0x07
    (tmp_path / "a.csv.gz").write_bytes(packed)
    workbook = bytearray(whole.read_bytes())
    for at in range(len(workbook) // 3, len(workbook) // 3 + 64):
        workbook[at] ^= 0x5A
    (tmp_path / "a.xlsx").write_bytes(workbook)
    for name in ("a.csv.gz", "a.xlsx"):
        with pytest.raises(BadUse, match="damaged"):
            read_retail_file(tmp_path / name)


def test_a_plain_file_in_a_wrong_encoding_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}\n{ROWS}")
    with pytest.raises(BadUse, match="not utf-32"):
        read_retail_file(path, encoding="utf-32")


def test_a_bad_cell_is_rejected_by_its_line_number(tmp_path: Path) -> None:
    bad = f"{HEADER}\n{ROWS}1,A,x,six,2010-12-01 08:26:00,2.55,1,UK\n"
    path = write_workbook(write(tmp_path / "a.csv", bad), tmp_path / "a.xlsx")
    with pytest.raises(BadUse, match="line 8: Quantity"):
        read_retail_file(path)
    other = write(tmp_path / "b.csv", HEADER.replace("UnitPrice", "Cost") + "\n" + ROWS)
    with pytest.raises(BadUse, match="line 1: the column UnitPrice is missing"):
        read_retail_file(write_workbook(other, tmp_path / "b.xlsx"))


def test_blank_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{HEADER}\n{ROWS}\n,,,,,,,\n , ,\n{ROWS}\n")
    read = read_retail_file(path)
    assert (read.rows, read.skipped[Skip.BLANK]) == (16, 4)
    workbook = read_retail_file(write_workbook(path, tmp_path / "a.xlsx"))
    assert workbook.items == read.items


def test_the_headers_of_online_retail_ii_are_understood(tmp_path: Path) -> None:
    header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    old = read_retail_file(write(tmp_path / "a.csv", f"{HEADER}\n{ROWS}"))
    new = read_retail_file(write(tmp_path / "b.csv", f"{header}\n{ROWS}"))
    assert replace(new, sha256=old.sha256) == old
    workbook = read_retail_file(write_workbook(tmp_path / "b.csv", tmp_path / "b.xlsx"))
    assert workbook.invoices == old.invoices


def test_a_stock_that_is_too_large_with_the_spare_units_is_rejected_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    rows = "1,A,x,1000000,2010-12-01 08:26:00,1,1,UK\n" * 1_200
    path = write(tmp_path / "a.csv", f"{HEADER}\n{rows}")
    assert read_retail_file(path, spare_stock=900_000_000).items["A"].units == 1_200_000_000
    with pytest.raises(BadUse, match="line 1201: StockCode 'A' needs 2200000000 units"):
        read_retail_file(path, spare_stock=1_000_000_000)


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("utf-16", "手机壳"),
        ("gb18030", "手机壳苹果手机壳红色大号"),
        ("cp1251", "Зелёная лампа большая"),
    ],
)
def test_an_error_names_an_encoding_in_which_the_file_can_be_read(
    tmp_path: Path, encoding: str, word: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n{ROWS}1,A,{word},6,2010-12-01 08:26:00,1,1,UK\n", encoding)
    with pytest.raises(BadUse) as caught:
        read_retail_file(path)
    named = str(caught.value).rpartition(" ")[2]
    assert read_retail_file(path, encoding=named).items["A"].name == word


def test_an_unknown_encoding_is_rejected() -> None:
    for name in ("utf-99", "base64", ""):
        with pytest.raises(BadUse, match="no such encoding"):
            check_encoding(name)


def test_no_two_entities_of_an_import_share_a_key() -> None:
    names = ["", "guest", "Guest", "a", "A", "%41", "a/b", "a%2Fb", "手" * 21, "手" * 22, "x" * 250]
    names += [f"*{sha256(b'guest').hexdigest()}", f"%2A{sha256(b'guest').hexdigest()}"]
    keys = [key_of("import/" + "0" * 64 + "/customer/", name) for name in names]
    assert len(set(keys)) == len(names)
    assert all(len(key) <= 255 and key.isascii() for key in keys)
    assert keys[0].endswith("/guest") and keys[3].endswith("/a")
