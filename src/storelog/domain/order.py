"""The order aggregate: all or nothing, stock checked for the sum of each product's lines.

`decide` answers with every event that the order causes, the products' own included, so that one
transaction can write them together.
Next: command_service/pipeline.py
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from storelog.domain.customer import Customer, Versions, check_version
from storelog.domain.money import exact_sum, line_amount, round_to_cents
from storelog.domain.product import (
    MAX_STOCK,
    Product,
    ProductSold,
    ProductUpdated,
    ReturnedLine,
    insufficient_stock,
)
from storelog.domain.value import value
from storelog.errors import Conflict, InvalidFields, NotFound

MAX_LINES = 2_000
EARLIEST_ORDER_DATE = datetime(1900, 1, 1, tzinfo=UTC)
LATEST_ORDER_DATE = datetime(2999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


@value
class OrderItem:
    """One line of an order, at the price that was paid."""

    item_id: int
    product_id: int
    product_name: str
    quantity: int
    price: Decimal


@value
class Order:
    """An order's state; it never changes, it can only be deleted."""

    order_id: int
    order_date: datetime
    customer_id: int
    items: tuple[OrderItem, ...]
    total_price: Decimal
    version: int = 1
    is_deleted: bool = False


@value
class OrderLine:
    """One asked-for line; `price` only where an import says what was paid."""

    product_id: int
    quantity: int
    price: Decimal | None = None


@value
class PlaceOrder:
    """Ask for an order; ids were given by the database, one item id a line."""

    order_id: int
    customer_id: int
    lines: tuple[OrderLine, ...]
    item_ids: tuple[int, ...]
    order_date: datetime | None = None


@value
class DeleteOrder:
    """Undo an order: its stock goes back, its figures go away."""

    order_id: int
    expected_versions: Versions | None = None


@value
class OrderCreated:
    """An order was placed."""

    order: Order


@value
class OrderDeleted:
    """An order was undone; `order` is the last state."""

    order: Order
    deleted_at: datetime


OrderEvent = OrderCreated | OrderDeleted
Products = Mapping[int, Product]


def place(
    command: PlaceOrder, customer: Customer | None, products: Products, now: datetime
) -> list[OrderCreated | ProductSold]:
    """Return OrderCreated and one ProductSold for each line, in line order.

    Raises InvalidFields `unknown-customer` or `unknown-product`, Conflict `insufficient-stock`.
    """
    if customer is None or customer.is_deleted:
        raise InvalidFields(
            [("/customerId", f"there is no customer {command.customer_id}")], "unknown-customer"
        )
    _check_products(command, products)
    order = _order(command, products, now)
    events: list[OrderCreated | ProductSold] = [OrderCreated(order)]
    events += _sales(order, products)
    return events


def _check_products(command: PlaceOrder, products: Products) -> None:
    unknown: list[tuple[str, str]] = []
    asked: dict[int, int] = {}
    for index, line in enumerate(command.lines):
        product = products.get(line.product_id)
        if product is None or product.is_deleted:
            unknown.append(
                (f"/orderItems/{index}/productId", f"there is no product {line.product_id}")
            )
        asked[line.product_id] = asked.get(line.product_id, 0) + line.quantity
    if unknown:
        raise InvalidFields(unknown, "unknown-product")
    short = [(p, n, products[p].stock) for p, n in asked.items() if n > products[p].stock]
    if short:
        raise insufficient_stock(short)


def _order(command: PlaceOrder, products: Products, now: datetime) -> Order:
    items = []
    for item_id, line in zip(command.item_ids, command.lines, strict=True):
        product = products[line.product_id]
        price = product.price if line.price is None else line.price
        items.append(OrderItem(item_id, line.product_id, product.name, line.quantity, price))
    total = round_to_cents(exact_sum(line_amount(i.quantity, i.price) for i in items))
    order_date = command.order_date or now
    return Order(command.order_id, order_date, command.customer_id, tuple(items), total)


def _sales(order: Order, products: Products) -> list[ProductSold]:
    current: dict[int, Product] = {}
    sales = []
    for item in order.items:
        before = current.get(item.product_id) or products[item.product_id]
        after = before.sold(item.quantity)
        current[item.product_id] = after
        sales.append(
            ProductSold(
                after,
                item.item_id,
                order.order_id,
                order.customer_id,
                item.price,
                item.quantity,
                line_amount(item.quantity, item.price),
                order.order_date,
            )
        )
    return sales


def delete(
    command: DeleteOrder, order: Order | None, products: Products, now: datetime
) -> list[OrderDeleted | ProductUpdated]:
    """Return OrderDeleted and one ProductUpdated for each product that still exists.

    Raises NotFound, StaleVersion, and Conflict `stock-limit` where a product could not take its
    units back.
    """
    if order is None or order.is_deleted:
        raise NotFound(f"There is no order {command.order_id}.")
    check_version(order.version, command.expected_versions)
    events: list[OrderDeleted | ProductUpdated] = [
        OrderDeleted(replace(order, version=order.version + 1), now)
    ]
    lines_by_product: dict[int, list[ReturnedLine]] = {}
    for item in order.items:
        amount = line_amount(item.quantity, item.price)
        line = ReturnedLine(item.item_id, item.quantity, amount, order.order_date)
        lines_by_product.setdefault(item.product_id, []).append(line)
    for product_id, lines in sorted(lines_by_product.items()):
        product = products.get(product_id)
        if product is not None and not product.is_deleted:
            events.append(_give_back(product, order.order_id, lines))
    return events


def _give_back(product: Product, order_id: int, lines: list[ReturnedLine]) -> ProductUpdated:
    stock = product.stock + sum(line.quantity for line in lines)
    if stock > MAX_STOCK:
        raise Conflict(
            "stock-limit", f"Product {product.product_id} cannot hold more than {MAX_STOCK} units."
        )
    changed = replace(product, stock=stock, version=product.version + 1)
    return ProductUpdated(changed, "OrderDeleted", order_id=order_id, returned=tuple(lines))


def evolve(_state: Order | None, event: OrderEvent) -> Order:
    """Return the state after the event."""
    if isinstance(event, OrderDeleted):
        return replace(event.order, is_deleted=True)
    return event.order
