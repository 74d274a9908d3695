"""A value: an immutable dataclass that is made in a quarter of the time of a frozen one.

The type checker rejects assignments to its fields. A frozen dataclass checks that at run time, with
a method call for each field: 1.3 us against 0.3 us for six fields, and an order makes some thirty
values. Next: shop/order.py
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Return `cls` as a dataclass with slots that is equal, and hashed, by its fields."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
