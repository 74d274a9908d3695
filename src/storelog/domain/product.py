"""The product aggregate: what is sold, and how much of it is left. Next: domain/order.py"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from storelog.domain.customer import Versions, check_version
from storelog.domain.value import value
from storelog.errors import MAX_NAMED, Conflict, InvalidFields, NotFound, omitted

MAX_STOCK = 2_147_483_647


@value
class Product:
    """A product's state. `stock` is in units, `price` in the shop's currency."""

    product_id: int
    name: str
    price: Decimal
    stock: int
    version: int = 1
    is_deleted: bool = False

    @property
    def stock_status(self) -> bool:
        """Whether any unit is left."""
        return self.stock > 0

    def sold(self, quantity: int) -> "Product":
        """Return the product after `quantity` units have left the stock."""
        return Product(
            self.product_id,
            self.name,
            self.price,
            self.stock - quantity,
            self.version + 1,
            self.is_deleted,
        )


@value
class CreateProduct:
    """Ask for a new product; the id was given by the database."""

    product_id: int
    name: str
    price: Decimal
    stock: int


@value
class UpdateProduct:
    """Replace a product's fields; `stock` None leaves the stock as it is."""

    product_id: int
    name: str
    price: Decimal
    stock: int | None
    expected_versions: Versions | None = None


@value
class AdjustStock:
    """Add `delta` units to the stock (negative: take away), for a reason in words."""

    product_id: int
    delta: int
    note: str
    expected_versions: Versions | None = None


@value
class DeleteProduct:
    """Take a product out of the shop; orders of it stay."""

    product_id: int
    expected_versions: Versions | None = None


@value
class ProductCreated:
    """A product is for sale from now on."""

    product: Product


@value
class ReturnedLine:
    """One line of a deleted order, as its product takes it back."""

    item_id: int
    quantity: int
    amount: Decimal
    sold_at: datetime


@value
class ProductUpdated:
    """A product changed; `reason` is Changed, StockAdjusted or OrderDeleted (see the contract)."""

    product: Product
    reason: str
    delta: int | None = None
    note: str | None = None
    order_id: int | None = None
    returned: tuple[ReturnedLine, ...] = ()


@value
class ProductSold:
    """One order line left the stock. `product` is the state after it, `price` the price paid."""

    product: Product
    item_id: int
    order_id: int
    customer_id: int
    price: Decimal
    quantity: int
    amount: Decimal
    sold_at: datetime


@value
class ProductDeleted:
    """A product is gone; `product` is the last state."""

    product: Product
    deleted_at: datetime


ProductCommand = CreateProduct | UpdateProduct | AdjustStock | DeleteProduct
ProductEvent = ProductCreated | ProductUpdated | ProductSold | ProductDeleted


def decide(command: ProductCommand, state: Product | None, now: datetime) -> ProductEvent:
    """Return the event that the command causes.

    Raises NotFound, StaleVersion, Conflict `insufficient-stock`, and InvalidFields where an
    adjustment would lift the stock above its limit.
    """
    if isinstance(command, CreateProduct):
        return ProductCreated(
            Product(command.product_id, command.name, command.price, command.stock)
        )
    if state is None or state.is_deleted:
        raise NotFound(f"There is no product {command.product_id}.")
    check_version(state.version, command.expected_versions)
    if isinstance(command, AdjustStock):
        return _adjust(command, state)
    if isinstance(command, DeleteProduct):
        return ProductDeleted(replace(state, version=state.version + 1), now)
    changed = replace(
        state,
        name=command.name,
        price=command.price,
        stock=state.stock if command.stock is None else command.stock,
        version=state.version + 1,
    )
    return ProductUpdated(changed, "Changed")


def _adjust(command: AdjustStock, state: Product) -> ProductUpdated:
    stock = state.stock + command.delta
    if stock < 0:
        raise insufficient_stock([(state.product_id, -command.delta, state.stock)])
    if stock > MAX_STOCK:
        raise InvalidFields([("/delta", f"would lift the stock above {MAX_STOCK}")])
    changed = replace(state, stock=stock, version=state.version + 1)
    return ProductUpdated(changed, "StockAdjusted", delta=command.delta, note=command.note)


def evolve(_state: Product | None, event: ProductEvent) -> Product:
    """Return the state after the event."""
    if isinstance(event, ProductDeleted):
        return replace(event.product, is_deleted=True)
    return event.product


def insufficient_stock(shortfalls: list[tuple[int, int, int]]) -> Conflict:
    """Return the refusal that names each (product, units asked, units available), up to 100."""
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
