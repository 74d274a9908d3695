"""A made-up shop from a seed: a catalogue, customers, and live traffic at a chosen rate.

The same seed makes the same catalogue and customers, and the same sequence of random choices.
Rejections, as of an order for a product that is sold out, are counted: a real shop has them too.
Next: client/session.py
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from storelog.client import AsyncStorelog, Line, Problem
from storelog.config import Settings

PRODUCTS, CUSTOMERS = 120, 200
MAX_IN_FLIGHT = 200
PATIENCE_SECONDS = 60.0
_KINDS = ("Cake stand", "Lantern", "Teapot", "Cushion", "Clock", "Candle", "Tray", "Lamp")
_COLOURS = ("red", "white", "blue", "green", "ivory", "pink", "grey", "gold")
_FIRST = ("Ann", "Ben", "Chloe", "David", "Ella", "Femi", "Grace", "Hugo", "Ines", "Jun")
_LAST = ("Miller", "Okafor", "Rossi", "Novak", "Silva", "Kim", "Dubois", "Larsen")
T = TypeVar("T")
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
        async with AsyncStorelog(
            settings.command_url,
            settings.query_url,
            settings.api_key,
            patience_seconds=PATIENCE_SECONDS,
        ) as shop:
            await self._open(shop)
            await self._trade(shop, orders_per_second, seconds)
            return shop.position

    async def _open(self, shop: AsyncStorelog) -> None:
        customers = [shop.create_customer(*self._new_customer()) for _ in range(CUSTOMERS)]
        self._customers = [made.customer_id for made in await asyncio.gather(*customers)]
        self._progress("customers", CUSTOMERS, CUSTOMERS)
        products = [shop.create_product(*self._new_product()) for _ in range(PRODUCTS)]
        self._products = [made.product_id for made in await asyncio.gather(*products)]
        self._progress("products", PRODUCTS, PRODUCTS)

    def _new_customer(self) -> tuple[str, str]:
        first, last = self._random.choice(_FIRST), self._random.choice(_LAST)
        address = f"{first}.{last}.{self._random.randrange(10_000)}@example.invalid".lower()
        return f"{first} {last}", address

    def _new_product(self) -> tuple[str, str, int]:
        name = f"{self._random.choice(_COLOURS)} {self._random.choice(_KINDS)}".capitalize()
        price = f"{self._random.randrange(1, 60)}.{self._random.choice(('00', '25', '50', '95'))}"
        return name, price, self._random.randrange(20, 2_000)

    async def _trade(self, shop: AsyncStorelog, orders_per_second: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        total = max(1, round(orders_per_second * seconds))
        free = asyncio.Semaphore(MAX_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            for number in range(total):
                # From a schedule, not after each order: a slow response must not lower the rate.
                await asyncio.sleep(max(0.0, began + number / orders_per_second - loop.time()))
                await free.acquire()
                task = group.create_task(self._act(shop))
                task.add_done_callback(lambda _: free.release())
                self._progress("orders", number + 1, total)

    async def _act(self, shop: AsyncStorelog) -> None:
        """Place an order, and now and then do something else first."""
        dice = self._random.random()
        if dice < 0.02 and self._orders:
            order = self._orders.pop(self._random.randrange(len(self._orders)))
            await self._count("orders deleted", shop.delete_order(order))
        elif dice < 0.05:
            product, units = self._random.choice(self._products), self._random.randrange(50, 500)
            await self._count("deliveries", shop.adjust_stock(product, units, "delivery"))
        elif dice < 0.06:
            customer = self._random.choice(self._customers)
            changed = shop.update_customer(customer, *self._new_customer())
            await self._count("customers changed", changed)
        made = await self._count("orders", shop.place_order(*self._new_order()))
        if made is not None:
            self._orders.append(made.order_id)

    def _new_order(self) -> tuple[int, list[Line]]:
        lines = min(8, 1 + int(self._random.expovariate(0.6)))
        # A few products sell most, as in a real shop.
        chosen = {int(self._random.triangular(0, PRODUCTS, 0)) for _ in range(lines)}
        return self._random.choice(self._customers), [
            Line(self._products[place], self._random.randrange(1, 6)) for place in sorted(chosen)
        ]

    async def _count(self, what: str, command: Awaitable[T]) -> T | None:
        """Return the command's result, or None where a rule of the shop rejected it.

        Raises Problem where the API key was rejected, since all further commands would be as well.
        """
        try:
            made = await command
        except Problem as problem:
            if problem.status in (401, 403):
                raise
            self.answers[f"{what} rejected: {problem.slug}"] += 1
            return None
        self.answers[what] += 1
        return made
