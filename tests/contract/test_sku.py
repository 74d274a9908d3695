"""A product's sku: optional, unique among products that are not deleted, and found by."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from storelog.client import Problem, Storelog
from support.system import System

_numbers = itertools.count(1)


def new_sku() -> str:
    return f"Shelf-{next(_numbers)}/A"


def put(shop: System, product: dict[str, Any], **changes: Any) -> Any:
    said = {"name": product["name"], "price": product["price"], **changes}
    return shop.commands.send("PUT", f"/products/{product['productId']}", said)


def listed(shop: System, query: str) -> list[int]:
    shop.wait_projected()
    reply = shop.queries.get(f"/products?{query}")
    assert reply.status == 200, reply.json
    return [product["productId"] for product in reply.json["items"]]


def test_a_product_has_the_sku_that_it_was_given_or_none(shop: System) -> None:
    sku = new_sku()
    with_sku, without = shop.new_product(sku=sku), shop.new_product()
    assert (with_sku["sku"], without["sku"]) == (sku, None)
    shop.wait_projected()
    for product in (with_sku, without):
        assert shop.queries.get(f"/products/{product['productId']}").json == product


def test_a_sku_that_another_product_has_is_a_conflict_that_changes_nothing(shop: System) -> None:
    sku = new_sku()
    shop.new_product(sku=sku)
    other = shop.new_product(sku=new_sku())
    created = shop.commands.post("/products", {"name": "x", "price": 1, "stock": 1, "sku": sku})
    assert (created.status, created.slug) == (409, "sku-taken")
    replaced = put(shop, other, sku=sku)
    assert (replaced.status, replaced.slug) == (409, "sku-taken")
    shop.wait_projected()
    assert shop.queries.get(f"/products/{other['productId']}").json == other
    assert shop.commands.get("/problems/sku-taken").status == 200


def test_of_many_concurrent_requests_for_a_sku_one_gets_it(shop: System) -> None:
    body = {"name": "x", "price": 1, "stock": 1, "sku": new_sku()}
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: shop.commands.post("/products", body), range(32)))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 31


def test_put_without_a_sku_leaves_it_and_null_removes_it(shop: System) -> None:
    sku = new_sku()
    product = shop.new_product(sku=sku)
    assert put(shop, product).json["sku"] == sku
    assert put(shop, product, sku=None).json["sku"] is None
    assert shop.new_product(sku=sku)["sku"] == sku


def test_the_sku_of_a_deleted_product_is_free(shop: System) -> None:
    sku = new_sku()
    product = shop.new_product(sku=sku)
    shop.commands.send("DELETE", f"/products/{product['productId']}")
    again = shop.new_product(sku=sku)
    assert listed(shop, f"sku={sku}") == [again["productId"]]


def test_a_product_is_found_by_its_whole_sku_and_by_the_beginning_of_it(shop: System) -> None:
    first, second = (shop.new_product(sku=f"Zq{n}-77{n}") for n in (1, 2))
    numbers = [first["productId"], second["productId"]]
    assert listed(shop, "sku=Zq1-771") == numbers[:1]
    assert listed(shop, "sku=zq1-771") == []
    assert listed(shop, "sku=Zq1-77") == []
    assert listed(shop, "q=zq1-77") == numbers[:1]
    assert listed(shop, "q=zq") == numbers
    assert listed(shop, "sku=Zq1-771&q=zq2") == []
    assert shop.queries.get("/products?sku=Zq1-771&count=true").json["count"] == 1


def test_a_past_moment_has_the_sku_of_then(shop: System) -> None:
    before, after = new_sku(), new_sku()
    product = shop.new_product(sku=before)
    then = shop.written()
    put(shop, product, sku=after)
    shop.wait_projected()
    path = f"/products/{product['productId']}"
    assert shop.queries.get(path).json["sku"] == after
    assert shop.queries.get(f"{path}?asOf={then}").json["sku"] == before
    assert listed(shop, f"sku={before}&asOf={then}") == [product["productId"]]
    assert listed(shop, f"sku={after}&asOf={then}") == []
    entry = shop.queries.get(f"/history{path}").json["items"][0]
    assert {"field": "sku", "from": before, "to": after} in entry["changed"]


@pytest.mark.parametrize("sku", ["", "x" * 65, 5, True, "a\0b"])
def test_a_sku_has_1_to_64_characters(shop: System, sku: Any) -> None:
    body = {"name": "x", "price": 1, "stock": 1, "sku": sku}
    reply = shop.commands.post("/products", body)
    assert (reply.status, reply.slug) == (422, "invalid-fields")
    assert [error["pointer"] for error in reply.json["errors"]] == ["/sku"]


def test_the_client_gives_takes_and_finds_skus(shop: System) -> None:
    sku = new_sku()
    with Storelog(shop.url("command-service"), shop.url("query-service")) as client:
        product = client.create_product("Lamp", "1.50", 3, sku=sku)
        assert [found.sku for found in client.list_products(sku=sku)] == [sku]
        with pytest.raises(Problem) as caught:
            client.create_product("Lamp", "1.50", 3, sku=sku)
        assert caught.value.slug == "sku-taken"
        assert client.update_product(product.product_id, "Lamp", "2").sku == sku
        assert client.update_product(product.product_id, "Lamp", "2", sku=None).sku is None
