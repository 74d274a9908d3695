"""Two shops on one server: with few orders of one product, and with many.

The orders are put into MongoDB as the projector would write them, one a minute up to now, each with
one sale, all of one product; half of them are deleted, and their sales cancelled. Relay and
projector stand still then, since they would write over the bounds that say where orders begin.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson.int64 import Int64

from benchmarks.shop import open_shop
from benchmarks.stage import Stage, Use
from storelog.projector.checkpoints import CHECKPOINTS
from support.system import System

PRODUCT, UNSOLD, CUSTOMER, OTHER, NOBODY = 1, 2, 3, 4, 7
FIRST_ID = 1_000_000
AT_ONCE = 1_000
Document = dict[str, Any]


@dataclass(frozen=True)
class Filled:
    """One shop: its system, how many orders it has, and when the newest was placed."""

    system: System
    size: int
    newest: datetime

    @property
    def middle(self) -> int:
        """The number of an order half-way: the customer's, and not deleted."""
        return self.size // 8 * 4 + 2

    def id_of(self, number: int) -> int:
        """Return the id of an order, of its line and of its sale."""
        return FIRST_ID + number

    def time_of(self, number: int) -> datetime:
        """Return when the order with that number was placed."""
        return self.newest - timedelta(minutes=self.size - number)


@contextmanager
def two_shops(
    stage: Stage, sizes: tuple[int, int], notes: list[str]
) -> Iterator[tuple[Filled, Filled, Use]]:
    """Give the shop with few orders, the one with many, and what processes of the second use."""
    with ExitStack() as opened:
        few, many = (_fill(stage, opened, size) for size in sizes)
        if not stage.wait_idle("mongodb"):
            notes.append("the MongoDB server was still busy after it was filled")
        yield few, many, opened.enter_context(stage.using(many.system))


def _fill(stage: Stage, opened: ExitStack, size: int) -> Filled:
    system = opened.enter_context(stage.new_system())
    open_shop(system)
    made = system.new_order(CUSTOMER, (PRODUCT, 1))
    system.wait_projected()
    opened.enter_context(stage.paused(system, "relay", "projector"))
    order = system.mongo["orders"].find_one({"_id": made["orderId"]})
    sale = system.mongo["product_sold"].find_one({"orderId": made["orderId"]})
    assert order is not None
    assert sale is not None
    shop = Filled(system, size, order["orderDate"])
    for start in range(1, size, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, size))
        orders = [_order(shop, order, number) for number in numbers]
        sales = [_sale(shop, sale, number) for number in numbers]
        system.mongo["orders"].insert_many(orders, ordered=False)
        system.mongo["product_sold"].insert_many(sales, ordered=False)
    bounds = {"oldestOrder": shop.time_of(1)}
    system.mongo[CHECKPOINTS].update_many({"oldestOrder": {"$ne": None}}, {"$set": bounds})
    return shop


def _customer(number: int) -> Int64:
    return Int64(OTHER if number % 2 else CUSTOMER)


def _is_deleted(number: int) -> bool:
    return number // 2 % 2 == 0


def _order(shop: Filled, model: Document, number: int) -> Document:
    order_id = Int64(shop.id_of(number))
    return {
        **model,
        "_id": order_id,
        "order_id": order_id,
        "customerId": _customer(number),
        "orderDate": shop.time_of(number),
        "orderItems": [{**model["orderItems"][0], "itemId": order_id}],
        "deleted": _is_deleted(number),
    }


def _sale(shop: Filled, model: Document, number: int) -> Document:
    mark = {"cancelled": True, "cancelPosition": model["position"]}
    return {
        **model,
        "_id": Int64(shop.id_of(number)),
        "orderId": Int64(shop.id_of(number)),
        "customerId": _customer(number),
        "soldAt": shop.time_of(number),
        **(mark if _is_deleted(number) else {}),
    }
