"""The state that commands are decided on: what is known at one head of the log.

All state comes from the log, so as long as the log's head has not moved, what is kept here is
right; `append_batch` refuses a batch whose head has moved, and then everything here is dropped.
Next: command_service/batch.py
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from storelog.envelope import GENESIS_HASH
from storelog.shop.aggregate import Aggregate
from storelog.shop.customer import Customer
from storelog.shop.order import Order
from storelog.shop.product import Product
from storelog.shop.unique import Holders

MAX_KEPT = 50_000
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Head:
    """The newest event of the log: its position, its hash, and when it was recorded.

    Of a batch that was not sent yet only the position is known; the rest is filled in when it is
    sent. The batch after it goes on from the same object.
    """

    position: int = 0
    hash: bytes = GENESIS_HASH
    recorded_at: datetime = BEFORE_ALL


@dataclass(slots=True)
class State:
    """Aggregates as of `head`; None for one that is known not to exist.

    Customers, products and holders of unique values are kept from batch to batch; of orders only
    those that the batch being decided and the one before it, which may not be written yet, have
    touched.
    """

    head: Head
    customers: dict[int, Aggregate[Customer] | None] = field(default_factory=dict)
    products: dict[int, Aggregate[Product] | None] = field(default_factory=dict)
    orders: dict[int, Aggregate[Order] | None] = field(default_factory=dict)
    orders_before: dict[int, Aggregate[Order] | None] = field(default_factory=dict)
    holders: Holders = field(default_factory=Holders)

    def after(self, head: Head) -> "State | None":
        """Return the state that a batch leaves, with the log at `head`.

        None where too much is kept: what the batch has touched cannot be dropped before it is
        written, so the state is read anew then.
        """
        if max(len(self.customers), len(self.products), len(self.holders)) > MAX_KEPT:
            return None
        return State(head, self.customers, self.products, {}, self.orders, self.holders)
