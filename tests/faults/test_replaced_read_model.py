"""MongoDB comes back empty or older while a projector that knows better lives on, told by no error.

The server stays: only its documents are exchanged, so that the driver has nothing to notice.
"""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import ReplaceOne

from storelog.config import Settings
from storelog.projector.checkpoints import CHECKPOINTS
from support.projected import verified
from support.system import System

Copy = dict[str, list[dict[str, Any]]]


@pytest.fixture
def projected(settings: Settings) -> Iterator[System]:
    with System(settings) as system:
        trade(system)
        yield system


def trade(system: System) -> None:
    customers = [system.new_customer()["customerId"] for _ in range(6)]
    products = [system.new_product(stock=500)["productId"] for _ in range(4)]
    for number in range(24):
        system.new_order(customers[number % 6], (products[number % 4], 1))
    system.commands.put(f"/products/{products[0]}", {"name": "Renamed", "price": "2"})
    system.wait_projected()


def order_of_everybody(system: System) -> None:
    """One more event in every lane, for entities that exist already."""
    for customer in range(1, 7):
        system.new_order(customer, (1 + customer % 4, 1))


def copy_of(system: System) -> Copy:
    names = system.mongo.list_collection_names()
    return {name: list(system.mongo[name].find({})) for name in names}


def exchange(system: System, copy: Copy) -> None:
    """Exchange the documents, the checkpoints last: they never say more than is there."""
    system.mongo.client.drop_database(system.mongo.name)
    for name, documents in sorted(copy.items(), key=lambda each: each[0] == CHECKPOINTS):
        # Some of them the projector writes again by itself, within a second.
        writes = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents]
        if writes:
            system.mongo[name].bulk_write(writes)


def test_an_emptied_read_model_is_filled_again_with_its_totals(projected: System) -> None:
    # A new projector has no sums in memory: it would read them, and find none.
    projected.signal("projector", signal.SIGKILL)
    projected.start("projector")
    projected.wait_ready("projector")
    order_of_everybody(projected)
    projected.wait_projected()
    exchange(projected, {})
    order_of_everybody(projected)
    projected.wait_projected()
    verified(projected)


def test_an_emptied_read_model_recovers_though_nothing_is_written(projected: System) -> None:
    indexes = len(projected.mongo.orders.index_information())
    exchange(projected, {})
    projected.wait_projected()
    assert len(projected.mongo.orders.index_information()) == indexes
    verified(projected)


def test_an_older_read_model_catches_up_with_its_totals(projected: System) -> None:
    older = copy_of(projected)
    order_of_everybody(projected)
    projected.commands.put("/products/2", {"name": "Renamed later", "price": "3"})
    projected.wait_projected()
    projected.signal("projector", signal.SIGKILL)
    projected.start("projector")
    projected.wait_ready("projector")
    exchange(projected, older)
    order_of_everybody(projected)
    projected.wait_projected()
    verified(projected)
