"""A made-up shop from a seed: a catalogue, customers, and live traffic at a chosen rate.

The same seed makes the same catalogue and customers, and draws from the same dice; what is refused
(a product is sold out, say) is counted, since a shop has refusals too.
Next: traffic/sender.py
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from storelog.config import Settings
from storelog.traffic.sender import Answer, Refused, Sender

PRODUCTS, CUSTOMERS = 120, 200
MAX_IN_FLIGHT = 200
_KINDS = ("Cake stand", "Lantern", "Teapot", "Cushion", "Clock", "Candle", "Tray", "Lamp")
_COLOURS = ("red", "white", "blue", "green", "ivory", "pink", "grey", "gold")
_FIRST = ("Ann", "Ben", "Chloe", "David", "Ella", "Femi", "Grace", "Hugo", "Ines", "Jun")
_LAST = ("Miller", "Okafor", "Rossi", "Novak", "Silva", "Kim", "Dubois", "Larsen")
Progress = Callable[[str, int, int], None]


class DemoShop:
    """One run of the demo."""

    def __init__(self, seed: int, progress: Progress) -> None:
        self._random = random.Random(seed)
        self._progress = progress
        self._customers: list[int] = []
        self._products: list[int] = []
        self._orders: list[int] = []
        self.answers: Counter[str] = Counter()

    async def run(self, settings: Settings, orders_per_second: float, seconds: float) -> int:
        """Open the shop, then trade; return the log's position at the end."""
        async with Sender(settings, settings.command_url) as sender:
            await self._open(sender)
            await self._trade(sender, orders_per_second, seconds)
            return sender.position

    async def _open(self, sender: Sender) -> None:
        for kind, path, count, make, ids in (
            ("customer", "/customers", CUSTOMERS, self._new_customer, self._customers),
            ("product", "/products", PRODUCTS, self._new_product, self._products),
        ):
            bodies = [make() for _ in range(count)]
            answers = await asyncio.gather(*(sender.send("POST", path, body) for body in bodies))
            for answer in answers:
                if answer.status != 201:
                    raise Refused(f"a {kind}", answer)
                ids.append(answer.body[f"{kind}Id"])
            self._progress(f"{kind}s", count, count)

    def _new_customer(self) -> dict[str, Any]:
        first, last = self._random.choice(_FIRST), self._random.choice(_LAST)
        address = f"{first}.{last}.{self._random.randrange(10_000)}@example.invalid".lower()
        return {"name": f"{first} {last}", "email": address, "phoneNumber": None}

    def _new_product(self) -> dict[str, Any]:
        name = f"{self._random.choice(_COLOURS)} {self._random.choice(_KINDS)}".capitalize()
        price = f"{self._random.randrange(1, 60)}.{self._random.choice(('00', '25', '50', '95'))}"
        return {"name": name, "price": price, "stock": self._random.randrange(20, 2_000)}

    async def _trade(self, sender: Sender, orders_per_second: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        total = max(1, round(orders_per_second * seconds))
        free = asyncio.Semaphore(MAX_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            for number in range(total):
                await asyncio.sleep(max(0.0, began + number / orders_per_second - loop.time()))
                await free.acquire()
                task = group.create_task(self._act(sender))
                task.add_done_callback(lambda _: free.release())
                self._progress("orders", number + 1, total)

    async def _act(self, sender: Sender) -> None:
        """Do what happens next in the shop: an order mostly, sometimes something else."""
        dice = self._random.random()
        if dice < 0.02 and self._orders:
            order = self._orders.pop(self._random.randrange(len(self._orders)))
            self._count("orders deleted", await sender.send("DELETE", f"/orders/{order}", None))
        elif dice < 0.05:
            product = self._random.choice(self._products)
            body = {"delta": self._random.randrange(50, 500), "reason": "delivery"}
            path = f"/products/{product}/stock-adjustments"
            self._count("deliveries", await sender.send("POST", path, body))
        elif dice < 0.06:
            customer = self._random.choice(self._customers)
            path = f"/customers/{customer}"
            self._count("customers changed", await sender.send("PUT", path, self._new_customer()))
        answer = await sender.send("POST", "/orders", self._new_order())
        self._count("orders", answer)
        if answer.status == 201:
            self._orders.append(answer.body["orderId"])

    def _new_order(self) -> dict[str, Any]:
        lines = min(8, 1 + int(self._random.expovariate(0.6)))
        # A few products sell most, as in a real shop.
        chosen = {int(self._random.triangular(0, PRODUCTS, 0)) for _ in range(lines)}
        return {
            "customerId": self._random.choice(self._customers),
            "orderItems": [
                {"productId": self._products[place], "quantity": self._random.randrange(1, 6)}
                for place in sorted(chosen)
            ],
        }

    def _count(self, what: str, answer: Answer) -> None:
        refused = answer.status >= 400
        slug = str((answer.body or {}).get("type", "")).rpartition("/")[2] if refused else ""
        self.answers[f"{what} refused: {slug}" if refused else what] += 1
