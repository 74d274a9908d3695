"""Sends a retail file through the HTTP API: customers and products first, then the orders.

Every command has a key made of the file, the options and its own name. So an import that was
stopped at any moment continues where it was, and repeating a finished one changes nothing.
Next: client/session.py
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from storelog.client import AsyncStorelog, Line, Problem
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.shop.money import exact_sum, format_money, line_amount
from storelog.traffic.retail_checks import GUEST, customer_of
from storelog.traffic.retail_file import Invoice, RetailFile

IN_FLIGHT = 48
PATIENCE_SECONDS = 60.0
MAX_KEY = 255
Progress = Callable[[str, int, int], None]


class Refused(CannotRun):
    """A command of the import was rejected; the message names it and the reason."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that are part of an import's identity: another value makes another import."""

    limit_invoices: int | None = None
    spare_stock: int = 100
    encoding: str | None = None


SendCommand = Callable[[AsyncStorelog, str, str], Awaitable[None]]


class RetailImport:
    """One import of one file."""

    def __init__(self, file: RetailFile, options: Options, progress: Progress) -> None:
        self._file = file
        self._options = options
        self._progress = progress
        said = f"{file.sha256}\nlimit {options.limit_invoices}\nspare {options.spare_stock}"
        if options.encoding is not None:
            said += f"\nencoding {options.encoding}"
        self._prefix = f"import/{hashlib.sha256(said.encode()).hexdigest()}"
        self._customers: dict[str, int] = {}
        self._products: dict[str, int] = {}

    async def run(self, settings: Settings) -> int:
        """Send everything; return the log's position after it. Raises Refused and CannotRun."""
        async with AsyncStorelog(
            settings.command_url,
            settings.query_url,
            settings.api_key,
            patience_seconds=PATIENCE_SECONDS,
            max_in_flight=IN_FLIGHT,
        ) as shop:
            await self._each("customer", self._file.customers, shop, self._send_customer)
            await self._each("product", self._file.items, shop, self._send_product)
            await self._each("order", self._file.invoices, shop, self._send_order)
            return shop.position

    async def _each(
        self, kind: str, names: Iterable[str], shop: AsyncStorelog, send: SendCommand
    ) -> None:
        """Send one command for each name, IN_FLIGHT at a time; stop at the first rejection."""
        waiting = list(names)
        total, done = len(waiting), 0
        self._progress(f"{kind}s", 0, total)

        async def work() -> None:
            nonlocal done
            while waiting:
                name = waiting.pop()
                key = key_of(f"{self._prefix}/{kind}/", name)
                try:
                    await send(shop, name, key)
                except Problem as problem:
                    if problem.status in (401, 403):
                        raise
                    raise Refused(f"{kind} {name or 'guest'} was rejected: {problem}") from problem
                done += 1
                self._progress(f"{kind}s", done, total)

        # Names are taken from the end, so reversing the list keeps the file's order.
        waiting.reverse()
        async with asyncio.TaskGroup() as group:
            for _ in range(min(IN_FLIGHT, total)):
                group.create_task(work())

    async def _send_customer(self, shop: AsyncStorelog, number: str, key: str) -> None:
        made = await shop.create_customer(*customer_of(number), key=key)
        self._customers[number] = made.customer_id

    async def _send_product(self, shop: AsyncStorelog, code: str, key: str) -> None:
        item = self._file.items[code]
        stock = item.units + self._options.spare_stock
        made = await shop.create_product(item.name, format_money(item.price), stock, key=key)
        self._products[code] = made.product_id

    async def _send_order(self, shop: AsyncStorelog, number: str, key: str) -> None:
        invoice = self._file.invoices[number]
        lines = [
            Line(self._products[code], quantity, format_money(price))
            for code, quantity, price in invoice.lines
        ]
        customer = self._customers[invoice.customer]
        await shop.place_order(customer, lines, order_date=invoice.date, key=key)

    def summary(self) -> dict[str, Any]:
        """Return the summary of the import, as docs/reference.md describes it."""
        file = self._file
        invoices: list[Invoice] = list(file.invoices.values())
        return {
            "rows": file.rows,
            "orders": len(invoices),
            "lines": sum(len(invoice.lines) for invoice in invoices),
            "units": sum(quantity for invoice in invoices for _, quantity, _ in invoice.lines),
            "revenue": format_money(_revenue(invoices)),
            "customers": len(file.customers) - (GUEST in file.customers),
            "products": len(file.items),
            "skipped": file.skipped,
        }


def key_of(prefix: str, name: str) -> str:
    """Return the Idempotency-Key of an entity, which differs from those of all others of its kind.

    The name is quoted. If that is too long, or equals the guest's key, the name is hashed instead,
    after a `*`, which no quoted name contains.
    """
    if name == GUEST:
        return f"{prefix}guest"
    key = prefix + quote(name, safe="")
    if len(key) > MAX_KEY or name == "guest":
        return f"{prefix}*{hashlib.sha256(name.encode()).hexdigest()}"
    return key


def _revenue(invoices: list[Invoice]) -> Decimal:
    return exact_sum(
        line_amount(quantity, price) for invoice in invoices for _, quantity, price in invoice.lines
    )


async def wait_until_projected(
    settings: Settings, position: int, stall_seconds: float
) -> AsyncIterator[int]:
    """Yield the read model's position until it reaches `position`, or stalls."""
    async with AsyncStorelog(
        settings.command_url,
        settings.query_url,
        settings.api_key,
        patience_seconds=PATIENCE_SECONDS,
    ) as shop:
        loop = asyncio.get_running_loop()
        last, moved_at = -1, loop.time()
        while last < position and loop.time() - moved_at < stall_seconds:
            now = await shop.projected()
            if now != last:
                last, moved_at = now, loop.time()
                yield now
            if last < position:
                await asyncio.sleep(0.25)
