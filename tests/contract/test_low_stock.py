"""GET /analytics/low-stock: every product is looked at, however old, and none that is deleted."""

import pytest

from storelog.client import Line, Storelog
from support.system import System

NEWER = 205


def test_low_stock_is_found_among_all_products_the_fewest_units_first(shop: System) -> None:
    with Storelog(shop.settings.command_url, shop.settings.query_url) as client:
        ann = client.create_customer("Ann", "a@b")
        few, sold_out, gone, edge = (
            client.create_product(name, "2", stock).product_id
            for name, stock in (("Few", 7), ("Sold out", 2), ("Gone", 1), ("Edge", 11))
        )
        for _ in range(NEWER):
            client.create_product("Plenty", "2", 1_000)
        client.delete_product(gone)
        client.place_order(ann.customer_id, [Line(sold_out, 2), Line(edge, 1)])
        found = {product.product_id: product.stock for product in client.low_stock(limit=500)}
        assert (found[sold_out], found[few], found[edge]) == (0, 7, 10)
        assert gone not in found
        assert list(found.values()) == sorted(found.values())
        assert all(product.stock <= 7 for product in client.low_stock(7, limit=500))
        assert len(client.low_stock(limit=2)) == 2
        client.adjust_stock(few, 5, "found")
        assert few not in {product.product_id for product in client.low_stock(limit=500)}


@pytest.mark.parametrize("query", ["atMost=0", "atMost=x", "limit=0", "asOf=1", "sort=id"])
def test_low_stock_is_of_the_present_and_its_parameters_are_checked(
    shop: System, query: str
) -> None:
    reply = shop.queries.get(f"/analytics/low-stock?{query}")
    assert reply.status in (400, 422)
    assert query.partition("=")[0] in reply.raw.decode()
