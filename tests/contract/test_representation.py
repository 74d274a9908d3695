"""Conditional GET and gzip, on the real services."""

import gzip

import pytest

from support.system import System


@pytest.fixture(scope="module")
def product(shop: System) -> int:
    made: int = shop.new_product(name="Tagged")["productId"]
    for number in range(60):
        shop.new_product(name=f"Product {number}")
    shop.wait_projected()
    return made


def test_a_single_read_is_304_until_the_entity_changes(shop: System, product: int) -> None:
    path = f"/products/{product}"
    first = shop.queries.get(path)
    again = shop.queries.get(path, {"If-None-Match": first.etag})
    assert (again.status, again.raw, again.etag) == (304, b"", first.etag)
    assert again.position >= first.position
    assert shop.queries.send("HEAD", path, headers={"If-None-Match": first.etag}).status == 304
    changed = shop.commands.put(path, {"name": "Other", "price": "1"}, {"If-Match": first.etag})
    assert changed.status == 200
    shop.wait_projected()
    third = shop.queries.get(path, {"If-None-Match": first.etag})
    assert (third.status, third.etag) == (200, changed.etag)


def test_lists_and_the_log_have_weak_tags(shop: System, product: int) -> None:
    for client, path in ((shop.queries, "/products?limit=5"), (shop.commands, "/events?limit=5")):
        first = client.get(path)
        assert first.etag.startswith('W/"')
        assert client.get(path, {"If-None-Match": first.etag}).status == 304
        other = client.get(path.replace("5", "4"), {"If-None-Match": first.etag})
        assert other.status == 200


def test_large_pages_are_compressed_and_small_ones_never(shop: System, product: int) -> None:
    asked = {"Accept-Encoding": "gzip"}
    plain, packed = shop.queries.get("/products"), shop.queries.get("/products", asked)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-length"] == str(len(packed.raw))
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.raw) == plain.raw
    assert len(packed.raw) < len(plain.raw) // 3
    head = shop.queries.send("HEAD", "/products", headers=asked)
    assert head.headers["content-length"] == packed.headers["content-length"]
    assert "content-encoding" not in shop.queries.get(f"/products/{product}", asked).headers
    assert "content-encoding" in shop.commands.get("/events?limit=100", asked).headers


def test_a_problem_has_no_tag_and_bad_tags_are_400(shop: System, product: int) -> None:
    assert "etag" not in shop.queries.get("/products/999999999").headers
    reply = shop.queries.get(f"/products/{product}", {"If-None-Match": "3"})
    assert (reply.status, reply.slug) == (400, "malformed-request")
    assert "etag" not in shop.queries.get("/health/ready").headers
