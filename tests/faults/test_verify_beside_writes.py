"""Verify says yes while writes go on: whatever comes meanwhile is no difference."""

import json
import threading
from typing import Any

import pytest

from support.load import place_orders
from support.system import System, trade


def verify(system: System) -> tuple[int, dict[str, Any]]:
    done = system.cli("verify", "--json")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.alone
def test_there_is_no_false_alarm_while_writes_go_on(system: System) -> None:
    trade(system)
    lines = [{"productId": 3, "quantity": 1}]
    bodies = [{"customerId": customer, "orderItems": lines} for customer in (1, 3, 4)] * 20
    stop = threading.Event()

    def write() -> None:
        # At a pace that the embedded read side can follow: verify waits for what is written.
        while not stop.wait(0.5):
            system.commands.post("/products/3/stock-adjustments", {"delta": 100, "reason": "x"})
            _, answers = place_orders([system.commands.url], bodies, 4)
            for order in answers[::9]:
                if "orderId" in order:
                    system.commands.delete(f"/orders/{order['orderId']}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            code, report = verify(system)
            assert code == 0, report["differences"]
    finally:
        stop.set()
        writer.join(60)
    assert report["checked"]["mongodb.product_sold"] > 100
