"""Where a request ends: whatever it offers and however it is cut, a body is never a request."""

import random

import pytest

from support.wire import Served, serve

INNER = b"DELETE /customers/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
OFFERS = {
    "h2c": H2C,
    "websocket": b"Connection: keep-alive, upgrade\r\nUPGRADE: websocket\r\n",
    "several": b"Upgrade: h2c, websocket, IRC/6.9\r\nConnection: Upgrade\r\n",
    "several fields": b"Upgrade: h2c\r\nUpgrade: TLS/1.2\r\nConnection: UPGRADE\r\n",
    "anything": b"Connection: upgrade\r\nUpgrade: \x80~ #\r\n",
    "nothing": b"Connection: upgrade\r\nUpgrade:\r\n",
    "without Connection": b"Upgrade: h2c\r\n",
    "without Upgrade": b"Connection: upgrade\r\n",
}
CHUNKED = b"%x\r\n%s\r\n0\r\n%s\r\n"


def post(fields: bytes = b"", version: bytes = b"1.1", start: bytes = b"POST /customers") -> bytes:
    """Return a request whose body is a request of its own."""
    length = b"Content-Length: %d\r\n" % len(INNER)
    return start + b" HTTP/%s\r\nHost: localhost\r\n" % version + fields + length + b"\r\n" + INNER


def chunked(fields: bytes = b"", version: bytes = b"1.1", trailer: bytes = b"") -> bytes:
    head = b"POST /customers HTTP/%s\r\nHost: localhost\r\n" % version
    return head + fields + b"\r\n" + CHUNKED % (len(INNER), INNER, trailer)


def is_served(served: Served, times: int = 1) -> bool:
    return served.requests == [("POST", "/customers", INNER)] * times


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_an_offer_to_upgrade_is_ignored_and_the_request_is_served_with_its_body(
    offer: bytes,
) -> None:
    together, apart = serve([post(offer)]), serve([post(offer)[: -len(INNER)], INNER])
    in_chunks = serve([chunked(offer + b"Transfer-Encoding: chunked\r\n")])
    for served in (together, apart, in_chunks):
        assert is_served(served)
        assert served.statuses == [200]
        assert not served.is_closed
    old = serve([post(offer, b"1.0"), INNER])
    assert is_served(old)
    assert old.is_closed


@pytest.mark.parametrize("start", [b"GET /live", b"DELETE /orders/1", b"OPTIONS *", b"PATCH /"])
def test_an_offer_of_a_method_without_a_body_is_ignored_too(start: bytes) -> None:
    head = start + b" HTTP/1.1\r\nHost: localhost\r\n" + H2C + b"\r\n"
    served = serve([head + head])
    assert len(served.requests) == 2
    assert {body for _, _, body in served.requests} == {b""}


@pytest.mark.parametrize("offer", [H2C, H2C + b"Expect: 100-continue\r\n"], ids=["", "expecting"])
def test_a_request_that_offers_to_upgrade_may_be_cut_anywhere(offer: bytes) -> None:
    two = post(offer) + chunked(offer + b"Transfer-Encoding: chunked\r\n")
    for at in range(len(two)):
        assert is_served(serve([two[:at], two[at:]]), 2), at
    assert is_served(serve([two[at : at + 1] for at in range(len(two))]), 2)


def test_requests_in_a_row_keep_their_bodies_however_they_are_cut() -> None:
    source = random.Random(3)
    for _ in range(100):
        offers = [source.choice([*OFFERS.values(), b""]) for _ in range(6)]
        row = b"".join(post(offer) for offer in offers)
        cuts = sorted(source.sample(range(len(row)), 5))
        pieces = [row[a:b] for a, b in zip([0, *cuts], [*cuts, len(row)], strict=True)]
        assert is_served(serve(pieces), 6), pieces


def test_the_fields_of_a_request_that_offers_to_upgrade_arrive_but_for_the_offer() -> None:
    served = serve([post(H2C + b"X-Own: a\x80 b\r\nIdempotency-Key: 1\r\n")])
    assert served.headers[0] == {
        b"host": b"localhost",
        b"connection": b"Upgrade, HTTP2-Settings",
        b"http2-settings": b"AAMAAABk",
        b"x-own": b"a\x80 b",
        b"idempotency-key": b"1",
        b"content-length": str(len(INNER)).encode(),
    }


