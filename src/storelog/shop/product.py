"""The product: its price, and how many units of it are in stock. Next: shop/order.py"""

from typing import Annotated, assert_never

from msgspec import UNSET, Struct, UnsetType, structs

from storelog.errors import MAX_NAMED, Conflict, InvalidFields, omitted
from storelog.shop.aggregate import Aggregate, Versions, existing, recorded
from storelog.shop.kinds import (
    MAX_STOCK,
    Choice,
    Computed,
    Example,
    Id,
    Lines,
    Name,
    OnlyWith,
    Price,
    Quantity,
    Searched,
    Since,
    Stock,
    Text,
    Time,
    Unique,
    Upcast,
    When,
    Whole,
    YesNo,
)
from storelog.shop.rejections import Rejection
from storelog.shop.value import value

ProductName = Annotated[Name, Example("Cake stand")]
# The shop's own number of a product (stock keeping unit).
Sku = Annotated[str, Text(1, 64), Example("CS-1275"), Unique("sku-taken")]
Delta = Annotated[int, Whole(-MAX_STOCK, MAX_STOCK), Example(-2)]
Note = Annotated[Name, Example("broken in the store")]
_ADJUSTED, _GIVEN_BACK = OnlyWith("StockAdjusted"), OnlyWith("OrderDeleted")


class Product(Struct, frozen=True, rename="camel"):
    """A product. `stock` is in units, `price` in the shop's currency."""

    product_id: Id
    name: Annotated[ProductName, Searched()]
    price: Price
    stock: Stock
    stock_status: Computed[YesNo]
    sku: Annotated[Sku | None, Searched(), Since(version=2, before=None)]

    def with_stock(self, stock: int) -> "Product":
        """Return the product with another stock."""
        return structs.replace(self, stock=stock, stock_status=stock > 0)


class NewProduct(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client sends to create a product."""

    name: ProductName
    price: Price
    stock: Stock
    sku: Sku | None = None


class ChangedProduct(Struct, frozen=True, rename="camel"):
    """What a client sends to replace a product; it keeps the `stock` and `sku` that are absent."""

    name: ProductName
    price: Price
    stock: Stock | UnsetType = UNSET
    sku: Sku | UnsetType | None = UNSET


class StockAdjustment(Struct, frozen=True, rename="camel"):
    """`delta` units are added (negative: removed), with a reason in words."""

    delta: Delta
    reason: Note


@value
class CreateProduct:
    """Create a product; the database gave the id."""

    product_id: int
    said: NewProduct


@value
class UpdateProduct:
    """Replace a product's fields."""

    product_id: int
    said: ChangedProduct
    expected_versions: Versions | None = None


@value
class AdjustStock:
    """Add to the stock, or take from it."""

    product_id: int
    said: StockAdjustment
    expected_versions: Versions | None = None


@value
class DeleteProduct:
    """Delete a product; orders of it stay."""

    product_id: int
    expected_versions: Versions | None = None


class ProductCreated(Product, frozen=True, rename="camel"):
    """A product was created."""


class ReturnedLine(Struct, frozen=True, rename="camel"):
    """One line of a deleted order, as its product takes it back."""

    item_id: Id
    quantity: Quantity
    product_total_price: Price
    sold_at: When


class ProductUpdated(Product, frozen=True, rename="camel"):
    """A product changed; the reason determines which of the last four members are present."""

    reason: Annotated[str, Choice(("Changed", "StockAdjusted", "OrderDeleted"))]
    delta: Annotated[Delta, _ADJUSTED] | UnsetType = UNSET
    note: Annotated[Name, Example("broken"), _ADJUSTED, Upcast(before=2)] | UnsetType | None = UNSET
    order_id: Annotated[Id, _GIVEN_BACK] | UnsetType = UNSET
    returned: Annotated[tuple[ReturnedLine, ...], Lines(1), _GIVEN_BACK] | UnsetType = UNSET


class ProductSold(Struct, frozen=True, rename="camel"):
    """One order line left the stock. `product_price` is the price paid."""

    item_id: Id
    product_id: Id
    product_name: ProductName
    product_price: Price
    quantity_sold: Quantity
    remaining_stock: Stock
    stock_status: Computed[YesNo]
    order_id: Id
    customer_id: Id
    product_total_price: Price
    sold_at: When


class ProductDeleted(Product, frozen=True, rename="camel"):
    """A product was deleted; the fields have their last values."""

    deleted_at: When


ProductCommand = CreateProduct | UpdateProduct | AdjustStock | DeleteProduct
ProductEvent = ProductCreated | ProductUpdated | ProductSold | ProductDeleted

REJECTIONS = (
    Rejection(
        Conflict,
        "insufficient-stock",
        "Not enough stock",
        "Nothing was sold. `products` says how many units of each product were asked for and how"
        " many are available.",
    ),
)


def decide(command: ProductCommand, state: Aggregate[Product] | None, now: Time) -> ProductEvent:
    """Return the event that the command causes.

    Raises NotFound, StaleVersion, Conflict `insufficient-stock`, and InvalidFields where an
    adjustment would lift the stock above its limit.
    """
    number = command.product_id
    if isinstance(command, CreateProduct):
        new = command.said
        return ProductCreated(number, new.name, new.price, new.stock, new.stock > 0, new.sku)
    before = existing(state, f"product {number}", command.expected_versions)
    match command:
        case UpdateProduct():
            return _update(before, command.said)
        case AdjustStock():
            return _adjust(before, command.said)
        case DeleteProduct():
            return recorded(ProductDeleted, before, deleted_at=now)
        case _:
            assert_never(command)


def _update(before: Product, said: ChangedProduct) -> ProductUpdated:
    # A client that changes a name need not know the stock, which sales change at any time.
    stock = before.stock if said.stock is UNSET else said.stock
    sku = before.sku if said.sku is UNSET else said.sku
    changed = Product(before.product_id, said.name, said.price, stock, stock > 0, sku)
    return recorded(ProductUpdated, changed, reason="Changed")


def _adjust(before: Product, said: StockAdjustment) -> ProductUpdated:
    stock = before.stock + said.delta
    if stock < 0:
        raise insufficient_stock([(before.product_id, -said.delta, before.stock)])
    # The field's own limits allow a delta up to MAX_STOCK; only the sum can be too large.
    if stock > MAX_STOCK:
        raise InvalidFields([("/delta", f"would lift the stock above {MAX_STOCK}")])
    changed = before.with_stock(stock)
    return recorded(
        ProductUpdated, changed, reason="StockAdjusted", delta=said.delta, note=said.reason
    )


def insufficient_stock(shortfalls: list[tuple[int, int, int]]) -> Conflict:
    """Return the rejection that names each (product, units asked, units available), up to 100."""
    return Conflict(
        "insufficient-stock",
        "There is not enough stock for what was asked.",
        {
            "products": [
                {"productId": product_id, "asked": asked, "available": available}
                for product_id, asked, available in shortfalls[:MAX_NAMED]
            ],
            **omitted(shortfalls),
        },
    )
