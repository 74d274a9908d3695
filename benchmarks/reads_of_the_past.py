"""How long do reads take, of the present and of the past, one at a time?

Asks a running system, best after `storelog import retail` of the whole year:

    .venv/bin/python benchmarks/reads_of_the_past.py http://127.0.0.1:8081
"""

import http.client
import json
import statistics
import sys
import time
from typing import Any
from urllib.parse import urlsplit

TIMES = 7
HALF = "from=2011-03-03T10:11:12.013Z&to=2011-09-17T15:16:17.018Z"
FIGURES = ("total-sales", "sales-by-day", "product-totals", "top-customers")


def get(url: str, path: str) -> tuple[float, http.client.HTTPResponse, bytes]:
    """Return milliseconds, the answer, and its body; each is a connection of its own."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    began = time.monotonic()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    elapsed = 1000 * (time.monotonic() - began)
    connection.close()
    assert answer.status == 200, (path, answer.status, body[:300])
    return elapsed, answer, body


def top(url: str, figure: str, name: str) -> int:
    """Return the id that a figure names first."""
    items: list[dict[str, Any]] = json.loads(get(url, f"/analytics/{figure}?limit=1")[2])["items"]
    return int(items[0][name])


def main(url: str) -> None:
    """Print the first time, the median and the greatest, in milliseconds."""
    position = int(str(get(url, "/customers?limit=1")[1].getheader("Storelog-Position")))
    product = top(url, "product-totals", "productId")
    customer = top(url, "top-customers", "customerId")
    paths = [f"/analytics/{figure}{span}" for figure in FIGURES for span in ("?", f"?{HALF}&")]
    paths += [
        f"/customers/{customer}?", f"/products/{product}?", "/orders/5?", "/customers?",
        "/products?", "/orders?", f"/customers/{customer}/orders?",
        f"/orders?productId={product}&", f"/product-sold?productId={product}&",
        f"/history/products/{product}?", "/history/orders/5?",
    ]  # fmt: skip
    moments = ["", *(f"asOf={max(1, position * part // 10)}" for part in (3, 5, 9))]
    write = sys.stdout.write
    write(f"{'path':72} {'first':>8} {'median':>8} {'most':>8}\n")
    for path in paths:
        for moment in moments:
            times = [get(url, path + moment)[0] for _ in range(TIMES + 1)]
            middle = statistics.median(times[1:])
            write(f"{path + moment:72} {times[0]:8.1f} {middle:8.1f} {max(times):8.1f}\n")


if __name__ == "__main__":
    main(sys.argv[1])