@pytest.mark.parametrize("target", [b"localhost:443", b"/customers", b"http://localhost/"])
@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "offering"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_connect_is_405_and_closes(target: bytes, offer: bytes, version: bytes) -> None:
    served = serve([post(offer, version, b"CONNECT " + target), INNER])
    assert not served.requests
    assert served.statuses in ([405], [400])
    assert served.is_closed
    if target == b"localhost:443":
        assert served.statuses == [405]
        assert b"\r\nAllow: \r\n" in served.sent


@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "offering"])
@pytest.mark.parametrize(
    "fields",
    [
        b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: chunked\r\n" * 2,
        b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n", b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n", b"Content-Length: 0x3\r\n", b"Content-Length: -3\r\n",
        b"Content-Length: " + b"9" * 40 + b"\r\n", b"Content-Length : 3\r\n",
        b"Transfer-Encoding: chunked\nX: y\r\n", b"X: a\rContent-Length: 3\r\n", b"X: a\r\n b\r\n",
    ],
)  # fmt: skip
def test_a_request_whose_end_is_not_known_for_certain_is_400_and_closes(
    fields: bytes, offer: bytes
) -> None:
    head = b"POST /customers HTTP/1.1\r\nHost: localhost\r\n"
    served = serve([head + fields + offer + b"\r\n", CHUNKED % (3, b"abc", b""), INNER])
    assert not served.requests
    assert served.statuses == [400]
    assert served.is_closed


@pytest.mark.parametrize("version", [b"1.0", b"0.9", b"2.0", b"9.9"])
def test_chunks_are_of_http_1_1_and_other_versions_are_400(version: bytes) -> None:
    served = serve([chunked(b"Transfer-Encoding: chunked\r\n", version), INNER])
    assert not served.requests
    assert (served.statuses, served.is_closed) == ([400], True)


@pytest.mark.parametrize("fields", [b"", H2C, b"Connection: keep-alive\r\n"])
def test_what_follows_the_last_request_of_a_connection_is_no_request(fields: bytes) -> None:
    old = b"POST /customers HTTP/1.0\r\nHost: localhost\r\n" + fields + b"\r\n"
    for pieces in ([old + INNER], [old, INNER], [post(fields, b"1.0") + INNER]):
        served = serve(pieces)
        assert [method for method, _, _ in served.requests] == ["POST"]
        assert (served.statuses, served.is_closed) == ([200], True)
    last = serve([post(b"Connection: close\r\n") + INNER])
    assert is_served(last)
    assert last.is_closed


@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "offering"])
def test_blanks_around_a_value_are_no_part_of_it(offer: bytes) -> None:
    fields = b"Idempotency-Key:\t a b \t \r\nExpect: 100-continue \r\nX-Empty: \t\r\n" + offer
    served = serve([post(fields)[: -len(INNER)], INNER])
    assert is_served(served)
    assert served.statuses == [100, 200]
    assert served.headers[0][b"idempotency-key"] == b"a b"
    assert served.headers[0][b"x-empty"] == b""


def test_the_trailers_of_a_body_are_no_fields_of_its_request() -> None:
    trailer = b"Authorization: Bearer another\r\nIf-Match: *\r\nUpgrade: h2c\r\n"
    fields = b"Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n"
    served = serve([chunked(fields, trailer=trailer) + post()])
    assert is_served(served, 2)
    assert served.headers[0].keys() == {b"host", b"transfer-encoding", b"trailer"}


@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "offering"])
def test_a_client_of_http_1_0_is_never_told_to_continue(offer: bytes) -> None:
    fields = b"Expect: 100-continue\r\n" + offer
    for version, statuses in ((b"1.0", [200]), (b"1.1", [100, 200])):
        served = serve([post(fields, version)[: -len(INNER)], INNER])
        assert is_served(served)
        assert served.statuses == statuses


@pytest.mark.parametrize("offer", [b"", H2C], ids=["", "offering"])
def test_a_response_without_a_length_has_no_chunks_in_http_1_0_and_ends_with_its_connection(
    offer: bytes,
) -> None:
    head = b"GET /live HTTP/%s\r\nHost: localhost\r\n" + offer + b"\r\n"
    old, new = serve([head % b"1.0"]), serve([head % b"1.1"])
    assert old.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding" not in old.sent.lower()
    assert old.sent.endswith(b"\r\n\r\nonetwo")
    assert old.is_closed
    assert new.sent.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert not new.is_closed


def test_a_trailer_without_an_end_is_cut_off() -> None:
    fields = b"Transfer-Encoding: chunked\r\n"
    start = chunked(fields)[: -len(b"\r\n")] + b"X: "
    served = serve([start, *[b"a" * 1_000_000] * 17])
    assert served.is_closed
    assert not served.requests
