"""The load: shoppers that trade from a seed, repeat some requests, and record all in the ledger.

Each shopper is a thread with random choices of its own. Most requests carry a key. One without a
response is repeated at once or left for the end, so that both ways to learn its outcome are used.
Next: torture/rig.py
"""

import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from msgspec import UNSET, Struct

from storelog.shop.customer import NewCustomer
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import Money
from storelog.shop.order import NewOrder, OrderLine
from storelog.shop.product import ChangedProduct, NewProduct, StockAdjustment
from storelog.torture.ledger import RequestLedger, SeenResponse, SentRequest

TIMEOUT_SECONDS = 14.0
RETRIES = 3
FEWEST = 6
INSIST_SECONDS = 0.1
_LOST = (OSError, http.client.HTTPException)


def send(
    url: str, request: SentRequest, ledger: RequestLedger, seconds: float = TIMEOUT_SECONDS
) -> None:
    """Send the request once, and record the result in the ledger."""
    ledger.begin(request, url)
    try:
        response = _exchange(url, request, seconds)
    except _LOST as error:
        ledger.end(request, None, type(error).__name__)
        return
    ledger.end(request, response)


def _exchange(url: str, request: SentRequest, seconds: float) -> SeenResponse:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=seconds)
    # Events carry the correlation id, by which the checks find the request that caused them.
    headers = {"X-Correlation-Id": request.request_id, "Connection": "close"}
    content = None if request.body is None else json.dumps(request.body)
    if content is not None:
        headers["Content-Type"] = "application/json"
    if request.key is not None:
        headers["Idempotency-Key"] = request.key
    try:
        connection.request(request.method, request.path, content, headers)
        reply = connection.getresponse()
        raw = reply.read()
    finally:
        connection.close()
    return SeenResponse(
        reply.status,
        json.loads(raw) if raw else None,
        int(reply.getheader("Storelog-Position") or 0),
        reply.getheader("Idempotency-Replayed") == "true",
    )


@dataclass(slots=True)
class Shop:
    """The entities that the shoppers know from responses; shared by several threads."""

    customers: list[int] = field(default_factory=list)
    products: list[int] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)

    def learn(self, request: SentRequest) -> None:
        """Take note of an entity that was created or deleted."""
        response, kind = request.response, request.path.split("/")[1]
        known = {"orders": self.orders, "products": self.products, "customers": self.customers}[
            kind
        ]
        if response is not None and response.status == 201:
            known.append(response.body[f"{kind.removesuffix('s')}Id"])
        elif request.method == "DELETE":
            number = int(request.path.rpartition("/")[2])
            with suppress(ValueError):
                # Some stay known, deleted or not, so that there is always one to choose.
                if len(known) > FEWEST:
                    known.remove(number)


class Shopper:
    """Sends one request after the other, chosen by its own random generator."""

    def __init__(self, seed: str, shop: Shop, urls: Sequence[str], ledger: RequestLedger) -> None:
        self.seed = seed
        self._dice = random.Random(seed)
        self._shop, self._urls, self._ledger = shop, urls, ledger
        self._made = 0

    def run(self, pause_seconds: float, stop: threading.Event) -> None:
        """Trade until told to stop."""
        while not stop.wait(self._dice.uniform(0, 2 * pause_seconds)):
            self.act()

    def act(self, seconds: float = TIMEOUT_SECONDS) -> SentRequest:
        """Send the next request, and repeat it at random, mostly when its response was lost."""
        method, path, body = self._next()
        request = self._request(method, path, body)
        send(self._dice.choice(self._urls), request, self._ledger, seconds)
        for _ in range(RETRIES):
            if request.key is None or not self._is_repeated(request):
                break
            send(self._dice.choice(self._urls), request, self._ledger, seconds)
        self._shop.learn(request)
        return request

    def send(self, request: SentRequest) -> None:
        """Send a given request once, to any of the services."""
        send(self._dice.choice(self._urls), request, self._ledger)

    def insist(self, seconds: float) -> SentRequest:
        """Send the next request with a key until it has a final response; give up in the end."""
        method, path, body = self._next()
        self._made += 1
        request_id = f"{self.seed}-{self._made}"
        request = SentRequest(request_id, method, path, body, f"key-{request_id}")
        give_up_at = time.monotonic() + seconds
        while request.response is None and time.monotonic() < give_up_at:
            if request.attempts:
                # A client of the real API waits before it repeats a request that just failed.
                threading.Event().wait(INSIST_SECONDS)
            send(self._dice.choice(self._urls), request, self._ledger)
        self._shop.learn(request)
        return request

    def _is_repeated(self, request: SentRequest) -> bool:
        """Decide by chance: mostly for a lost request, seldom for one with a response."""
        return self._dice.random() < (0.6 if request.response is None else 0.05)

    def _request(self, method: str, path: str, body: Any) -> SentRequest:
        self._made += 1
        request_id = f"{self.seed}-{self._made}"
        # A few without a key: such a command may be lost, but it must not have half an effect.
        key = f"key-{request_id}" if self._dice.random() < 0.9 else None
        return SentRequest(request_id, method, path, body, key)

    def _next(self) -> tuple[str, str, Any]:
        shop, dice = self._shop, self._dice
        if len(shop.customers) < 8 or dice.random() < 0.03:
            return "POST", "/customers", self._customer()
        if len(shop.products) < 12 or dice.random() < 0.03:
            return "POST", "/products", _body(NewProduct(*self._product(), dice.randrange(40)))
        kind = dice.choices(
            (
                "order",
                "delete order",
                "adjust",
                "product",
                "customer",
                "end product",
                "end customer",
            ),
            (60, 8, 14, 8, 6, 2, 2),
        )[0]
        return self._of_kind(kind)

    def _of_kind(self, kind: str) -> tuple[str, str, Any]:
        shop, dice = self._shop, self._dice
        # From the newest ones only, so that concurrent requests often meet on one entity.
        customer, product = dice.choice(shop.customers[-40:]), dice.choice(shop.products[-60:])
        orders = shop.orders[-200:]
        if kind == "delete order" and orders:
            return "DELETE", f"/orders/{dice.choice(orders)}", None
        if kind == "adjust":
            body = _body(StockAdjustment(dice.choice((-5, -1, 10, 30)), "count"))
            return "POST", f"/products/{product}/stock-adjustments", body
        if kind == "product":
            name, price = self._product()
            stock = dice.randrange(60) if dice.random() < 0.3 else UNSET
            return "PUT", f"/products/{product}", _body(ChangedProduct(name, price, stock))
        if kind == "customer":
            return "PUT", f"/customers/{customer}", self._customer()
        if kind == "end product":
            return "DELETE", f"/products/{product}", None
        if kind == "end customer":
            return "DELETE", f"/customers/{customer}", None
        chosen = [dice.choice(shop.products[-60:]) for _ in range(dice.randrange(1, 5))]
        items = tuple(OrderLine(each, dice.randrange(1, 6)) for each in chosen)
        return "POST", "/orders", _body(NewOrder(customer, items))

    def _customer(self) -> Any:
        number = self._dice.randrange(10**6)
        return _body(NewCustomer(f"Customer {number}", f"c{number}@example.invalid"))

    def _product(self) -> tuple[str, Money]:
        price = f"{self._dice.randrange(1, 90)}.{self._dice.choice(('00', '5', '95', '125'))}"
        return f"Product {self._dice.randrange(10**6)}", Money(price)


def _body(said: Struct) -> Any:
    return json.loads(encode_json(said))
