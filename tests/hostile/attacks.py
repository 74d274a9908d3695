"""Malformed requests from a seed: every way of being no HTTP, no JSON, or too much of either.

An attack is the bytes that are sent, in pieces, and how the sending ends. Each kind makes one from
a random generator, so that a seed and a number name an attack for ever.
"""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

PATHS = [
    "/customers", "/products", "/orders", "/events", "/customers/1", "/products/1", "/orders/1",
    "/products/1/stock-adjustments", "/product-sold", "/analytics/total-sales", "/", "/live",
    "/analytics/product-totals", "/history/products/1", "/health/live", "/nothing", "/metrics",
]  # fmt: skip
PARAMETERS = [
    "limit", "cursor", "from", "to", "customerId", "productId", "inStock", "cancelled", "after",
    "aggregate", "asOf", "topics", "sort", "search", "nothing",
]  # fmt: skip
FIELDS = [
    "Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "Storelog-Wait-For", "traceparent",
    "Last-Event-ID", "Accept-Encoding", "Accept", "Authorization", "X-Correlation-Id", "Host",
    "Connection", "Upgrade", "Expect", "Range", "Cookie", "Origin", "Content-Encoding", "TE",
    "X-Forwarded-For", "X-HTTP-Method-Override", "tracestate", "Trailer", "Max-Forwards",
]  # fmt: skip
WORDS = [
    "", "0", "-1", "1", "9223372036854775807", "9223372036854775808", "1e309", "1e-400", "NaN",
    "Infinity", "0x10", "1_0", " 1 ", "+1", "1.0", "٣", "null", "true", "a" * 300, "%00", "\x00",
    "\u202e\u2066evil\u2069", "\U0001f600", "'; DROP TABLE events; --", '{"$gt": ""}', "$where",
    "../../etc/passwd", "=1+1", "<script>alert(1)</script>", "${jndi:ldap://x}", "\r\nX-Evil: 1",
    "2011-02-30", "2011-01-01T00:00:00+99:99", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60Z",
    "product-0", "customer-9223372036854775808", '"1"', 'W/"1"', "*", "wait=1e9", "wait=-1",
]  # fmt: skip
_COMMANDS = ["/customers", "/products", "/orders", "/products/1/stock-adjustments"]
_GOOD = '{"name": "Ann", "email": "a@b", "phoneNumber": null}'
_START = b"POST /customers HTTP/1.1\r\nHost: localhost\r\n"
_JSON = b"Content-Type: application/json\r\n"


@dataclass(frozen=True)
class Attack:
    """What is sent, and whether the sender then half-closes, resets, or waits for a response."""

    kind: str
    pieces: tuple[bytes, ...]
    end: str = "wait"


_BOMB = gzip.compress(b"0" * 10_000_000)
_HUGE = (
    b"[" * 100_000, b'{"a":' * 100_000 + b"1", b'{"name": "' + b"a" * 1_000_000 + b'"}',
    b"[" * 100_000 + b"]" * 100_000, b'{"name": ' + b"9" * 900_000 + b"}",
    b"{" + b",".join(b'"k%d":1' % n for n in range(60_000)) + b"}",
    b'{"customerId": 1, "orderItems": [' + b"{}," * 100_000 + b"{}]}", b"x" * 1_048_577,
    b'{"name": "x", "price": "' + b"1" * 500_000 + b'", "stock": 1}',
)  # fmt: skip
Make = Callable[[random.Random], Attack]


def attacks(seed: int) -> Iterator[Attack]:
    """Yield attacks without an end."""
    kinds = list(KINDS)
    weights = [KINDS[kind][1] for kind in kinds]
    number = 0
    while True:
        source = random.Random(f"{seed}/{number}")
        kind = source.choices(kinds, weights)[0]
        made = KINDS[kind][0](source)
        yield Attack(kind, made.pieces, made.end)
        number += 1


def largest() -> list[Attack]:
    """Return what takes the most memory, each to each path, several times."""
    return [
        Attack("huge", (request("POST", path, _JSON, body),))
        for body in _HUGE * 3
        for path in _COMMANDS
    ]


def _of(*pieces: bytes, end: str = "wait") -> Attack:
    return Attack("", tuple(piece for piece in pieces if piece), end)


def _noise(r: random.Random, most: int) -> bytes:
    return r.randbytes(r.randint(1, most))


def request(method: str, path: str, fields: bytes = b"", body: bytes = b"") -> bytes:
    """Return a request that is whole; `fields` are header lines."""
    length = b"Content-Length: %d\r\n" % len(body) if body or method in ("POST", "PUT") else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    return head + fields + length + b"\r\n" + body


def _post(r: random.Random, body: bytes, fields: bytes = _JSON) -> bytes:
    path = r.choice(_COMMANDS)
    return request("POST", path, fields, body)


