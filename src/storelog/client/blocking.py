"""The client for code without asyncio: the same calls, run on an event loop in a thread of its own.

One client may be used from many threads at once. Next: client/transport.py
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from storelog.client.problems import ClientClosed
from storelog.client.session import Listing
from storelog.client.shop import AsyncStorelog

P = ParamSpec("P")
T = TypeVar("T")
STOP_SECONDS = 5.0


def _now(
    method: Callable[Concatenate[AsyncStorelog, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[Storelog, P], T]":
    """Return the method that waits for the response."""

    def call(self: "Storelog", /, *args: P.args, **named: P.kwargs) -> T:
        return self.run(method(self.shop, *args, **named))

    update_wrapper(call, method)
    return call


def _each(
    method: Callable[Concatenate[AsyncStorelog, P], Listing[T]],
) -> "Callable[Concatenate[Storelog, P], Iterator[T]]":
    """Return the method that yields a list's items."""

    def call(self: "Storelog", /, *args: P.args, **named: P.kwargs) -> Iterator[T]:
        listing = method(self.shop, *args, **named)
        while (items := self.run(listing.next_page())) is not None:
            yield from items

    update_wrapper(call, method)
    return call


def _stream(
    method: Callable[Concatenate[AsyncStorelog, P], AsyncIterator[T]],
) -> "Callable[Concatenate[Storelog, P], Iterator[T]]":
    """Return the method that waits for each item and yields it."""

    def call(self: "Storelog", /, *args: P.args, **named: P.kwargs) -> Iterator[T]:
        coming = method(self.shop, *args, **named)
        while True:
            yield self.run(_next(coming))

    update_wrapper(call, method)
    return call


async def _next(coming: AsyncIterator[T]) -> T:
    return await anext(coming)


class Storelog:
    """One shop: `with Storelog(command_url, query_url) as shop: ...`; see AsyncStorelog."""

    def __init__(
        self,
        command_url: str,
        query_url: str,
        api_key: str | None = None,
        *,
        projector_url: str | None = None,
        patience_seconds: float = 30.0,
        wait_seconds: int = 10,
        max_in_flight: int = 48,
    ) -> None:
        self.shop = AsyncStorelog(
            command_url,
            query_url,
            api_key,
            projector_url=projector_url,
            patience_seconds=patience_seconds,
            wait_seconds=wait_seconds,
            max_in_flight=max_in_flight,
        )
        self._is_closed = False
        # Held from the check of `_is_closed` until a call is on the loop, so that `close` ends it.
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a program which does not close its client can still end.
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="storelog-client", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread; calls of other threads raise ClientClosed."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        # Outside the lock: calls that end now must not wait for this thread.
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        self._loop.close()

    async def _end(self) -> None:
        await self.shop.transport.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    @property
    def position(self) -> int:
        """The newest position of this client's commands."""
        return self.shop.position

    @position.setter
    def position(self, position: int) -> None:
        self.shop.position = position

    @property
    def log_history(self) -> str | None:
        """The history of the log to which the position belongs."""
        return self.shop.log_history

    @log_history.setter
    def log_history(self, history: str | None) -> None:
        self.shop.log_history = history

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of a call of `shop`; an interrupt cancels it. Raises ClientClosed."""
        with self._lock:
            if self._is_closed:
                # Otherwise Python would warn of a coroutine that was never awaited.
                work.close()
                raise ClientClosed
            running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except CancelledError as error:
            raise ClientClosed from error
        finally:
            # Without effect on a call that is done; after Ctrl-C it stops the call on the loop.
            running.cancel()

    create_customer = _now(AsyncStorelog.create_customer)
    update_customer = _now(AsyncStorelog.update_customer)
    delete_customer = _now(AsyncStorelog.delete_customer)
    create_product = _now(AsyncStorelog.create_product)
    update_product = _now(AsyncStorelog.update_product)
    adjust_stock = _now(AsyncStorelog.adjust_stock)
    delete_product = _now(AsyncStorelog.delete_product)
    place_order = _now(AsyncStorelog.place_order)
    delete_order = _now(AsyncStorelog.delete_order)
    live_ticket = _now(AsyncStorelog.live_ticket)
    get_customer = _now(AsyncStorelog.get_customer)
    get_product = _now(AsyncStorelog.get_product)
    get_order = _now(AsyncStorelog.get_order)
    list_customers = _each(AsyncStorelog.list_customers)
    list_products = _each(AsyncStorelog.list_products)
    list_orders = _each(AsyncStorelog.list_orders)
    list_sales = _each(AsyncStorelog.list_sales)
    history = _each(AsyncStorelog.history)
    total_sales = _now(AsyncStorelog.total_sales)
    sales_by_day = _now(AsyncStorelog.sales_by_day)
    product_totals = _now(AsyncStorelog.product_totals)
    low_stock = _now(AsyncStorelog.low_stock)
    top_customers = _now(AsyncStorelog.top_customers)
    list_events = _now(AsyncStorelog.list_events)
    projected = _now(AsyncStorelog.projected)
    follow = _stream(AsyncStorelog.follow)
    find_events = _now(AsyncStorelog.find_events)
    get_event = _now(AsyncStorelog.get_event)
    list_keys = _now(AsyncStorelog.list_keys)
    create_key = _now(AsyncStorelog.create_key)
    revoke_key = _now(AsyncStorelog.revoke_key)
    write_side = _now(AsyncStorelog.write_side)
    read_side = _now(AsyncStorelog.read_side)
    list_dead_letters = _now(AsyncStorelog.list_dead_letters)
    get_dead_letter = _now(AsyncStorelog.get_dead_letter)
    retry_dead_letters = _now(AsyncStorelog.retry_dead_letters)
    discard_dead_letter = _now(AsyncStorelog.discard_dead_letter)
