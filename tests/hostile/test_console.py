"""The console under odd requests: inputs, cookies, origins, methods, forms, framing."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import pytest

from hostile.attacks import PARAMETERS, WORDS, Attack
from hostile.rubbish import bombard
from support.console import Browser
from support.system import System

pytestmark = pytest.mark.alone

REQUESTS, SECONDS, SEED = 1_500, 150.0, 24
METHODS = ["GET", "HEAD", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
PAGES = [
    "", "/now", "/live", "/orders", "/orders/1", "/orders/999999999", "/products", "/products/1",
    "/customers", "/customers/1", "/reports", "/reports/csv", "/log", "/log/1", "/log/0",
    "/operations", "/operations/keys", "/sign-in", "/static/console.css", "/nothing", "//", "/%00",
]  # fmt: skip
FORMS = [
    "/orders/new", "/products/new", "/customers/new", "/products/1/change", "/products/1/stock",
    "/products/1/deletion", "/customers/1/change", "/customers/1/deletion", "/orders/1/deletion",
    "/operations/keys", "/operations/keys/revocation", "/operations/retry", "/operations/discard",
]  # fmt: skip
# Forms that would be accepted if there were such an aggregate, or such a key.
OF_NOBODY = [
    "/products/999999999/change", "/products/999999999/stock", "/products/999999999/deletion",
    "/customers/999999999/change", "/orders/999999999/deletion", "/orders/0/deletion",
    "/operations/keys/revocation", "/sign-in",
]  # fmt: skip
FIELDS = {
    "name": "Ann", "email": "a@b", "phoneNumber": "", "price": "1", "stock": "1", "sku": "",
    "delta": "1", "reason": "x", "customer": "1", "product": "1", "units": "1", "action": "place",
    "key": "k", "version": "1", "role": "admin", "id": "1", "confirmation": "1", "next": "/console",
}  # fmt: skip
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Doors:
    """What opens the console: the cookie of a reader, that of an administrator, its own origin."""

    reader: str
    administrator: str
    origin: str


def odd_requests(doors: Doors) -> Iterator[Attack]:
    """Yield requests that are whole and odd; none may write."""
    for number in range(10**9):
        source = random.Random(f"{SEED}/{number}")
        make = source.choice([_page, _page, _without_door, _of_nobody, _framed])
        yield Attack(make.__name__, (make(source, doors),), source.choice(["wait", "half"]))


def _head(method: str, path: str, fields: list[tuple[str, str]]) -> bytes:
    lines = [f"{method} /console{path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in fields]
    cleaned = [line.replace("\r", "").replace("\n", "").replace("\0", "") for line in lines]
    return "\r\n".join(cleaned).encode() + b"\r\n"


def _cookie(r: random.Random, known: str) -> tuple[str, str]:
    name, value = known.split("=")
    return (
        "Cookie",
        r.choice(
            [
                known, known, f"{name}=", f"{name}={value[:-1]}", f"{name}={'x' * 4_000}", "=", ";",
                f"{name}={r.choice(WORDS)}", f"a=1; {known}; {name}=2", f'{name}="{value}"',
                f"{name.upper()}={value}", f"{name}={value}\t", "x" * 7_000,
            ]
        ),
    )  # fmt: skip


def _query(r: random.Random) -> str:
    names = [*PARAMETERS, "position", "by", "q", "eventId", "orderId", "v", "next"]
    pairs = [f"{r.choice(names)}={quote(r.choice(WORDS))}" for _ in range(r.randint(0, 3))]
    return "?" + "&".join(pairs) if pairs else ""


def _body(r: random.Random) -> bytes:
    good = {name: r.choice([value, r.choice(WORDS)]) for name, value in FIELDS.items()}
    return r.choice(
        [
            urlencode({**good, "name": "Ann"}).encode(), urlencode(good).encode(), b"&" * 6_000,
            b"a=1&" * 6_000, b"name=%zz%", b"name=%00", "name=ü".encode(), b"name=%ff%fe", b"{}",
            b"x" * 1_200_000, b"", b"name=" + b"a" * 300_000,
        ]
    )  # fmt: skip


def _sent(r: random.Random, method: str, path: str, fields: list[tuple[str, str]]) -> bytes:
    body = _body(r)
    kind = r.choice([_FORM, _FORM, _FORM, "application/json", "multipart/form-data", "", "\xff"])
    length = ("Content-Length", str(len(body)))
    return _head(method, path, [*fields, ("Content-Type", kind), length]) + b"\r\n" + body


def _page(r: random.Random, doors: Doors) -> bytes:
    method = r.choice(METHODS)
    # A form of an administrator is in `_of_nobody`: here it has no origin of this console.
    fields = [_cookie(r, doors.administrator), (r.choice(["Accept", "HX-Request"]), "text/html")]
    return _head(method, r.choice(PAGES) + _query(r), fields) + b"\r\n"


def _without_door(r: random.Random, doors: Doors) -> bytes:
    """A form without the right: of an administrator on another site, or of a reader here."""
    strange = r.choice(["null", "http://evil.example", doors.origin + ".evil.example", "", "*"])
    fields = r.choice(
        [
            [("Cookie", doors.administrator), ("Origin", strange)],
            [("Cookie", doors.administrator), ("Host", urlsplit(doors.origin).netloc)],
            [("Cookie", doors.reader), ("Origin", doors.origin)],
            [("Origin", doors.origin)],
        ]
    )
    return _sent(r, r.choice(["POST", "POST", "PUT", "DELETE"]), r.choice(FORMS), fields)


def _of_nobody(r: random.Random, doors: Doors) -> bytes:
    fields = [("Cookie", doors.administrator), ("Origin", doors.origin)]
    return _sent(r, "POST", r.choice(OF_NOBODY) + _query(r), fields)


def _framed(r: random.Random, doors: Doors) -> bytes:
    framing = r.choice(
        [
            [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
            [("Content-Length", "5"), ("Content-Length", "6")], [("Content-Length", "-1")],
            [("Transfer-Encoding", "chunked, identity")], [("Transfer-Encoding", "xchunked")],
        ]
    )  # fmt: skip
    fields = [("Cookie", doors.administrator), ("Origin", doors.origin), ("Content-Type", _FORM)]
    inner = b"0\r\n\r\nPOST /console/operations/keys HTTP/1.1\r\nHost: x\r\n\r\n"
    return _head("POST", "/products/new", [*fields, *framing]) + b"\r\n" + inner


def test_no_odd_request_to_the_console_is_an_error_of_the_service_or_writes_anything(
    keyed_shop: System,
) -> None:
    doors = Doors(
        Browser(keyed_shop, "read").headers["Cookie"],
        Browser(keyed_shop, "admin").headers["Cookie"],
        keyed_shop.settings.query_url,
    )
    before, keys = keyed_shop.written(), keyed_shop.commands.get("/keys").json
    outcome = bombard(
        keyed_shop.settings.query_url, odd_requests(doors), REQUESTS, SECONDS, has_pages=True
    )
    print(dict(sorted(outcome.statuses.items())))
    assert not outcome.wrong, "\n".join([f"{len(outcome.wrong)} wrong", *outcome.wrong[:5]])
    assert {200, 303, 400, 403, 404, 405, 413} <= set(outcome.statuses)
    assert keyed_shop.written() == before
    assert keyed_shop.commands.get("/keys").json == keys
    assert "Traceback" not in keyed_shop.log_path("query-service").read_text("utf-8", "replace")
    assert Browser(keyed_shop, "admin").open("").status == 200
