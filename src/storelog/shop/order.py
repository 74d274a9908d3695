"""The order: it is placed as a whole or not at all, if the stock covers all lines of each product.

`decide` returns every event that an order causes, the products' own included, so that one
transaction can write them together.
Next: command_service/landing.py
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, assert_never

from msgspec import UNSET, Meta, Struct, UnsetType

from storelog.errors import Conflict, InvalidFields
from storelog.shop.aggregate import Aggregate, Versions, existing, recorded
from storelog.shop.customer import Customer
from storelog.shop.kinds import (
    MAX_LINES,
    MAX_STOCK,
    Example,
    Id,
    ImportOnly,
    Lines,
    Price,
    Quantity,
    Reference,
    Time,
    Total,
    When,
)
from storelog.shop.money import exact_sum, line_amount, round_to_cents
from storelog.shop.product import (
    Product,
    ProductName,
    ProductSold,
    ProductUpdated,
    ReturnedLine,
    insufficient_stock,
)
from storelog.shop.rejections import Rejection
from storelog.shop.value import value

_IN_AN_ORDER = Meta(max_length=MAX_LINES)


class OrderItem(Struct, frozen=True, rename="camel"):
    """One line of an order, at the price that was paid."""

    item_id: Id
    product_id: Annotated[Id, Reference("products")]
    product_name: ProductName
    quantity: Quantity
    price: Price


class Order(Struct, frozen=True, rename="camel"):
    """An order; it never changes, but it can be deleted."""

    order_id: Id
    order_date: When
    customer_id: Annotated[Id, Reference("customers")]
    order_items: Annotated[tuple[OrderItem, ...], _IN_AN_ORDER, Lines(1, MAX_LINES)]
    total_price: Total


class OrderOwner(Struct, frozen=True, rename="camel"):
    """The part of an order that names its owner, the customer in whose lane its events travel."""

    customer_id: Id


class OrderLine(Struct, frozen=True, rename="camel"):
    """One line that a client orders."""

    product_id: Annotated[Id, Reference("products"), Example(1)]
    quantity: Quantity
    price: Annotated[Price, ImportOnly("the price that was paid.")] | UnsetType = UNSET


class NewOrder(Struct, frozen=True, rename="camel"):
    """What a client sends to place an order."""

    customer_id: Annotated[Id, Reference("customers"), Example(1)]
    order_items: Annotated[tuple[OrderLine, ...], Lines(1, MAX_LINES)]
    order_date: (
        Annotated[When, ImportOnly("when the order was placed, 1900-01-01 to 2999-12-31 UTC.")]
        | UnsetType
    ) = UNSET


@value
class PlaceOrder:
    """Place an order; the database gave the ids, one item id for each line."""

    order_id: int
    said: NewOrder
    item_ids: tuple[int, ...] = ()


@value
class DeleteOrder:
    """Undo an order: its stock goes back, and it leaves the totals."""

    order_id: int
    expected_versions: Versions | None = None


class OrderCreated(Order, frozen=True, rename="camel"):
    """An order was placed."""


class OrderDeleted(Order, frozen=True, rename="camel"):
    """An order was undone; the fields have their last values."""

    deleted_at: When


OrderCommand = PlaceOrder | DeleteOrder
OrderEvent = OrderCreated | OrderDeleted
Customers = Mapping[int, Aggregate[Customer] | None]
Products = Mapping[int, Aggregate[Product] | None]

REJECTIONS = (
    Rejection(
        Conflict,
        "stock-limit",
        "The stock would exceed its limit",
        f"A stock is at most {MAX_STOCK}; nothing was changed.",
    ),
    Rejection(
        InvalidFields,
        "unknown-customer",
        "There is no such customer",
        "The order's customer does not exist or was deleted.",
    ),
    Rejection(
        InvalidFields,
        "unknown-product",
        "There is no such product",
        "A product of the order does not exist or was deleted.",
    ),
)


def decide(
    command: OrderCommand,
    state: Aggregate[Order] | None,
    customers: Customers,
    products: Products,
    now: Time,
) -> Sequence[OrderEvent | ProductSold | ProductUpdated]:
    """Return every event that the command causes, the order's own first.

    Raises what `place` and `delete` raise.
    """
    match command:
        case PlaceOrder():
            return place(command, customers.get(command.said.customer_id), products, now)
        case DeleteOrder():
            return delete(command, state, products, now)
        case _:
            assert_never(command)


def place(
    command: PlaceOrder, customer: Aggregate[Customer] | None, products: Products, now: Time
) -> list[OrderCreated | ProductSold]:
    """Return OrderCreated and one ProductSold for each line, in line order.

    Raises InvalidFields `unknown-customer` or `unknown-product`, Conflict `insufficient-stock`.
    """
    if customer is None or customer.is_deleted:
        number = command.said.customer_id
        raise InvalidFields([("/customerId", f"there is no customer {number}")], "unknown-customer")
    known = _known(command.said, products)
    order = _order(command, known, now)
    return [order, *_sales(order, known)]


def _known(order: NewOrder, products: Products) -> dict[int, Product]:
    """Return the products of an order. Raises InvalidFields, and Conflict where stock is short."""
    known: dict[int, Product] = {}
    unknown: list[tuple[str, str]] = []
    asked: dict[int, int] = {}
    for index, line in enumerate(order.order_items):
        number = line.product_id
        product = products.get(number)
        if product is None or product.is_deleted:
            unknown.append((f"/orderItems/{index}/productId", f"there is no product {number}"))
            continue
        known[number] = product.entity
        # Lines of the same product add up: each alone may fit the stock when together they do not.
        asked[number] = asked.get(number, 0) + line.quantity
    # All unknown products in one error, so that a client can correct its request in one go.
    if unknown:
        raise InvalidFields(unknown, "unknown-product")
    short = [(n, units, known[n].stock) for n, units in asked.items() if units > known[n].stock]
    if short:
        raise insufficient_stock(short)
    return known


def _order(command: PlaceOrder, products: Mapping[int, Product], now: Time) -> OrderCreated:
    order = command.said
    items = []
    for item_id, line in zip(command.item_ids, order.order_items, strict=True):
        product = products[line.product_id]
        # Name and price are copied: a later change of the product does not change what was bought.
        price = product.price if line.price is UNSET else line.price
        items.append(OrderItem(item_id, line.product_id, product.name, line.quantity, price))
    # Rounded once: rounding each line would let the total drift from the sum that was charged.
    total = round_to_cents(exact_sum(line_amount(i.quantity, i.price) for i in items))
    order_date = now if order.order_date is UNSET else order.order_date
    return OrderCreated(command.order_id, order_date, order.customer_id, tuple(items), total)


def _sales(order: Order, products: Mapping[int, Product]) -> list[ProductSold]:
    # Each sale carries the stock after it, so several lines of one product count down one by one.
    left = {number: product.stock for number, product in products.items()}
    sales = []
    for item in order.order_items:
        stock = left[item.product_id] = left[item.product_id] - item.quantity
        sales.append(
            ProductSold(
                item.item_id,
                item.product_id,
                item.product_name,
                item.price,
                item.quantity,
                stock,
                stock > 0,
                order.order_id,
                order.customer_id,
                line_amount(item.quantity, item.price),
                order.order_date,
            )
        )
    return sales


def delete(
    command: DeleteOrder, state: Aggregate[Order] | None, products: Products, now: Time
) -> list[OrderDeleted | ProductUpdated]:
    """Return OrderDeleted and one ProductUpdated for each product that still exists.

    Raises NotFound, StaleVersion, and Conflict `stock-limit` where a product cannot take its units
    back.
    """
    order = existing(state, f"order {command.order_id}", command.expected_versions)
    events: list[OrderDeleted | ProductUpdated] = [recorded(OrderDeleted, order, deleted_at=now)]
    returned: dict[int, list[ReturnedLine]] = {}
    for item in order.order_items:
        amount = line_amount(item.quantity, item.price)
        line = ReturnedLine(item.item_id, item.quantity, amount, order.order_date)
        returned.setdefault(item.product_id, []).append(line)
    for product_id, lines in sorted(returned.items()):
        product = products.get(product_id)
        # A deleted product takes nothing back: no event follows the one that ended it.
        if product is not None and not product.is_deleted:
            events.append(_give_back(product.entity, order.order_id, lines))
    return events


def _give_back(product: Product, order_id: int, lines: list[ReturnedLine]) -> ProductUpdated:
    stock = product.stock + sum(line.quantity for line in lines)
    if stock > MAX_STOCK:
        raise Conflict(
            "stock-limit", f"Product {product.product_id} cannot hold more than {MAX_STOCK} units."
        )
    changed, back = product.with_stock(stock), tuple(lines)
    return recorded(
        ProductUpdated, changed, reason="OrderDeleted", order_id=order_id, returned=back
    )
