"""Is a page of each list as fast with 500,000 sales of one product as with 1,000?

OFFERED has every list with every filter and its absence, as the reference has them; all their
combinations are read: the first page, the second, and one in the middle. One client reads both
shops in turns, one request at a time, so that whatever else the machine does slows down both.
"""

import base64
import http.client
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figures import Figure, Report
from benchmarks.filled import CUSTOMER, NOBODY, PRODUCT, UNSOLD, Filled
from benchmarks.shop import CUSTOMERS
from storelog.envelope import format_time, milliseconds

LIMIT = 25
MOST_TIMES = 1.5
# One that seems not to be flat is read so many times more: a busy machine makes many seem so.
AGAIN = 4
_CUSTOMER = ("", f"customerId={CUSTOMER}", f"customerId={NOBODY}")
_PRODUCT = ("", f"productId={PRODUCT}", f"productId={UNSOLD}")
_RANGE = ("", "from={start}&to={end}")
_SORT = ("", "sort=-id")
# A list, and for each of its filters the forms it has; "" is its absence.
OFFERED: dict[str, tuple[tuple[str, ...], ...]] = {
    "/customers": (("", "q=ann"), _SORT),
    "/products": (("", "inStock=true", "inStock=false"), ("", "q=thing"), ("", "sku=a-1"), _SORT),
    "/orders": (_CUSTOMER, _PRODUCT, _RANGE, ("", "sort=orderDate")),
    f"/customers/{CUSTOMER}/orders": (_PRODUCT, _RANGE, ("", "sort=orderDate")),
    "/product-sold": (_CUSTOMER, _PRODUCT, ("", "orderId={order}"), _RANGE, ("", "cancelled=true")),
}
# What a cursor names: an id, or a time and the ids after it; of how many parts where not of two.
KEYS = {"/customers": 1, "/products": 1, "/product-sold": 3}


def measure(report: Report, few: Filled, many: Filled, rounds: int) -> None:
    """Read all pages of all lists of both shops."""
    readers = [_Reader(few), _Reader(many)]
    for path in OFFERED:
        found: list[dict[str, Any]] = []
        for query in _queries(path):
            found += _pages(path, query, readers, rounds)
        worst = max(found, key=lambda page: page["times"])
        what = f"{path}, the worst of {len(found)} pages ({worst['page']})"
        report.lists += found
        report.add(Figure("lists", what, worst["times"], "times", MOST_TIMES, True))


def _queries(path: str) -> Iterator[str]:
    """Yield the combinations of filters; orders of a product have one order only."""
    for chosen in itertools.product(*OFFERED[path]):
        query = "&".join(filter(None, chosen))
        if not ("productId" in query and "sort=orderDate" in query):
            yield query


class _Reader:
    """One shop's pages over one connection."""

    def __init__(self, shop: Filled) -> None:
        self.shop = shop
        address = urlsplit(shop.system.queries.url)
        self._connection = http.client.HTTPConnection(
            str(address.hostname), address.port, timeout=60
        )
        quarter = shop.size // 4
        self._values = {
            "start": format_time(shop.time_of(quarter)),
            "end": format_time(shop.time_of(3 * quarter)),
            "order": str(shop.id_of(shop.middle)),
        }

    def read(self, path: str, query: str, cursor: str | None) -> tuple[float, dict[str, Any]]:
        """Return the milliseconds that a page took, and its body."""
        values = [query.format(**self._values), f"limit={LIMIT}", cursor and f"cursor={cursor}"]
        target = f"{path}?{'&'.join(filter(None, values))}"
        began = time.perf_counter()
        self._connection.request("GET", target)
        response = self._connection.getresponse()
        content = response.read()
        milliseconds_taken = 1000 * (time.perf_counter() - began)
        assert response.status == 200, (target, response.status, content[:300])
        body: dict[str, Any] = json.loads(content)
        return milliseconds_taken, body

    def cursors(self, path: str, query: str) -> dict[str, str | None]:
        """Return where each page begins; a list of one page has one."""
        found: dict[str, str | None] = {"first": None}
        second = self.read(path, query, None)[1]["nextCursor"]
        if second is not None:
            found |= {"second": second, "middle": self._moved(path, second)}
        return found

    def _moved(self, path: str, cursor: str) -> str:
        """Return the cursor, as if the page before had ended in the middle."""
        bound_to = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0]
        shop, number = self.shop, self.shop.middle
        order = [milliseconds(shop.time_of(number)), shop.id_of(number), shop.id_of(number)]
        key = [CUSTOMERS // 2] if KEYS.get(path) == 1 else order[: KEYS.get(path, 2)]
        raw = json.dumps([bound_to, *key], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _pages(path: str, query: str, readers: list[_Reader], rounds: int) -> list[dict[str, Any]]:
    """Return the fastest of some reads of each page, of both shops."""
    places = [reader.cursors(path, query) for reader in readers]
    assert places[0].keys() == places[1].keys(), (path, query)
    found = []
    for name in places[0]:
        bodies = [
            reader.read(path, query, place[name])[1]
            for reader, place in zip(readers, places, strict=True)
        ]
        items = [len(body["items"]) for body in bodies]
        assert items[0] == items[1], (path, query, name, items)
        best = [float("inf")] * 2
        for turn in range(rounds * (1 + AGAIN)):
            if turn >= rounds and best[1] <= MOST_TIMES * best[0]:
                break
            for number, reader in enumerate(readers):
                taken, _ = reader.read(path, query, places[number][name])
                best[number] = min(best[number], taken)
        page = f"{name} page of {path}{'?' if query else ''}{query}"
        times = best[1] / best[0]
        found.append({"page": page, "few_ms": best[0], "many_ms": best[1], "times": times})
    return found
