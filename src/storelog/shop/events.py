"""Every kind of event, declared in one table: what it carries, and what it does.

No other code branches on an event's type or name. A declaration that contradicts itself or the
structures is an error when this module is imported.
Next: shop/evolve.py
"""

from collections.abc import Mapping
from typing import Any

from storelog.shop.checks import check_declared
from storelog.shop.customer import (
    Customer,
    CustomerCreated,
    CustomerDeleted,
    CustomerEvent,
    CustomerUpdated,
)
from storelog.shop.event_kinds import ALL, EntityKind, EventKind, Json
from storelog.shop.fields import field_at
from storelog.shop.kinds import Time
from storelog.shop.order import Order, OrderCreated, OrderDeleted, OrderEvent, OrderOwner
from storelog.shop.product import (
    Product,
    ProductCreated,
    ProductDeleted,
    ProductEvent,
    ProductSold,
    ProductUpdated,
)

Event = CustomerEvent | ProductEvent | OrderEvent

CUSTOMER = EntityKind("customer", Customer, "customers", owner=None, bound="customers")
PRODUCT = EntityKind("product", Product, "products", owner=None, bound="products")
# An order travels in its customer's lane, so a read model never has it before its customer.
ORDER = EntityKind("order", Order, "orders", owner=(CUSTOMER, OrderOwner), bound="orders")
ENTITIES = (CUSTOMER, PRODUCT, ORDER)
# The name of an aggregate, as a regular expression: `product-5`.
AGGREGATE_NAME = rf"({'|'.join(entity.name for entity in ENTITIES)})-[1-9][0-9]{{0,18}}"


def _always(_event: Event) -> bool:
    return True


def _never(_event: Event) -> bool:
    return False


def _is_about_more_than_stock(event: ProductUpdated) -> bool:
    # Stock changes far more often than a name, and each write of names costs index entries.
    return event.reason == "Changed"


def _with_note(payload: Json) -> Json:
    """ProductUpdated 2: an adjustment of stock carries `note`, the reason that the request gave."""
    return {"note": None, **payload} if payload.get("reason") == "StockAdjusted" else payload


EVENTS = (
    EventKind(
        ProductCreated,
        PRODUCT,
        begins=True,
        ends=False,
        sets=ALL,
        renames=_always,
        about={},
        ledger=None,
        sales=None,
        shown=Product,
        live=("products",),
        upcasters={},
    ),
    EventKind(
        ProductUpdated,
        PRODUCT,
        begins=False,
        ends=False,
        sets=ALL,
        renames=_is_about_more_than_stock,
        about={"reason": "reason", "delta": "delta", "note": "note", "orderId": "order_id"},
        ledger=None,
        sales=None,
        shown=Product,
        live=("products",),
        upcasters={1: _with_note},
    ),
    EventKind(
        ProductSold,
        PRODUCT,
        begins=False,
        ends=False,
        sets={"stock": "remaining_stock", "stock_status": "stock_status"},
        renames=_never,
        about={
            "orderId": "order_id",
            "itemId": "item_id",
            "customerId": "customer_id",
            "quantity": "quantity_sold",
            "pricePaid": "product_price",
        },
        ledger=None,
        sales="made",
        shown=ProductSold,
        live=("product-sold", "products"),
        upcasters={},
    ),
    EventKind(
        ProductDeleted,
        PRODUCT,
        begins=False,
        ends=True,
        sets=ALL,
        renames=_always,
        about={},
        ledger=None,
        sales=None,
        shown=Product,
        live=("products",),
        upcasters={},
    ),
    EventKind(
        CustomerCreated,
        CUSTOMER,
        begins=True,
        ends=False,
        sets=ALL,
        renames=_always,
        about={},
        ledger=None,
        sales=None,
        shown=Customer,
        live=("customers",),
        upcasters={},
    ),
    EventKind(
        CustomerUpdated,
        CUSTOMER,
        begins=False,
        ends=False,
        sets=ALL,
        renames=_always,
        about={},
        ledger=None,
        sales=None,
        shown=Customer,
        live=("customers",),
        upcasters={},
    ),
    EventKind(
        CustomerDeleted,
        CUSTOMER,
        begins=False,
        ends=True,
        sets=ALL,
        renames=_always,
        about={},
        ledger=None,
        sales=None,
        shown=Customer,
        live=("customers",),
        upcasters={},
    ),
    EventKind(
        OrderCreated,
        ORDER,
        begins=True,
        ends=False,
        sets=ALL,
        renames=_never,
        about={},
        ledger=1,
        sales=None,
        shown=Order,
        live=("orders",),
        upcasters={},
    ),
    EventKind(
        OrderDeleted,
        ORDER,
        begins=False,
        ends=True,
        sets=ALL,
        renames=_never,
        about={},
        ledger=-1,
        sales="cancelled",
        shown=Order,
        live=("orders", "product-sold"),
        upcasters={},
    ),
)
EVENT_TYPES = tuple(kind.name for kind in EVENTS)
KINDS: Mapping[str, EventKind] = {kind.name: kind for kind in EVENTS}
_ORDER_DATE = field_at(Order.order_date).name
_KIND_OF: Mapping[type[Any], EventKind] = {kind.payload: kind for kind in EVENTS}


def kind_of(event: Event) -> EventKind:
    """Return the declaration of an event."""
    return _KIND_OF[type(event)]


def id_of(event: Event) -> int:
    """Return the id of the entity that an event belongs to."""
    number: int = getattr(event, _KIND_OF[type(event)].entity.id_field)
    return number


def order_date_of(event: Event) -> Time | None:
    """Return the order date that an event carries, None for an event that carries none."""
    at: Time | None = getattr(event, _ORDER_DATE, None)
    return at


check_declared(ENTITIES, EVENTS)
