"""The rules of customers and products, given state and a command."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from storelog.domain import customer as customers
from storelog.domain import product as products
from storelog.domain.customer import CreateCustomer, Customer, DeleteCustomer, UpdateCustomer
from storelog.domain.product import (
    MAX_STOCK,
    AdjustStock,
    CreateProduct,
    DeleteProduct,
    Product,
    ProductUpdated,
    UpdateProduct,
)
from storelog.errors import Conflict, InvalidFields, NotFound, StaleVersion

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANN = Customer(1, "Ann", "ann@example.com", None, version=4)
PEN = Product(1, "Pen", Decimal("1.50"), 5, version=4)


def test_an_update_that_changes_nothing_is_an_event_and_a_version() -> None:
    command = UpdateCustomer(1, ANN.name, ANN.email, ANN.phone_number)
    assert customers.evolve(ANN, customers.decide(command, ANN, NOW)).version == 5


OTHERS = frozenset((3, 9))


@pytest.mark.parametrize(
    "command", [UpdateCustomer(1, "B", "b@c", None, OTHERS), DeleteCustomer(1, OTHERS)]
)
def test_a_stale_version_of_a_customer_is_refused(
    command: UpdateCustomer | DeleteCustomer,
) -> None:
    with pytest.raises(StaleVersion) as refusal:
        customers.decide(command, ANN, NOW)
    assert refusal.value.facts == {"currentVersion": 4}


@pytest.mark.parametrize(
    "command",
    [
        UpdateProduct(1, "B", Decimal(1), 1, OTHERS),
        AdjustStock(1, -1_000_000, "counted", OTHERS),
        DeleteProduct(1, frozenset()),
    ],
)
def test_a_stale_version_of_a_product_is_refused(
    command: UpdateProduct | AdjustStock | DeleteProduct,
) -> None:
    with pytest.raises(StaleVersion):
        products.decide(command, PEN, NOW)


def test_what_is_deleted_never_comes_back() -> None:
    gone = customers.evolve(ANN, customers.decide(DeleteCustomer(1), ANN, NOW))
    assert gone.is_deleted
    with pytest.raises(NotFound):
        customers.decide(UpdateCustomer(1, "A", "a@b", None), gone, NOW)
    no_pen = products.evolve(PEN, products.decide(DeleteProduct(1), PEN, NOW))
    with pytest.raises(NotFound):
        products.decide(AdjustStock(1, 1, "found"), no_pen, NOW)


def test_a_new_thing_is_at_version_one() -> None:
    created = customers.decide(CreateCustomer(1, "A", "a@b", None), None, NOW)
    assert customers.evolve(None, created).version == 1
    made = products.decide(CreateProduct(1, "Pen", Decimal(1), 0), None, NOW)
    assert products.evolve(None, made).stock_status is False


def test_an_update_without_stock_leaves_it() -> None:
    event = products.decide(UpdateProduct(1, "Pen", Decimal(2), None), PEN, NOW)
    assert products.evolve(PEN, event).stock == 5


def test_an_adjustment_says_its_delta() -> None:
    event = products.decide(AdjustStock(1, -5, "broken"), PEN, NOW)
    assert isinstance(event, ProductUpdated)
    assert (event.reason, event.delta, event.product.stock) == ("StockAdjusted", -5, 0)


def test_an_adjustment_cannot_take_more_than_there_is() -> None:
    with pytest.raises(Conflict) as refusal:
        products.decide(AdjustStock(1, -6, "broken"), PEN, NOW)
    assert refusal.value.facts["products"] == [{"productId": 1, "asked": 6, "available": 5}]


def test_an_adjustment_cannot_lift_stock_above_its_limit() -> None:
    with pytest.raises(InvalidFields):
        products.decide(AdjustStock(1, MAX_STOCK, "found"), PEN, NOW)
