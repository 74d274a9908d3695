"""A shop to measure on: a thousand customers and products, and orders of three lines."""

import json
import random
from collections.abc import Callable, Iterator

from benchmarks.load import NextRequest, request, run_load
from support.system import System

CUSTOMERS = PRODUCTS = 1_000
HOT_PRODUCT = 1
ENOUGH = 1_000_000_000
CUSTOMER = {"name": "Ann Miller", "email": "ann@example.com"}


def open_shop(system: System) -> None:
    """Create the customers and products of a new system, through its Command Service."""
    products = [
        {"name": f"Thing {number}", "price": "12.75", "stock": ENOUGH} for number in range(PRODUCTS)
    ]
    for path, bodies in (("/customers", [CUSTOMER] * CUSTOMERS), ("/products", products)):
        url = system.commands.url
        requests = iter([request(url, "POST", path, json.dumps(body).encode()) for body in bodies])
        outcome = run_load(url, next_of(requests), 32)
        assert outcome.statuses == {201: len(bodies)}, outcome.statuses


def next_of(requests: Iterator[bytes]) -> NextRequest:
    """Return a giver of one request after the other, then None."""
    return lambda: next(requests, None)


def order(dice: random.Random, *, is_hot: bool = False) -> bytes:
    """Return the body of an order of three lines; `is_hot`: one is of the one hot product."""
    products = dice.sample(range(HOT_PRODUCT + 1, PRODUCTS + 1), 3)
    if is_hot:
        products[0] = HOT_PRODUCT
    lines = [{"productId": product, "quantity": 1} for product in products]
    customer = dice.randrange(1, CUSTOMERS + 1)
    return json.dumps({"customerId": customer, "orderItems": lines}).encode()


def orders(url: str, *, is_hot: bool = False, kinds: int = 20_000) -> NextRequest:
    """Return an endless giver of orders, made beforehand and used again and again."""
    dice = random.Random(1)
    made = [request(url, "POST", "/orders", order(dice, is_hot=is_hot)) for _ in range(kinds)]
    turn: Callable[[], int] = iter(range(10**9)).__next__
    return lambda: made[turn() % kinds]
