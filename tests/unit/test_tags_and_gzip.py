"""Tags, 304 and gzip: what of a body goes out for which request headers."""

import asyncio
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storelog.errors import Malformed
from storelog.web.http import Response
from storelog.web.representation import GZIP_FROM_BYTES, INLINE_BYTES, Representation

SMALL = b'{"customerId":1}'
LARGE = b'{"items":[%b]}' % b",".join(b'{"orderId":%d}' % n for n in range(1_000))
TAGGED = (("ETag", '"3"'), ("Storelog-Position", "9"))


def chosen(body: bytes, headers: tuple[tuple[str, str], ...] = (), **asked: str) -> Response:
    given_headers = {name.replace("_", "-"): value for name, value in asked.items()}
    return asyncio.run(Representation().choose(given_headers, Response(200, body, headers)))


@pytest.mark.parametrize(
    "wanted", ['"3"', 'W/"3"', '"1", "3"', ' W/"x,y" ,, "3" ,', "*"]
)  # fmt: skip
def test_what_the_client_has_is_304_with_the_headers_and_no_body(wanted: str) -> None:
    answer = chosen(SMALL, TAGGED, if_none_match=wanted)
    assert (answer.status, answer.body) == (304, b"")
    said = dict(answer.headers)
    assert (said["ETag"], said["Storelog-Position"]) == ('"3"', "9")
    assert {"Vary", "Cache-Control"} <= said.keys()


@pytest.mark.parametrize(
    ("wanted", "named"),
    [('"3-gzip"', '"3-gzip"'), ('W/"3-gzip"', '"3-gzip"'), ('"3-gzip", "3"', '"3"')],
)
def test_a_304_names_the_form_that_the_client_has(wanted: str, named: str) -> None:
    for accepted in ("identity", "gzip"):
        answer = chosen(LARGE, TAGGED, if_none_match=wanted, accept_encoding=accepted)
        assert (answer.status, dict(answer.headers)["ETag"]) == (304, named)


def test_a_list_of_tags_costs_what_its_length_costs() -> None:
    for endless in (" " * 60_000 + "x", '"3",' * 15_000 + "x", "," * 60_000):
        with pytest.raises(Malformed):
            chosen(SMALL, TAGGED, if_none_match=endless)


def test_the_weak_tag_of_a_compressed_body_has_no_suffix() -> None:
    plain, packed = chosen(LARGE), chosen(LARGE, accept_encoding="gzip")
    assert dict(packed.headers)["ETag"] == dict(plain.headers)["ETag"]
    assert dict(packed.headers)["ETag"].startswith("W/")


@pytest.mark.parametrize("wanted", ['"4"', 'W/"33"', '"x3"', '""'])
def test_what_the_client_lacks_is_sent_whole(wanted: str) -> None:
    answer = chosen(SMALL, TAGGED, if_none_match=wanted)
    assert (answer.status, answer.body, dict(answer.headers)["ETag"]) == (200, SMALL, '"3"')


@pytest.mark.parametrize("wanted", ["3", "", ",", '"3', '"3" "4"', '"3"; "4"', "W/*", '"3", *'])
def test_invalid_tags_are_malformed(wanted: str) -> None:
    with pytest.raises(Malformed):
        chosen(SMALL, TAGGED, if_none_match=wanted)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_bodies_have_the_same_weak_tag_only_when_they_are_the_same(a: bytes, b: bytes) -> None:
    tags = [dict(chosen(body).headers)["ETag"] for body in (a, b)]
    assert all(tag.startswith('W/"') for tag in tags)
    assert (tags[0] == tags[1]) == (a == b)
    assert chosen(a, if_none_match=tags[0]).status == 304


@pytest.mark.parametrize(
    "accepted",
    ["gzip", "deflate, gzip;q=0.5", "GZIP", "*", "br;q=1.0, *;q=0.1", "x-gzip", "gzip, identity"],
)
def test_large_bodies_are_compressed_for_clients_that_accept_it(accepted: str) -> None:
    answer = chosen(LARGE, TAGGED, accept_encoding=accepted)
    said = dict(answer.headers)
    assert said["Content-Encoding"] == "gzip"
    assert said["Vary"] == "Accept-Encoding"
    assert said["ETag"] == '"3-gzip"'
    assert gzip.decompress(answer.body) == LARGE
    assert len(answer.body) < len(LARGE) // 3


@pytest.mark.parametrize(
    "accepted",
    ["", "identity", "br", "gzip;q=0", "*;q=0", "gzip;q=0.2, identity;q=0.9", "gzip;q=x", "gzip;;"],
)
def test_no_client_gets_gzip_without_asking(accepted: str) -> None:
    answer = chosen(LARGE, accept_encoding=accepted)
    assert answer.body == LARGE
    assert "Content-Encoding" not in dict(answer.headers)


def test_small_bodies_are_never_compressed() -> None:
    body = b"x" * (GZIP_FROM_BYTES - 1)
    assert chosen(body, accept_encoding="gzip").body == body


def test_one_very_large_body_is_compressed_at_a_time_and_the_others_go_plain() -> None:
    body = b"storelog " * INLINE_BYTES

    async def together() -> list[Response]:
        representation = Representation()
        asked = {"accept-encoding": "gzip"}
        answers = [representation.choose(asked, Response(200, body)) for _ in range(4)]
        return await asyncio.gather(*answers)

    answers = asyncio.run(together())
    assert [len(answer.body) < len(body) for answer in answers] == [True, False, False, False]
    assert zlib.decompress(answers[0].body, 31) == body
