"""The Python client against the real services, as README shows it."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from storelog.client import (
    Changed,
    InsufficientStock,
    Line,
    Storelog,
    ThingNotFound,
    VersionIsStale,
)
from storelog.client.queries import AsOf
from storelog.envelope import utc_now
from support.system import System, wait_for

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
    assert (ann.phone_number, ann.version) == ("+431", 1)
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


def test_each_read_can_be_as_of_a_moment(client: Storelog) -> None:
    ann = client.create_customer("Zoë Q", "z@x")
    lamp = client.create_product("Zither Q", "70000.5", 10)
    order = client.place_order(ann.customer_id, [Line(lamp.product_id, 2)])
    then, sold = client.position, client.total_sales(as_of=client.position)
    [last] = client.list_events(after=then - 1, limit=1)
    assert (last.position, last.event_type) == (then, "ProductSold")
    # A time means all that was recorded in its millisecond too.
    wait_for(lambda: utc_now() - last.recorded_at > timedelta(milliseconds=5), "a later time")
    client.update_customer(ann.customer_id, "Other", "z@x")
    client.update_product(lamp.product_id, "Other", "3")
    client.delete_order(order.order_id)
    client.delete_customer(ann.customer_id)
    client.delete_product(lamp.product_id)
    moments: list[AsOf] = [then, last.recorded_at]
    for moment in moments:
        assert client.get_customer(ann.customer_id, as_of=moment) == ann
        assert client.get_product(lamp.product_id, as_of=moment).stock == 8
        assert client.get_order(order.order_id, as_of=moment).customer_name == "Zoë Q"
        asked: Any = {"customer_id": ann.customer_id, "as_of": moment}
        assert [o.order_id for o in client.list_orders(**asked)] == [order.order_id]
        assert [s.quantity_sold for s in client.list_sales(**asked)] == [2]
        [named] = client.list_customers(words="zoe q", sort="-id", as_of=moment)
        assert named.customer_id == ann.customer_id
        [found] = client.list_products(words="zither q", sort="-id", as_of=moment)
        assert (found.product_id, found.price) == (lamp.product_id, Decimal("70000.5"))
        assert client.total_sales(as_of=moment) == sold
        assert sum(day.orders for day in client.sales_by_day(as_of=moment)) == sold.orders
        totals = {t.product_id: t for t in client.product_totals(limit=500, as_of=moment)}
        assert totals[lamp.product_id].total_sales == 140_001
        spent = {c.customer_id: c for c in client.top_customers(limit=500, as_of=moment)}
        assert spent[ann.customer_id].total_spent == 140_001
    assert client.total_sales().orders == sold.orders - 1
    assert not list(client.list_sales(customer_id=ann.customer_id))


def test_a_history_says_who_changed_what(client: Storelog) -> None:
    lamp = client.create_product("Lamp", "2.5", 300)
    for _ in range(201):
        client.adjust_stock(lamp.product_id, -1, "broken")
    then = client.position
    client.update_product(lamp.product_id, "Big lamp", "2.5")
    client.delete_product(lamp.product_id)
    events = list(client.history("product", lamp.product_id))
    assert [event.version for event in events] == list(range(204, 0, -1))
    log = client.list_events(aggregate=f"product-{lamp.product_id}")
    assert [(e.position, e.event_type, e.recorded_at, e.correlation_id) for e in events] == [
        (e.position, e.event_type, e.recorded_at, e.correlation_id) for e in reversed(log)
    ]
    assert events[0].changed == [Changed("deleted", before=False, after=True)]
    assert events[1].changed == [Changed("name", "Lamp", "Big lamp")]
    assert events[2].changed == [Changed("stock", 100, 99)]
    assert (events[2].about["note"], events[2].caller) == ("broken", None)
    assert list(client.history("product", lamp.product_id, as_of=then)) == events[2:]
    ann = client.create_customer("Ann", "a@b")
    assert [e.version for e in client.history("customer", ann.customer_id)] == [1]
    with pytest.raises(ThingNotFound):
        next(client.history("order", 2**62))


def test_each_read_by_time_takes_its_start_and_its_end(client: Storelog) -> None:
    ann, lamp = client.create_customer("Ann", "a@b"), client.create_product("Lamp", "2.5", 10)
    day = datetime(2031, 5, 1, 12, tzinfo=UTC)
    orders = [
        client.place_order(ann.customer_id, [Line(lamp.product_id, 1)], order_date=at).order_id
        for at in (day, day + timedelta(hours=1), day + timedelta(days=1))
    ]
    for start, end, count in (
        (day, day + timedelta(hours=1), 1),
        (day, day + timedelta(hours=1, milliseconds=1), 2),
        (date(2031, 5, 1), date(2031, 5, 2), 2),
        (date(2031, 5, 1), None, 3),
        (day + timedelta(milliseconds=1), date(2031, 6, 1), 2),
        (date(2031, 6, 1), None, 0),
    ):
        span: Any = {"start": start, "end": end}
        mine: Any = {"customer_id": ann.customer_id, **span}
        found = [order.order_id for order in client.list_orders(**mine, sort="orderDate")]
        assert found == [o for o in orders if o in found]
        assert len(found) == len(list(client.list_sales(**mine))) == count
        if end is None:
            # Other tests' orders of the same shop may be later.
            assert client.total_sales(start).orders >= count
            continue
        assert client.total_sales(start, end).orders == count
        assert sum(each.orders for each in client.sales_by_day(start, end)) == count
        assert sum(each.units_sold for each in client.product_totals(start, end)) == count
        assert sum(each.orders for each in client.top_customers(start, end)) == count
    for order in orders:
        client.delete_order(order)
    *_, gone = client.list_sales(customer_id=ann.customer_id, start=day, cancelled=True)
    assert gone.order_id == orders[0]


def test_a_repeat_with_the_callers_own_key_has_no_second_effect(client: Storelog) -> None:
    first = client.create_customer("Ann", "a@b", key="client/once")
    assert client.create_customer("Ann", "a@b", key="client/once") == first
