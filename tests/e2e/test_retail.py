"""A real shop's sales through the whole system, and verify's word on it, before and after harm."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64

from storelog.documents.ledgers import facts_of_leaf, pack_facts
from storelog.traffic.retail_file import RetailFile, read_retail_file
from support.differences import assert_named
from support.embedded import EmbeddedServers, new_settings
from support.system import System, wait_for

INVOICES = 150


class Imported:
    """A slice of the file, imported with an interruption."""

    def __init__(self, system: System, path: Path) -> None:
        self.system = system
        self.read: RetailFile = read_retail_file(path, INVOICES)
        self.argv = ["import", "retail", str(path), "--limit-invoices", str(INVOICES), "--json"]
        self._interrupt()
        done = system.cli(*self.argv)
        assert done.returncode == 0, done.stderr
        self.summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        system.wait_projected()

    def _interrupt(self) -> None:
        """Kill an import in the middle of its orders, twice."""
        for least in (20, 60):
            process = subprocess.Popen(
                [sys.executable, "-m", "storelog", *self.argv],
                env=self.system.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wait_for(lambda least=least: self._orders() >= least, f"{least} orders")  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait(10)

    def _orders(self) -> int:
        return int(self.system.sql("SELECT count(*) AS n FROM orders")[0]["n"])


@pytest.fixture(scope="module")
def imported(servers: EmbeddedServers, retail_slice: Path) -> Iterator[Imported]:
    with System(new_settings(servers)) as system:
        yield Imported(system, retail_slice)


def lines(read: RetailFile) -> list[tuple[str, int, Decimal]]:
    return [line for invoice in read.invoices.values() for line in invoice.lines]


def test_an_interrupted_import_ends_with_the_files_own_sums(imported: Imported) -> None:
    expected = lines(imported.read)
    revenue = sum((quantity * price for _, quantity, price in expected), Decimal(0))
    summary = imported.summary
    assert (summary["orders"], summary["lines"]) == (INVOICES, len(expected))
    assert summary["units"] == sum(quantity for _, quantity, _ in expected)
    assert Decimal(summary["revenue"]) == revenue
    assert summary["rows"] == imported.read.rows
    total = imported.system.queries.get("/analytics/total-sales").json
    assert Decimal(total["totalSales"]) == revenue
    assert (total["orders"], total["unitsSold"]) == (INVOICES, summary["units"])


def test_every_product_is_left_with_the_spare_stock(imported: Imported) -> None:
    products = list(imported.system.queries.pages("/products", 500))
    assert len(products) == imported.summary["products"] == len(imported.read.items)
    assert {product["stock"] for product in products} == {100}
    names = sorted(product["name"] for product in products)
    assert names == sorted(item.name for item in imported.read.items.values())


def test_the_highest_products_and_customers_are_the_files(imported: Imported) -> None:
    by_code: dict[str, Decimal] = {}
    by_customer: dict[str, Decimal] = {}
    for invoice in imported.read.invoices.values():
        for code, quantity, price in invoice.lines:
            by_code[code] = by_code.get(code, Decimal(0)) + quantity * price
            name = f"Customer {invoice.customer}" if invoice.customer else "Guest"
            by_customer[name] = by_customer.get(name, Decimal(0)) + quantity * price
    queries = imported.system.queries
    items = queries.get("/analytics/product-totals?limit=500").json["items"]
    highest = sorted(by_code.values(), reverse=True)[:500]
    assert [Decimal(item["totalSales"]) for item in items] == highest
    items = queries.get("/analytics/top-customers?limit=500").json["items"]
    assert {item["name"]: Decimal(item["totalSpent"]) for item in items} == by_customer


def test_the_same_import_again_changes_nothing(imported: Imported) -> None:
    written = imported.system.written()
    again = imported.system.cli(*imported.argv)
    assert json.loads(again.stdout.splitlines()[-1]) == imported.summary
    assert imported.system.written() == written


def verify(system: System, *options: str) -> tuple[int, dict[str, Any]]:
    done = system.cli("verify", "--json", *options)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return done.returncode, report


def test_verify_says_yes_and_names_what_it_checked(imported: Imported) -> None:
    code, report = verify(imported.system)
    assert (code, report["differences"]) == (0, [])
    assert report["position"] == imported.system.written()
    assert report["checked"]["events"] == imported.system.written()
    assert report["checked"]["mongodb.product_sold"] == imported.summary["lines"]
    assert report["checked"]["postgresql.order_items"] == imported.summary["lines"]


def change_a_price(system: System) -> None:
    system.mongo.orders.update_one({"_id": 5}, {"$set": {"totalPrice": Decimal128("0.01")}})


def change_a_line(system: System) -> None:
    system.mongo.orders.update_one({"_id": 6}, {"$set": {"orderItems.0.quantity": 999}})


def change_a_customer(system: System) -> None:
    system.mongo.customers.update_one({"_id": 1}, {"$set": {"email": "by-hand@example.com"}})


def remove_a_sale(system: System) -> None:
    system.mongo.product_sold.delete_one({"_id": 7})


def cancel_a_sale(system: System) -> None:
    system.mongo.product_sold.update_one({"_id": 8}, {"$set": {"cancelled": True}})


def add_a_product(system: System) -> None:
    model = system.mongo.products.find_one({"_id": 1})
    assert model is not None
    nowhere = Int64(999_999)
    system.mongo.products.insert_one({**model, "_id": nowhere, "product_id": nowhere})


def change_a_figure(system: System) -> None:
    node = system.mongo.figures.find_one({})
    assert node is not None
    system.mongo.figures.update_one({"_id": node["_id"]}, {"$inc": {"sales.minAt": 1}})


def remove_a_figure(system: System) -> None:
    system.mongo.figures.delete_one({})


def change_a_fact(system: System) -> None:
    leaf = max(system.mongo.ledger.find({"lane": 0}), key=lambda leaf: int(leaf["position"]))
    first, *others = facts_of_leaf(leaf)
    chunk = pack_facts([replace(first, customer=first.customer + 1), *others])
    system.mongo.ledger.update_one({"_id": leaf["_id"]}, {"$set": {"chunks": [chunk]}})


def remove_a_fact(system: System) -> None:
    leaf = max(system.mongo.ledger.find({"lane": 0}), key=lambda leaf: int(leaf["position"]))
    facts = list(facts_of_leaf(leaf))[:-1]
    chunks = [pack_facts(facts)]
    system.mongo.ledger.update_one({"_id": leaf["_id"]}, {"$set": {"chunks": chunks}})


@pytest.mark.parametrize(
    ("harm", "where", "thing"),
    [
        (change_a_price, "mongodb.orders", 5),
        (change_a_line, "mongodb.orders", 6),
        (change_a_customer, "mongodb.customers", 1),
        (remove_a_sale, "mongodb.product_sold", 7),
        (cancel_a_sale, "mongodb.product_sold", 8),
        (add_a_product, "mongodb.products", 999_999),
        (change_a_figure, "mongodb.figures", None),
        (remove_a_figure, "mongodb.figures", None),
        (change_a_fact, "mongodb.ledger", None),
        (remove_a_fact, "mongodb.ledger", None),
    ],
)
def test_a_document_that_was_changed_by_hand_is_named_and_repaired(
    imported: Imported, harm: Callable[[System], None], where: str, thing: int | None
) -> None:
    harm(imported.system)
    code, report = verify(imported.system)
    assert code == 1
    assert_named(report["differences"], where, thing)
    assert verify(imported.system, "--repair")[1]["repaired"] >= 1
    code, report = verify(imported.system)
    assert (code, report["differences"]) == (0, [])


@pytest.mark.parametrize(
    ("harm", "mend", "where", "thing"),
    [
        (
            "UPDATE products SET stock = stock + 1 WHERE product_id = 3",
            "UPDATE products SET stock = stock - 1 WHERE product_id = 3",
            "postgresql.products",
            3,
        ),
        (
            "UPDATE order_items SET quantity = quantity + 1 WHERE item_id = 4",
            "UPDATE order_items SET quantity = quantity - 1 WHERE item_id = 4",
            "postgresql.order_items",
            4,
        ),
        (
            "UPDATE orders SET is_deleted = true WHERE order_id = 9",
            "UPDATE orders SET is_deleted = false WHERE order_id = 9",
            "postgresql.orders",
            9,
        ),
        (
            "UPDATE customers SET name = name || '!' WHERE customer_id = 2",
            "UPDATE customers SET name = rtrim(name, '!') WHERE customer_id = 2",
            "postgresql.customers",
            2,
        ),
    ],
)
def test_a_row_that_was_changed_by_hand_is_named(
    imported: Imported, harm: str, mend: str, where: str, thing: int
) -> None:
    imported.system.sql(harm)
    code, report = verify(imported.system)
    imported.system.sql(mend)
    assert code == 1
    assert_named(report["differences"], where, thing)


@pytest.fixture
def open_log(imported: Imported) -> Iterator[System]:
    """The log for a hand to change; the relay stands still, as it would send what is added."""
    system = imported.system
    system.signal("relay", signal.SIGSTOP)
    system.sql("ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    system.sql("CREATE TABLE kept AS TABLE events")
    yield system
    for mend in (
        "DELETE FROM events",
        "INSERT INTO events SELECT * FROM kept",
        "DROP TABLE kept",
        "ALTER TABLE events ENABLE TRIGGER events_are_append_only",
    ):
        system.sql(mend)
    system.signal("relay", signal.SIGCONT)


MIDDLE = "(SELECT min(position) FROM events WHERE event_type = 'ProductSold')"
LAST = "(SELECT max(position) FROM events)"


@pytest.mark.parametrize(
    ("harm", "place", "named"),
    [
        (
            "UPDATE events SET payload ="
            " replace(payload::text, '\"quantitySold\":', '\"quantitySold\":1')::json",
            MIDDLE,
            [(0, "payload")],
        ),
        ("UPDATE events SET version = version + 1000", MIDDLE, [(0, "hash")]),
        # What follows was chained to the hash that was there.
        ("UPDATE events SET hash = payload_hash", MIDDLE, [(0, "hash"), (1, "hash")]),
        ("DELETE FROM events", MIDDLE, [(0, "event")]),
        ("DELETE FROM events", LAST, [(0, "event")]),
        (
            "INSERT INTO events SELECT (jsonb_populate_record(e, jsonb_build_object("
            "'position', position + 1, 'version', version + 1000))).* FROM events e",
            LAST,
            [(1, "event")],
        ),
    ],
    ids=["payload", "version", "hash", "removed", "removed last", "added"],
)
def test_an_event_that_was_changed_removed_or_added_by_hand_is_named(
    open_log: System, harm: str, place: str, named: list[tuple[int, str]]
) -> None:
    position = open_log.sql(f"SELECT {place} AS position")[0]["position"]
    open_log.sql(f"{harm} WHERE position = $1", position)
    code, report = verify(open_log)
    assert code == 1
    found = [(d["id"], d["field"]) for d in report["differences"] if d["where"] == "log"]
    assert found == [(position + after, field) for after, field in named]
