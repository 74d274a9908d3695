"""A log that lost commits which Kafka and MongoDB have is recovered by one command."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from storelog.config import Settings
from support.backups import RELAYED, dump, restored
from support.embedded import another_postgres
from support.projected import verified
from support.system import System, trade


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a second PostgreSQL cluster, in which there is nothing yet."""
    with another_postgres() as url:
        yield url


def test_recover_appends_what_is_unchanged_names_the_rest_and_all_processes_go_on(
    settings: Settings, cluster: str, tmp_path: Path
) -> None:
    with System(settings, RELAYED) as system:
        trade(system)
        contested = system.new_product(stock=5)["productId"]
        customer = system.new_customer()["customerId"]
        system.wait_projected()
        for name in ("relay", "projector"):
            system.signal(name, signal.SIGTERM)
            system.exit_code(name)
        dump(settings, tmp_path / "older")
        common = system.written()
        for name in ("relay", "projector"):
            system.start(name)
        # An order of another product, one of the product that is changed meanwhile, a customer.
        kept = system.new_order(customer, (3, 1))["orderId"]
        system.new_order(customer, (contested, 1))
        system.new_customer(name="Lost And Found")
        system.wait_projected()
        lost = system.sql(
            "SELECT event_id::text FROM events WHERE position > $1 ORDER BY position", common
        )
    older = restored(settings, cluster, tmp_path / "older", "older")
    with System(older, ("command-service", "query-service")) as system:
        changed = system.commands.post(
            f"/products/{contested}/stock-adjustments", {"delta": 1, "reason": "found"}
        )
        assert changed.status == 200
        system.start("relay")
        assert system.exit_code("relay") == 3
        report = tmp_path / "lost.json"
        done = system.cli("recover", "--report", str(report), "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(report.read_text())
        assert told == json.loads(done.stdout)
        assert told["beganAfter"] == common
        assert [each["eventId"] for each in told["lost"]] == [each["event_id"] for each in lost]
        left = {each["eventType"] for each in told["lost"] if each["newPosition"] is None}
        assert (told["appendedAgain"], told["left"]) == (3, 2)
        assert left == {"OrderCreated", "ProductSold"}
        # What a service gives out is of the new history, also where it was sent nothing meanwhile.
        page = system.commands.get("/events?limit=1")
        assert page.headers["storelog-history"] == told["history"]
        # Again: there is nothing more to do, and nothing is appended twice.
        written = system.written()
        again = system.cli("recover", "--report", str(report), "--json")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["lost"] == []
        assert system.written() == written
        for name in ("relay", "projector"):
            system.start(name)
        order = system.new_order(customer, (contested, 1))
        system.wait_projected()
        assert verified(system)["position"] == system.written()
        assert system.queries.get(f"/orders/{kept}").status == 200
        assert system.queries.get(f"/orders/{order['orderId']}").status == 200
        response = system.queries.get("/customers?q=lost+found")
        assert [each["name"] for each in response.json["items"]] == ["Lost And Found"]
