"""A MongoDB server that stands alone has no transactions: every write is guarded by itself.

Then a batch can be torn: its documents written, its checkpoint not.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from storelog.config import Settings
from storelog.torture.wire import Wire
from support.standalone import Standalone
from support.system import System, trade, wait_for

OTHERS = ("command-service", "relay", "query-service")
# Where a batch is torn: before its first write, between any two of them, before its checkpoint.
TORN_BEFORE = (
    *(f"insert.{name}" for name in ("orders", "product_sold", "changes")),
    *(f"update.{name}" for name in ("products", "customers", "orders", "product_sold")),
    *(f"update.{name}" for name in ("ledger", "checkpoints")),
)


@dataclass(frozen=True, slots=True)
class Alone:
    """A system whose projector writes to a server without transactions, over a wire."""

    system: System
    projector: System
    server: Standalone
    wire: Wire

    def wait_projected(self) -> None:
        target, queries = self.system.written(), self.system.queries
        wait_for(
            lambda: queries.get("/analytics/total-sales").position >= target,
            f"position {target}; the projector said {self.projector.log('projector')}",
        )

    def wait_verified(self) -> None:
        self.wait_projected()
        done = self.system.cli("verify", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["position"] == self.system.written()

    def sessions(self) -> set[bytes | None]:
        """What the lanes' checkpoints say of the sessions whose transactions write them."""
        return {lane.get("session") for lane in self.system.mongo.checkpoints.find({})}


@contextmanager
def written_over(settings: Settings, *, is_alone: bool = True) -> Iterator[Alone]:
    address = urlsplit(settings.mongodb_uri or "")
    server = Standalone(str(address.hostname), address.port or 0, is_alone=is_alone)
    with server, Wire("127.0.0.1", server.port) as wire:
        uri = address._replace(netloc=f"127.0.0.1:{wire.port}").geturl()
        projector = System(replace(settings, mongodb_uri=uri), ("projector",))
        with System(settings, OTHERS) as system, projector:
            yield Alone(system, projector, server, wire)


def order_of_everybody(system: System) -> None:
    """One event at least of every kind that changes a document."""
    known = system.queries.get("/orders?limit=1").json["items"][0]["orderId"]
    assert system.commands.delete(f"/orders/{known}").status == 204
    for customer in (1, 3, 4):
        system.new_order(customer, (3, 1), (4, 2))
    system.commands.put("/products/3", {"name": "Again", "price": "2"})
    system.commands.put("/customers/3", {"name": "Again", "email": "a@b"})


def test_the_stand_in_responds_like_a_standalone_server(settings: Settings) -> None:
    address = urlsplit(settings.mongodb_uri or "")
    with Standalone(str(address.hostname), address.port or 0) as server:
        client: MongoClient[dict[str, int]] = MongoClient("127.0.0.1", server.port)
        try:
            assert "setName" not in client.admin.command("hello")
            client.alone.numbers.insert_one({"n": 1})
            with (
                client.start_session() as session,
                pytest.raises(OperationFailure, match="Transaction numbers are only"),
                session.start_transaction(),
            ):
                client.alone.numbers.insert_one({"n": 2}, session=session)
            assert [found["n"] for found in client.alone.numbers.find({})] == [1]
            assert server.refused == ["insert", "abortTransaction"]
        finally:
            client.close()


def test_without_transactions_a_batch_torn_anywhere_is_written_once(settings: Settings) -> None:
    with written_over(settings) as alone:
        trade(alone.system)
        alone.wait_verified()
        assert "go on without transactions" in alone.projector.log("projector")
        assert alone.server.refused
        for place in TORN_BEFORE:
            command, name = place.split(".")
            matching = re.compile(rf"(?s){command}\0....{name}\0".encode())
            alone.wire.lose("request", matching)
            order_of_everybody(alone.system)
            wait_for(alone.wire.happened.is_set, f"a batch torn before {place}")
            alone.wait_projected()
        alone.wait_verified()
        assert alone.sessions() == {None}
        assert "insert" not in alone.server.refused


def test_a_server_that_has_no_transactions_any_more_is_written_without_them(
    settings: Settings,
) -> None:
    with written_over(settings, is_alone=False) as alone:
        trade(alone.system)
        alone.wait_verified()
        order_of_everybody(alone.system)
        alone.wait_verified()
        assert None not in alone.sessions()
        alone.server.is_alone = True
        order_of_everybody(alone.system)
        alone.wait_verified()
        assert alone.sessions() == {None}
