"""Checks the log by itself, folding it with plain sums and none of the system's own code.

There is no gap, no repeated version and no stock below zero. The units put in equal those sold plus
those left. Each order's total is the sum of its lines.
Next: torture/checks/topics.py
"""

import json
from collections import Counter
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from storelog.envelope import Envelope
from storelog.torture.report import TortureReport

CENT = Decimal("0.01")
_ENDS = ("CustomerDeleted", "OrderDeleted", "ProductDeleted")


class History:
    """One pass over the log; afterwards it has the exact totals of all orders not deleted."""

    def __init__(self, report: TortureReport) -> None:
        self._report = report
        self._versions: Counter[str] = Counter()
        self._ended: set[str] = set()
        self._stock: dict[int, int] = {}
        self._put_in: Counter[int] = Counter()
        self._sold: Counter[int] = Counter()
        self._orders: dict[int, Decimal] = {}
        self._lines: Counter[int] = Counter()
        self._owed: dict[tuple[int, int], int] = {}

    @property
    def sales(self) -> Decimal:
        """The exact sum of all lines of all orders that were not deleted."""
        return sum(self._orders.values(), Decimal(0))

    @property
    def orders(self) -> int:
        """The number of orders that were not deleted."""
        return len(self._orders)

    def fold(self, log: Iterable[Envelope]) -> None:
        """Check one event after the other."""
        for place, event in enumerate(log, 1):
            self._check(event.position == place, event, "is not the next position")
            self._versions[event.aggregate] += 1
            version = self._versions[event.aggregate]
            self._check(event.version == version, event, f"should be version {version}")
            self._check(event.aggregate not in self._ended, event, "comes after a deletion")
            if event.event_type in _ENDS:
                self._ended.add(event.aggregate)
            self._apply(event, json.loads(event.payload))
            self._report.count("events", 1)
        for order, product in self._owed:
            self._report.breach(f"deleted order {order} gave nothing back of product {product}")
        for product, stock in self._stock.items():
            if self._put_in[product] != self._sold[product] + stock:
                self._report.breach(
                    f"product {product}: {self._put_in[product]} put in,"
                    f" {self._sold[product]} sold, {stock} left"
                )

    def _apply(self, event: Envelope, payload: dict[str, Any]) -> None:
        match event.event_type:
            case "ProductCreated":
                self._stock[event.aggregate_id] = self._put_in[event.aggregate_id] = payload[
                    "stock"
                ]
            case "ProductSold":
                self._sell(event, payload)
            case "ProductUpdated":
                self._update(event, payload)
            case "OrderCreated":
                self._order(event, payload)
            case "OrderDeleted":
                self._orders.pop(event.aggregate_id, None)
                self._owe(event, payload)
            case "CustomerCreated" | "CustomerUpdated" | "CustomerDeleted" | "ProductDeleted":
                pass
            case _:
                self._check(False, event, f"is of the unknown type {event.event_type}")

    def _sell(self, event: Envelope, payload: dict[str, Any]) -> None:
        # Computed from earlier events, not from the payload's own stock, which is checked by it.
        product, quantity = event.aggregate_id, payload["quantitySold"]
        left = self._stock[product] - quantity
        self._check(left >= 0, event, f"sells {quantity} of {self._stock[product]}")
        self._check(payload["remainingStock"] == left, event, f"should leave {left}")
        amount = quantity * Decimal(payload["productPrice"])
        self._check(Decimal(payload["productTotalPrice"]) == amount, event, f"costs {amount}")
        self._lines[payload["itemId"]] += 1
        self._check(self._lines[payload["itemId"]] == 1, event, "sells a line twice")
        self._stock[product] = left
        self._sold[product] += quantity

    def _update(self, event: Envelope, payload: dict[str, Any]) -> None:
        product, stock = event.aggregate_id, payload["stock"]
        if payload["reason"] == "OrderDeleted":
            back = sum(item["quantity"] for item in payload["returned"])
            owed = self._owed.pop((payload["orderId"], product), None)
            self._check(back == owed, event, f"should give {owed} back")
            self._check(stock == self._stock[product] + back, event, f"gives {back} back")
            self._sold[product] -= back
        else:
            if payload["reason"] == "StockAdjusted":
                right = self._stock[product] + payload["delta"]
                self._check(stock == right, event, f"should leave {right}")
            self._put_in[product] += stock - self._stock[product]
        self._check(stock >= 0, event, f"leaves {stock}")
        self._stock[product] = stock

    def _order(self, event: Envelope, payload: dict[str, Any]) -> None:
        lines = (item["quantity"] * Decimal(item["price"]) for item in payload["orderItems"])
        total = sum(lines, Decimal(0))
        rounded = total.quantize(CENT, ROUND_HALF_EVEN)
        self._check(Decimal(payload["totalPrice"]) == rounded, event, f"costs {rounded}")
        self._orders[event.aggregate_id] = total

    def _owe(self, event: Envelope, payload: dict[str, Any]) -> None:
        """Note the units that a deleted order must give back to each product not deleted."""
        for item in payload["orderItems"]:
            if f"product-{item['productId']}" not in self._ended:
                place = (event.aggregate_id, item["productId"])
                self._owed[place] = self._owed.get(place, 0) + item["quantity"]

    def _check(self, holds: bool, event: Envelope, what: str) -> None:
        if not holds:
            name = f"{event.event_type} of {event.aggregate} version {event.version}"
            self._report.breach(f"position {event.position}, {name}: {what}")
