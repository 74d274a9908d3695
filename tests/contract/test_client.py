"""The Python client against the real services, as README shows it."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from storelog.client import InsufficientStock, Line, Storelog, ThingNotFound, VersionIsStale
from support.system import System

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def client(shop: System) -> Iterator[Storelog]:
    with Storelog(shop.settings.command_url, shop.settings.query_url) as connected:
        yield connected


def test_readmes_example_runs_as_it_stands(
    shop: System, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 1
    code = blocks[0].replace("http://127.0.0.1:8080", shop.settings.command_url)
    code = code.replace("http://127.0.0.1:8081", shop.settings.query_url)
    assert code != blocks[0]
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["25.50", "8", "8 left, 20 asked"]


def test_every_command_and_read_goes_round(client: Storelog) -> None:
    ann = client.create_customer("Ann", "ann@example.com", "+43 1")
    assert (ann.phone_number, ann.version) == ("+43 1", 1)
    ann = client.update_customer(ann.customer_id, "Ann B", "ann@example.com", if_version=1)
    with pytest.raises(VersionIsStale) as stale:
        client.delete_customer(ann.customer_id, if_version=1)
    assert stale.value.current_version == ann.version == 2
    lamp = client.create_product("Lamp", Decimal("0.425"), 10)
    assert client.update_product(lamp.product_id, "Lamp", "0.5").stock == 10
    assert client.adjust_stock(lamp.product_id, -1, "broken").stock == 9
    order = client.place_order(ann.customer_id, [Line(lamp.product_id, 2)])
    assert client.get_order(order.order_id).customer_name == "Ann B"
    assert client.get_product(lamp.product_id).stock == 7
    assert client.get_customer(ann.customer_id) == ann
    assert [o.order_id for o in client.list_orders(customer_id=ann.customer_id)] == [order.order_id]
    assert [s.quantity_sold for s in client.list_sales(order_id=order.order_id)] == [2]
    assert lamp.product_id in [product.product_id for product in client.list_products()]
    assert ann.customer_id in [customer.customer_id for customer in client.list_customers()]
    found = client.list_products(words="lamp", sort="-id", in_stock=True)
    assert next(iter(found)).product_id == lamp.product_id
    assert next(client.list_customers(words="ann b", sort="-id")) == msgspec.structs.replace(
        ann, version=None
    )
    assert client.total_sales().orders >= 1
    assert client.sales_by_day()
    assert client.product_totals(limit=1)
    assert client.top_customers(limit=1)
    made = client.list_events(aggregate=f"order-{order.order_id}")
    assert [event.event_type for event in made] == ["OrderCreated"]
    with pytest.raises(InsufficientStock) as short:
        client.place_order(ann.customer_id, [Line(lamp.product_id, 8)])
    assert short.value.products[0].available == 7
    client.delete_order(order.order_id)
    client.delete_product(lamp.product_id)
    client.delete_customer(ann.customer_id)
    for gone in (
        lambda: client.get_order(order.order_id),
        lambda: client.get_product(lamp.product_id),
    ):
        with pytest.raises(ThingNotFound):
            gone()


def test_a_key_of_ones_own_makes_a_repeat_the_same_thing(client: Storelog) -> None:
    first = client.create_customer("Ann", "a@b", key="client/once")
    assert client.create_customer("Ann", "a@b", key="client/once") == first