def _request_line(r: random.Random) -> Attack:
    path = r.choice(PATHS).encode()
    line = r.choice(
        [
            _noise(r, 200), b"GET", b"GET " + path, b"GET  " + path + b"  HTTP/1.1",
            b"GET " + path + b" HTTP/9.9", b"GET " + path + b" HTTP/1.1 x", b" GET / HTTP/1.1",
            b"G\x00T / HTTP/1.1", b"get " + path + b" HTTP/1.1", b"A" * r.randint(1, 9_000),
            b"CONNECT shop:443 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"TRACE / HTTP/1.1",
            b"GET http://shop" + path + b" HTTP/1.1", b"GET //shop/\\..\\ HTTP/1.1",
            b"GET " + path + b"/" + quote(_noise(r, 40)).encode() + b" HTTP/1.1",
            b"GET " + path + b"\xff\xfe HTTP/1.1", b"GET /" + b"%2e%2e/" * 50 + b" HTTP/1.1",
            b"GET /" + b"a" * r.randint(1, 70_000) + b" HTTP/1.1", b"PRI * HTTP/2.0",
            b"\x16\x03\x01\x02\x00\x01",
            b"PROPFIND " + path + b" HTTP/1.1", b"PUT " + path + b" HTTP/1.0",
        ]
    )  # fmt: skip
    ending = r.choice([b"\r\n\r\n", b"\n\n", b"\r\nHost: localhost\r\n\r\n", b"\r\r", b""])
    return _of(line + ending, end="half" if not ending else r.choice(["wait", "half"]))


def _headers(r: random.Random) -> Attack:
    lines = {
        "long": b"X-Long: " + b"a" * r.randint(1, 100_000) + b"\r\n",
        "many": b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(r.randint(1, 400))),
        "noise": b"X-Noise: " + _noise(r, 300) + b"\r\n",
        "name": _noise(r, 60) + b": 1\r\n",
        "folded": b"X-Fold: a\r\n b\r\n\tc\r\n",
        "empty": b": 1\r\n",
        "no colon": b"rubbish\r\n",
        "spaced": b"Host : shop\r\n",
        "bare": b"X: a\rb\r\nY: a\nb\r\n",
        "hosts": b"Host: a\r\nHost: b\r\n",
        "keys": b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        "token": b"Authorization: Bearer ey" + b"W1tb" * r.randint(1, 12_000) + b".e30.x\r\n",
        "upgrade": b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
        "expect": b"Expect: 100-continue\r\n",
        "latin": "X-Nämé: ü\r\n".encode("latin-1"),
    }
    return _of(request(r.choice(["GET", "HEAD"]), r.choice(PATHS), r.choice(list(lines.values()))))


