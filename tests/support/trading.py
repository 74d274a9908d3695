"""Clients that trade until they are stopped, and a ledger of each response that they got."""

import http.client
import itertools
import threading
from dataclasses import dataclass
from typing import Self

from support.http import Client, Reply

# Of so many orders of a client one is deleted again.
DELETED_EACH = 5
PAUSE_SECONDS = 0.15
_FAILURES = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Done:
    """A command that a client got a 2xx for: where it ends in the log, and its order."""

    position: int
    key: str
    order: int
    is_deletion: bool = False


class Trading:
    """Places orders and deletes some, each client one command after the other, each with a key.

    Used as a context. `done`: what was responded to with 2xx. `in_doubt`: orders whose deletion was
    not, so that they may be there or not.
    """

    def __init__(self, url: str, clients: int, customers: list[int], products: list[int]) -> None:
        self._client = Client(url)
        self._customers, self._products = itertools.cycle(customers), itertools.cycle(products)
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]
        self.done: list[Done] = []
        self.in_doubt: set[int] = set()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, client: int) -> None:
        for number in itertools.count(1):
            # A pause, so that a slow machine can follow.
            if self._is_over.wait(PAUSE_SECONDS):
                return
            key = f"trading-{client}-{number}"
            lines = [{"productId": next(self._products), "quantity": 1} for _ in range(2)]
            body = {"customerId": next(self._customers), "orderItems": lines}
            reply = self._send("POST", "/orders", body, key)
            if reply is None:
                continue
            order = reply.json["orderId"]
            self.done.append(Done(reply.position, key, order))
            if number % DELETED_EACH:
                continue
            reply = self._send("DELETE", f"/orders/{order}", None, f"{key}-deleted")
            if reply is None:
                self.in_doubt.add(order)
                continue
            self.done.append(Done(reply.position, f"{key}-deleted", order, is_deletion=True))

    def _send(self, method: str, path: str, body: object, key: str) -> Reply | None:
        """Return a 2xx response; None for any other, and where there is none."""
        try:
            reply = self._client.send(method, path, body, {"Idempotency-Key": key})
        except _FAILURES:
            return None
        return reply if reply.status < 300 else None
