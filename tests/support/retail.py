"""A made-up file with the UCI Online Retail columns, the same for the same seed."""

import csv
import random
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from openpyxl import Workbook

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def write_stand_in(path: Path, seed: int, invoices: int = 400) -> Path:
    """Write invoices with what the real file has: cancellations, gifts, free items, guests."""
    dice = random.Random(seed)
    at = datetime(2010, 12, 1, 8, 26)
    codes = [f"{20_000 + n}{dice.choice(['', 'A', 'B'])}" for n in range(150)] + ["BANK CHARGES"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER.split(","))
        for number in range(invoices):
            at += timedelta(minutes=dice.randrange(0, 600))
            invoice = f"{'C' if dice.random() < 0.1 else ''}{536_365 + number}"
            customer = "" if dice.random() < 0.2 else str(12_346 + dice.randrange(80))
            for _ in range(dice.randrange(1, 40)):
                quantity = dice.choice([1, 2, 6, 12, 48, -1]) if number % 9 == 0 else 3
                price = dice.choice(["2.55", "0.425", "12.75", "0.0", "1.25"])
                code = dice.choice(codes)
                name = dice.choice([f"THING {code}", f"THING {code} ", ""])
                writer.writerow([invoice, code, name, quantity, at, price, customer, "France"])
    return path


def write_workbook(source: Path, path: Path) -> Path:
    """Write a .csv file's rows as a spreadsheet program would: numbers and times as such."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Online Retail")
    with source.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file)):
            sheet.append(row if number == 0 else [_cell(value) for value in row])
    book.create_sheet("Sheet2")
    book.save(path)
    return path


def _cell(value: str) -> Any:
    if not value:
        return None
    for kind in (int, float, datetime.fromisoformat):
        with suppress(ValueError):
            return kind(value)
    return value