def _lengths(r: random.Random) -> Attack:
    said = r.choice(
        [
            b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: -1\r\n",
            b"Content-Length: +5\r\n", b"Content-Length: 0x5\r\n", b"Content-Length: 5, 5\r\n",
            b"Content-Length: " + b"9" * r.randint(1, 60) + b"\r\n", b"Content-Length: \r\n",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding : chunked\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked\r\n" * 2,
        ]
    )  # fmt: skip
    body = r.choice([b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"])
    return _of(
        b"POST /customers HTTP/1.1\r\nHost: localhost\r\n" + said + _JSON + b"\r\n" + body,
        end="half",
    )


def _chunks(r: random.Random) -> Attack:
    head = (
        b"POST /customers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        + _JSON
        + b"\r\n"
    )
    body = r.choice(
        [
            b"zz\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\nx", b"-5\r\nhello\r\n",
            b"5\r\nhello0\r\n",
            b"5\nhello\n0\n\n", b"5;" + b"x" * r.randint(1, 70_000) + b"\r\nhello\r\n0\r\n\r\n",
            b"0\r\n" + b"X-Trailer: 1\r\n" * r.randint(1, 300) + b"\r\n",
            b"1\r\nx\r\n" * r.randint(1, 2_000),
            b"5\r\nhel", b"\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", _noise(r, 500),
        ]
    )  # fmt: skip
    return _of(head, body, end="half")


def _offers(r: random.Random) -> Attack:
    """A body that is a request, behind an offer to upgrade, in pieces that end anywhere."""
    inner = b"DELETE /customers/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    token = r.choice([b"h2c", b"websocket", b"h2c, websocket", b"TLS/1.0", _noise(r, 9)])
    fields = (
        b"Connection: Upgrade\r\nUpgrade: " + token.translate(None, b"\r\n\0") + b"\r\n" + _JSON
    )
    whole = request(r.choice(["POST", "PUT", "PATCH", "CONNECT"]), "/customers", fields, inner)
    if r.random() < 0.3:
        whole = whole.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    cuts = sorted(r.sample(range(1, len(whole)), 3))
    parts = zip([0, *cuts], [*cuts, len(whole)], strict=True)
    return _of(*(whole[a:b] for a, b in parts), end=r.choice(["half", "wait"]))


def _cut(r: random.Random) -> Attack:
    whole = _post(r, _GOOD.encode())
    at = r.randint(0, len(whole) - 1)
    return _of(whole[:at], end=r.choice(["half", "reset"]))


def _pipelined(r: random.Random) -> Attack:
    good = request("GET", r.choice(["/", "/customers", "/health/live"]))
    return _of(good * r.randint(1, 40) + _noise(r, 300), end=r.choice(["half", "wait"]))


def _encoded(r: random.Random) -> Attack:
    text = '{"name": "Ännchen", "email": "a@b"}'
    body, fields = r.choice(
        [
            (text.encode("utf-16"), _JSON), (text.encode("latin-1"), _JSON),
            (b"\xef\xbb\xbf" + text.encode(), _JSON), (text.encode("utf-32"), _JSON),
            (text.encode() + b"\xc0\x80", _JSON), (b'"\xed\xa0\x80"', _JSON),
            (_BOMB, _JSON + b"Content-Encoding: gzip\r\n"),
            (text.encode(), b"Content-Type: application/json; charset=utf-16\r\n"),
            (text.encode(), b"Content-Type: text/plain\r\n"), (text.encode(), b""),
            (b"a=1&b=2", b"Content-Type: application/x-www-form-urlencoded\r\n"),
            (text.encode(), b"Content-Type: " + _noise(r, 50).translate(None, b"\r\n") + b"\r\n"),
        ]
    )  # fmt: skip
    return _of(_post(r, body, fields))


def _value(r: random.Random) -> str:
    odd = [
        "1e309", "-1e309", "9223372036854775809", "18446744073709551616", "NaN", "Infinity", "-0",
        '"\\u0000"', '"\\ud800"', '"\\udc00x"', '"\u202eevil"', "[]", "{}", "null", "true", '""',
        "1" * r.randint(1, 5_000), "0." + "0" * r.randint(1, 5_000) + "1", '"' + "é" * 300 + '"',
        "1e" + "9" * r.randint(1, 30), '"1_0"', '" 1 "', '"1e5"', '"٣"', "01", ".5", "5.", "+1",
    ]  # fmt: skip
    return r.choice([*odd, json.dumps(r.choice(WORDS))])


def _json(r: random.Random) -> Attack:
    names = ["name", "email", "phoneNumber", "price", "stock", "delta", "reason", "customerId",
             "orderItems", "orderDate", "$set", "a.b", "__proto__", "_id", "itemId", "\\ud800",
             "\\u0000", "~/", "é" * 500]  # fmt: skip
    members = [f'"{r.choice(names)}": {_value(r)}' for _ in range(r.randint(0, 6))]
    line = f'{{"productId": {_value(r)}, "quantity": {_value(r)}, "price": {_value(r)}}}'
    order = f'{{"customerId": {_value(r)}, "orderItems": [{line}]}}'
    text = r.choice(["{" + ", ".join(members) + "}", order, _value(r), "[" + line + "]"])
    return _of(_post(r, text.encode("utf-8", "surrogatepass")))


def _huge(r: random.Random) -> Attack:
    return _of(_post(r, r.choice(_HUGE)))


def _fields(r: random.Random) -> Attack:
    value = r.choice(WORDS).encode("utf-8").replace(b"\x00", b"")
    fields = b"".join(
        f"{name}: ".encode() + value + b"\r\n" for name in r.sample(FIELDS, r.randint(1, 3))
    )
    if r.random() < 0.5:
        return _of(_post(r, _GOOD.encode(), _JSON + fields), end="half")
    return _of(request("GET", r.choice(PATHS), fields), end="half")


def _query(r: random.Random) -> Attack:
    pairs = [f"{r.choice(PARAMETERS)}={quote(r.choice(WORDS))}" for _ in range(r.randint(1, 4))]
    raw = r.choice(["&".join(pairs), "&" * 60, "=&=", "a" * 5_000, "%zz=1", "limit=%ff", "a;b"])
    return _of(request(r.choice(["GET", "DELETE"]), f"{r.choice(PATHS)}?{raw}"))


def _flipped(r: random.Random) -> Attack:
    whole = bytearray(_post(r, _GOOD.encode()))
    for _ in range(r.randint(1, 8)):
        whole[r.randrange(len(whole))] = r.randrange(256)
    return _of(bytes(whole), end="half")


KINDS: dict[str, tuple[Make, int]] = {
    "request line": (_request_line, 12),
    "headers": (_headers, 12),
    "lengths": (_lengths, 10),
    "chunks": (_chunks, 10),
    "offers": (_offers, 10),
    "cut off": (_cut, 8),
    "pipelined": (_pipelined, 5),
    "encoding": (_encoded, 8),
    "json": (_json, 14),
    "huge": (_huge, 1),
    "fields": (_fields, 10),
    "query": (_query, 10),
    "flipped": (_flipped, 10),
}
