"""The state that commands are decided on: what is known at one head of the log.

All state comes from the log, so as long as the log's head has not moved, what is kept here is
right; `append_batch` refuses a batch whose head has moved, and then everything here is dropped.
Next: command_service/batch.py
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from storelog.domain.customer import Customer
from storelog.domain.order import Order
from storelog.domain.product import Product
from storelog.domain.value import value
from storelog.envelope import GENESIS_HASH

MAX_KEPT = 50_000
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@value
class Head:
    """The newest event of the log: its position, its hash, and when it was recorded."""

    position: int = 0
    hash: bytes = GENESIS_HASH
    recorded_at: datetime = _BEFORE_ALL


@dataclass(slots=True)
class State:
    """Aggregates as of `head`; None for one that is known not to exist.

    Customers and products are kept from batch to batch (the oldest go first), orders only for the
    batch that asks for them.
    """

    head: Head
    customers: dict[int, Customer | None] = field(default_factory=dict)
    products: dict[int, Product | None] = field(default_factory=dict)
    orders: dict[int, Order | None] = field(default_factory=dict)

    def settle(self, head: Head) -> None:
        """Go on from a batch that was committed and left the log at `head`."""
        self.head = head
        self.orders.clear()
        for kept in (self.customers, self.products):
            if len(kept) > MAX_KEPT:
                for old in list(islice(kept, len(kept) - MAX_KEPT // 2)):
                    del kept[old]
