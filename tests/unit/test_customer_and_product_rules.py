"""The rules of customers and products, given state and a command."""

from datetime import UTC

import pytest

from storelog.errors import Conflict, InvalidFields, NotFound, StaleVersion
from storelog.shop import customer as customers
from storelog.shop import product as products
from storelog.shop.aggregate import Aggregate
from storelog.shop.customer import (
    CreateCustomer,
    Customer,
    DeleteCustomer,
    NewCustomer,
    UpdateCustomer,
)
from storelog.shop.evolve import evolve
from storelog.shop.kinds import MAX_STOCK, Money, Time
from storelog.shop.product import (
    AdjustStock,
    ChangedProduct,
    CreateProduct,
    DeleteProduct,
    NewProduct,
    Product,
    ProductSold,
    ProductUpdated,
    StockAdjustment,
    UpdateProduct,
)

NOW = Time(2026, 1, 2, tzinfo=UTC)
ANN = Aggregate(Customer(1, "Ann", "ann@example.com", None), version=4)
PEN = Aggregate(Product(1, "Pen", Money("1.50"), 5, True, "P1"), version=4)
BOB = NewCustomer("B", "b@c")
OTHERS = frozenset((3, 9))


def adjust(
    delta: int, reason: str = "broken", versions: frozenset[int] | None = None
) -> AdjustStock:
    return AdjustStock(1, StockAdjustment(delta, reason), versions)


def test_an_update_that_changes_nothing_is_an_event_and_a_version() -> None:
    same = NewCustomer("Ann", "ann@example.com", None)
    after = evolve(ANN, customers.decide(UpdateCustomer(1, same), ANN, NOW))
    assert (after.entity, after.version) == (ANN.entity, 5)


@pytest.mark.parametrize("command", [UpdateCustomer(1, BOB, OTHERS), DeleteCustomer(1, OTHERS)])
def test_a_stale_version_of_a_customer_is_rejected(
    command: UpdateCustomer | DeleteCustomer,
) -> None:
    with pytest.raises(StaleVersion) as refusal:
        customers.decide(command, ANN, NOW)
    assert refusal.value.facts == {"currentVersion": 4}


@pytest.mark.parametrize(
    "command",
    [
        UpdateProduct(1, ChangedProduct("B", Money(1), 1), OTHERS),
        adjust(-1_000_000, "counted", OTHERS),
        DeleteProduct(1, frozenset()),
    ],
)
def test_a_stale_version_of_a_product_is_rejected(
    command: UpdateProduct | AdjustStock | DeleteProduct,
) -> None:
    with pytest.raises(StaleVersion):
        products.decide(command, PEN, NOW)


def test_what_is_deleted_never_comes_back() -> None:
    gone = evolve(ANN, customers.decide(DeleteCustomer(1), ANN, NOW))
    assert gone.is_deleted
    with pytest.raises(NotFound):
        customers.decide(UpdateCustomer(1, BOB), gone, NOW)
    no_pen = evolve(PEN, products.decide(DeleteProduct(1), PEN, NOW))
    with pytest.raises(NotFound):
        products.decide(adjust(1, "found"), no_pen, NOW)


def test_a_new_entity_is_at_version_one() -> None:
    created = customers.decide(CreateCustomer(1, BOB), None, NOW)
    assert evolve(None, created).version == 1
    made = products.decide(CreateProduct(1, NewProduct("Pen", Money(1), 0)), None, NOW)
    assert evolve(None, made).entity == Product(1, "Pen", Money(1), 0, False, None)


def test_an_update_without_stock_leaves_it() -> None:
    event = products.decide(UpdateProduct(1, ChangedProduct("Pen", Money(2))), PEN, NOW)
    assert evolve(PEN, event).entity.stock == 5


def test_an_adjustment_says_its_delta() -> None:
    event = products.decide(adjust(-5), PEN, NOW)
    assert isinstance(event, ProductUpdated)
    assert (event.reason, event.delta, event.note) == ("StockAdjusted", -5, "broken")
    assert (event.stock, event.stock_status) == (0, False)


def test_an_adjustment_cannot_take_more_than_there_is() -> None:
    with pytest.raises(Conflict) as refusal:
        products.decide(adjust(-6), PEN, NOW)
    assert refusal.value.facts["products"] == [{"productId": 1, "asked": 6, "available": 5}]


def test_an_adjustment_cannot_lift_stock_above_its_limit() -> None:
    with pytest.raises(InvalidFields):
        products.decide(adjust(MAX_STOCK, "found"), PEN, NOW)


def test_a_change_of_what_never_began_is_an_error() -> None:
    sold = ProductSold(9, 1, "Pen", Money(1), 1, 4, True, 2, 1, Money(1), NOW)
    with pytest.raises(LookupError):
        evolve(None, sold)
