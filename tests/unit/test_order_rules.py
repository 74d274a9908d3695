"""The rules of orders, given state and a command, without any server."""

from datetime import UTC
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from storelog.errors import Conflict, InvalidFields, NotFound, Refusal
from storelog.shop import order as orders
from storelog.shop.aggregate import Aggregate
from storelog.shop.customer import Customer
from storelog.shop.evolve import evolve
from storelog.shop.kinds import MAX_STOCK, Money, Time
from storelog.shop.order import (
    DeleteOrder,
    NewOrder,
    Order,
    OrderCreated,
    OrderLine,
    PlaceOrder,
)
from storelog.shop.product import Product, ProductSold, ProductUpdated

NOW = Time(2026, 1, 2, 3, 4, 5, 678000, UTC)
ANN = Aggregate(Customer(1, "Ann", "ann@example.com", None))


def product(product_id: int, stock: int = 10, price: str = "2.50") -> Aggregate[Product]:
    entity = Product(product_id, f"Product {product_id}", Money(price), stock, stock > 0, None)
    return Aggregate(entity, version=3)


def place(
    *lines: OrderLine, customer: Aggregate[Customer] | None = ANN, stock: int = 10
) -> list[object]:
    known = {i: product(i, stock) for i in (1, 2)}
    command = PlaceOrder(7, NewOrder(1, lines), tuple(range(100, 100 + len(lines))))
    return list(orders.place(command, customer, known, NOW))


def test_an_order_is_one_order_event_and_one_sale_a_line() -> None:
    created, *sales = place(OrderLine(1, 2), OrderLine(2, 1))
    assert isinstance(created, OrderCreated)
    assert created.total_price == Decimal("7.50")
    assert created.order_date == NOW
    assert [s.remaining_stock for s in sales if isinstance(s, ProductSold)] == [8, 9]


def test_two_lines_of_one_product_take_its_stock_one_after_the_other() -> None:
    _, first, second = place(OrderLine(1, 2), OrderLine(1, 3))
    assert isinstance(first, ProductSold)
    assert isinstance(second, ProductSold)
    assert [first.remaining_stock, second.remaining_stock] == [8, 5]
    after = evolve(evolve(product(1), first), second)
    assert (after.entity.stock, after.version) == (5, 5)


def test_lines_of_one_product_add_up_before_stock_is_checked() -> None:
    with pytest.raises(Conflict) as refusal:
        place(OrderLine(1, 6), OrderLine(2, 1), OrderLine(1, 5))
    assert refusal.value.slug == "insufficient-stock"
    assert refusal.value.facts["products"] == [{"productId": 1, "asked": 11, "available": 10}]


def test_a_rejection_names_at_most_a_hundred_products_and_how_many_more() -> None:
    lines = [OrderLine(number, 11) for number in range(1, 151)]
    known = {line.product_id: product(line.product_id) for line in lines}
    command = PlaceOrder(7, NewOrder(1, tuple(lines)), tuple(range(150)))
    with pytest.raises(Conflict) as refusal:
        orders.place(command, ANN, known, NOW)
    named = [each["productId"] for each in refusal.value.facts["products"]]
    assert named == list(range(1, 101))
    assert refusal.value.facts["omitted"] == 50


def test_the_last_unit_can_be_sold() -> None:
    _, sale = place(OrderLine(1, 10))
    assert isinstance(sale, ProductSold)
    assert sale.stock_status is False


def test_every_unknown_product_is_named_by_its_line() -> None:
    with pytest.raises(InvalidFields) as refusal:
        place(OrderLine(9, 1), OrderLine(1, 1), OrderLine(8, 1))
    assert refusal.value.slug == "unknown-product"
    pointers = [error["pointer"] for error in refusal.value.facts["errors"]]
    assert pointers == ["/orderItems/0/productId", "/orderItems/2/productId"]


@pytest.mark.parametrize("customer", [None, Aggregate(ANN.entity, 2, is_deleted=True)])
def test_an_unknown_or_deleted_customer_cannot_order(
    customer: Aggregate[Customer] | None,
) -> None:
    with pytest.raises(InvalidFields) as refusal:
        place(OrderLine(1, 1), customer=customer)
    assert refusal.value.slug == "unknown-customer"


def test_a_total_is_rounded_half_even_once() -> None:
    created, *_ = place(OrderLine(1, 1, Money("0.0049")), OrderLine(2, 1, Money("0.0001")))
    assert isinstance(created, OrderCreated)
    assert created.total_price == Decimal("0.00")  # 0.0050 is a tie: to the even cent


def placed(*lines: OrderLine) -> Aggregate[Order]:
    created = place(*lines)[0]
    assert isinstance(created, OrderCreated)
    return evolve(None, created)


def test_deleting_an_order_gives_each_product_its_stock_back_in_one_event() -> None:
    order = placed(OrderLine(1, 2), OrderLine(2, 1), OrderLine(1, 3))
    known = {1: product(1, 5), 2: product(2, 9)}
    _, *returns = orders.delete(DeleteOrder(7), order, known, NOW)
    first, second = (e for e in returns if isinstance(e, ProductUpdated))
    assert (first.stock, second.stock) == (10, 10)
    assert isinstance(first.returned, tuple)
    assert [line.quantity for line in first.returned] == [2, 3]


def test_a_deleted_product_gets_no_event_when_its_order_goes() -> None:
    order = placed(OrderLine(1, 2))
    gone = Aggregate(product(1).entity, 5, is_deleted=True)
    assert len(orders.delete(DeleteOrder(7), order, {1: gone}, NOW)) == 1


def test_a_deleted_order_cannot_be_deleted_again() -> None:
    order = placed(OrderLine(1, 2))
    deleted = evolve(order, orders.delete(DeleteOrder(7), order, {}, NOW)[0])
    with pytest.raises(NotFound):
        orders.delete(DeleteOrder(7), deleted, {}, NOW)


def test_a_return_never_lifts_stock_above_its_limit() -> None:
    order = placed(OrderLine(1, 2))
    with pytest.raises(Conflict) as refusal:
        orders.delete(DeleteOrder(7), order, {1: product(1, MAX_STOCK - 1)}, NOW)
    assert refusal.value.slug == "stock-limit"


lines_of_orders = st.lists(
    st.builds(
        OrderLine,
        product_id=st.integers(1, 3),
        quantity=st.integers(1, 12),
        price=st.one_of(st.just(UNSET), st.decimals(0, 9999, places=4).map(Money)),
    ),
    min_size=1,
    max_size=12,
)


@given(lines=lines_of_orders, stocks=st.lists(st.integers(0, 40), min_size=3, max_size=3))
def test_an_order_sells_all_of_its_lines_or_nothing(
    lines: list[OrderLine], stocks: list[int]
) -> None:
    known = {i: product(i, stocks[i - 1]) for i in (1, 2, 3)}
    asked = {i: sum(line.quantity for line in lines if line.product_id == i) for i in known}
    command = PlaceOrder(7, NewOrder(1, tuple(lines)), tuple(range(len(lines))))
    fits = all(asked[i] <= known[i].entity.stock for i in known)
    try:
        created, *sales = orders.place(command, ANN, known, NOW)
    except Refusal:
        assert not fits
        return
    assert fits
    assert isinstance(created, OrderCreated)
    left = {s.product_id: s.remaining_stock for s in sales if isinstance(s, ProductSold)}
    assert all(left[i] == known[i].entity.stock - asked[i] >= 0 for i in left)
    exact = sum(Fraction(i.price) * i.quantity for i in created.order_items)
    assert abs(Fraction(created.total_price) - exact) <= Fraction(1, 200)
