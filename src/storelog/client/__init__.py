"""A typed Python client of both services: `Storelog` for plain code, `AsyncStorelog` for asyncio.

Every command carries an Idempotency-Key, so repeating it after a network error has no second
effect. A read waits for the client's earlier commands. Imports no code of the services.
Next: client/shop.py
"""

from storelog.client.blocking import Storelog
from storelog.client.bodies import (
    Changed,
    Customer,
    DaySales,
    Event,
    HistoryEvent,
    Line,
    Order,
    Product,
    ProductTotal,
    Sale,
    TopCustomer,
    TotalSales,
)
from storelog.client.live import Change, LiveTicket
from storelog.client.problems import (
    BehindDeadLetter,
    ClientClosed,
    DeadLetter,
    HistoryIsAnother,
    InsufficientStock,
    InvalidRequest,
    NoAnswer,
    Problem,
    ThingNotFound,
    VersionIsStale,
)
from storelog.client.shop import AsyncStorelog
from storelog.shop.order import OrderItem

__all__ = [
    "AsyncStorelog",
    "BehindDeadLetter",
    "Change",
    "Changed",
    "ClientClosed",
    "Customer",
    "DaySales",
    "DeadLetter",
    "Event",
    "HistoryEvent",
    "HistoryIsAnother",
    "InsufficientStock",
    "InvalidRequest",
    "Line",
    "LiveTicket",
    "NoAnswer",
    "Order",
    "OrderItem",
    "Problem",
    "Product",
    "ProductTotal",
    "Sale",
    "Storelog",
    "ThingNotFound",
    "TopCustomer",
    "TotalSales",
    "VersionIsStale",
]
