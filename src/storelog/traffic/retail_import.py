"""Sends a retail file through the HTTP API: customers and products first, then the orders.

Every command has a key made of the file, the options and its own name, so an import that was
stopped at any moment goes on where it was, and one that is finished changes nothing.
Next: traffic/sender.py
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from storelog.config import Settings
from storelog.domain.money import exact_sum, format_money, line_amount
from storelog.envelope import format_time
from storelog.traffic.retail_file import GUEST, Invoice, RetailFile
from storelog.traffic.sender import IN_FLIGHT, Refused, Sender

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """The options that are part of what an import is."""

    limit_invoices: int | None = None
    spare_stock: int = 100


class RetailImport:
    """One import of one file."""

    def __init__(self, file: RetailFile, options: Options, progress: Progress) -> None:
        self._file = file
        self._options = options
        self._progress = progress
        said = f"{file.sha256}\nlimit {options.limit_invoices}\nspare {options.spare_stock}"
        self._prefix = f"import/{hashlib.sha256(said.encode()).hexdigest()}"
        self._customers: dict[str, int] = {}
        self._products: dict[str, int] = {}

    async def run(self, settings: Settings) -> int:
        """Send everything; return the log's position after it. Raises Refused and CannotRun."""
        async with Sender(settings, settings.command_url) as sender:
            await self._each("customers", self._file.customers, sender, self._send_customer)
            await self._each("products", self._file.items, sender, self._send_product)
            await self._each("orders", self._file.invoices, sender, self._send_order)
            return sender.position

    async def _each(
        self, kind: str, names: Iterable[str], sender: Sender, send: Callable[..., Any]
    ) -> None:
        """Send one command for each name, IN_FLIGHT at a time; stop at the first refusal."""
        waiting = list(names)
        total, done = len(waiting), 0
        self._progress(kind, 0, total)

        async def work() -> None:
            nonlocal done
            while waiting:
                await send(sender, waiting.pop())
                done += 1
                self._progress(kind, done, total)

        # Taken from the end, so that the file's order is kept.
        waiting.reverse()
        async with asyncio.TaskGroup() as group:
            for _ in range(min(IN_FLIGHT, total)):
                group.create_task(work())

    async def _command(
        self, sender: Sender, path: str, kind: str, name: str, body: dict[str, Any]
    ) -> Any:
        key = f"{self._prefix}/{kind}/{quote(name, safe='')}"
        answer = await sender.send("POST", path, body, key)
        if answer.status != 201:
            raise Refused(f"{kind} {name}", answer)
        return answer.body

    async def _send_customer(self, sender: Sender, number: str) -> None:
        name, address = f"Customer {number}", f"customer-{number}@example.invalid"
        if number == GUEST:
            name, address = "Guest", "guest@example.invalid"
        body = {"name": name, "email": address}
        made = await self._command(sender, "/customers", "customer", number or "guest", body)
        self._customers[number] = made["customerId"]

    async def _send_product(self, sender: Sender, code: str) -> None:
        item = self._file.items[code]
        body = {
            "name": item.name,
            "price": format_money(item.price),
            "stock": item.units + self._options.spare_stock,
        }
        made = await self._command(sender, "/products", "product", code, body)
        self._products[code] = made["productId"]

    async def _send_order(self, sender: Sender, number: str) -> None:
        invoice = self._file.invoices[number]
        body = {
            "customerId": self._customers[invoice.customer],
            "orderDate": format_time(invoice.date),
            "orderItems": [
                {
                    "productId": self._products[code],
                    "quantity": quantity,
                    "price": format_money(price),
                }
                for code, quantity, price in invoice.lines
            ],
        }
        await self._command(sender, "/orders", "order", number, body)

    def summary(self) -> dict[str, Any]:
        """Return what the contract's summary says."""
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


def _revenue(invoices: list[Invoice]) -> Decimal:
    return exact_sum(
        line_amount(quantity, price) for invoice in invoices for _, quantity, price in invoice.lines
    )


async def wait_until_projected(
    settings: Settings, position: int, stall_seconds: float
) -> AsyncIterator[int]:
    """Yield the read model's position until it holds `position`, or has not moved for a while."""
    async with Sender(settings, settings.query_url) as sender:
        loop = asyncio.get_running_loop()
        last, moved_at = -1, loop.time()
        while last < position and loop.time() - moved_at < stall_seconds:
            answer = await sender.send("GET", "/health/ready", None)
            now = answer.body.get("position", -1) if answer.status == 200 else last
            if now != last:
                last, moved_at = now, loop.time()
                yield now
            if last < position:
                await asyncio.sleep(0.25)
