"""The log of a system, to check responses against."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from support.system import System

PRODUCT = ("productId", "name", "price", "stock", "stockStatus", "sku")


class Log:
    """The whole log, to check responses against."""

    def __init__(self, system: System) -> None:
        self._rows: list[dict[str, Any]] = system.sql(
            "SELECT position, event_type, aggregate_type || '-' || aggregate_id AS aggregate,"
            " version, aggregate_id, payload::text, payload::jsonb #>> '{totalPrice}' AS total,"
            " (SELECT sum((item ->> 'quantity')::int * (item ->> 'price')::numeric)"
            "  FROM jsonb_array_elements(payload::jsonb -> 'orderItems') item) AS amount,"
            " (SELECT sum((item ->> 'quantity')::int)"
            "  FROM jsonb_array_elements(payload::jsonb -> 'orderItems') item) AS units"
            " FROM events ORDER BY position"
        )

    def check_orders(self, position: int, head: int, found: set[int], *, is_cut: bool) -> None:
        made = {r["aggregate_id"]: r["position"] for r in self._rows if _is(r, "OrderCreated")}
        gone = {r["aggregate_id"]: r["position"] for r in self._rows if _is(r, "OrderDeleted")}
        must = {n for n, at in made.items() if at <= position and gone.get(n, head + 1) > head}
        assert is_cut or must <= found
        assert all(gone.get(number, position + 1) > position for number in found)

    def check_order_bodies(self, found: Iterable[dict[str, Any]]) -> None:
        """Check that each order is as it was placed; its customer's name is that of now."""
        placed = {}
        for row in self._rows:
            if _is(row, "OrderCreated"):
                placed[row["aggregate_id"]] = json.loads(row["payload"])
        for order in found:
            fields = order.keys() - {"customerName"}
            expected = placed[order["orderId"]]
            assert {name: order[name] for name in fields} == {n: expected[n] for n in fields}

    def check_products(self, position: int, found: Iterable[dict[str, Any]]) -> None:
        """Check a whole list of products: each as it was at the position, or at some later one."""
        bodies = {product["productId"]: product for product in found}
        states = self._states()
        assert bodies.keys() <= states.keys()
        for number, history in states.items():
            due = [body for at, body in history if at <= position][-1:]
            later = [body for at, body in history if at > position]
            allowed = [*(due or [None]), *later]
            assert bodies.get(number) in allowed, (position, allowed)

    def _states(self) -> dict[int, list[tuple[int, dict[str, Any] | None]]]:
        """Return each product's states with their positions; None: deleted."""
        states: dict[int, list[tuple[int, dict[str, Any] | None]]] = {}
        for row in self._rows:
            if not row["aggregate"].startswith("product-"):
                continue
            payload, body = json.loads(row["payload"]), None
            history = states.setdefault(row["aggregate_id"], [])
            if _is(row, "ProductSold"):
                sold = {"stock": payload["remainingStock"], "stockStatus": payload["stockStatus"]}
                body = {**(history[-1][1] or {}), **sold}
            elif not _is(row, "ProductDeleted"):
                body = {name: payload[name] for name in PRODUCT}
            history.append((row["position"], body))
        return states

    def total(self, position: int) -> dict[str, Any]:
        amount, units, orders = Decimal(0), 0, 0
        for row in self._rows:
            sign = _is(row, "OrderCreated") - _is(row, "OrderDeleted")
            if sign and row["position"] <= position:
                amount += sign * row["amount"]
                units += sign * row["units"]
                orders += sign
        shown = f"{amount:.3f}"
        shown = shown.removesuffix("0")
        return {"totalSales": shown, "unitsSold": units, "orders": orders}

    def version(self, aggregate: str, position: int) -> int:
        rows = [r for r in self._rows if r["aggregate"] == aggregate and r["position"] <= position]
        return int(max(row["version"] for row in rows))


def _is(row: dict[str, Any], event_type: str) -> bool:
    return bool(row["event_type"] == event_type)
