"""Three projectors that join and leave every few seconds under load: nothing lost or doubled."""

import os
import random
import signal
import threading
from collections import Counter
from contextlib import ExitStack

from storelog.config import Settings
from support.load import place_orders
from support.system import System, wait_for

SEED = int(os.environ.get("STORELOG_TEST_SEED") or 3)
LEAVINGS = 8
PROJECTORS = 3


class Load:
    """Orders, some at a time, until it is stopped; every one is accepted."""

    def __init__(self, system: System) -> None:
        customers = [system.new_customer()["customerId"] for _ in range(9)]
        products = [system.new_product(stock=100_000)["productId"] for _ in range(9)]
        self._bodies = [
            {
                "customerId": customers[n],
                "orderItems": [
                    {"productId": products[(n + k) % 9], "quantity": 1 + k} for k in range(3)
                ],
            }
            for n in range(9)
        ]
        self._url = system.commands.url
        self._is_over = threading.Event()
        self.statuses: Counter[int] = Counter()
        self._thread = threading.Thread(target=self._trade)
        self._thread.start()

    def _trade(self) -> None:
        while not self._is_over.wait(0.3):
            self.statuses.update(place_orders([self._url], self._bodies, 3)[0])

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(60)


def test_projectors_that_come_and_go_every_few_seconds_lose_nothing(settings: Settings) -> None:
    print(f"STORELOG_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    with ExitStack() as stack:
        system = stack.enter_context(
            System(settings, ("command-service", "relay", "query-service"))
        )
        projectors = [stack.enter_context(System(settings, ())) for _ in range(PROJECTORS)]
        for each in projectors:
            each.start("projector")
        load = Load(system)
        try:
            for _ in range(LEAVINGS):
                leaving = dice.choice(projectors)
                leaving.signal("projector", dice.choice((signal.SIGTERM, signal.SIGKILL)))
                leaving.exit_code("projector", 30)
                # How long one is away, and there, is drawn: any step of taking over has to bear it.
                threading.Event().wait(dice.uniform(0.2, 3))
                leaving.start("projector")
                threading.Event().wait(dice.uniform(0.2, 3))
        finally:
            load.stop()
        assert set(load.statuses) == {201}
        assert load.statuses[201] > 100
        target = system.written()
        wait_for(
            lambda: (
                int(
                    system.queries.get("/analytics/total-sales").headers.get("storelog-position", 0)
                )
                >= target
            ),
            f"position {target}: {[each.log('projector') for each in projectors]}",
        )
        verified = system.cli("verify", "--json")
        assert verified.returncode == 0, verified.stdout
