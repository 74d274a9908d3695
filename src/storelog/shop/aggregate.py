"""An aggregate: an entity with its version, as commands are decided on it.

Next: shop/customer.py
"""

from collections.abc import Container
from typing import Generic, TypeVar

from msgspec import Struct, structs

from storelog.errors import NotFound, StaleVersion
from storelog.shop.value import value

Versions = Container[int]

E = TypeVar("E", bound=Struct)
P = TypeVar("P", bound=Struct)


@value
class AllBut:
    """Every version but some."""

    versions: frozenset[int]

    def __contains__(self, version: object) -> bool:
        return version not in self.versions


class Aggregate(Struct, Generic[E], frozen=True):
    """An entity as its newest event left it; `version` counts its events."""

    entity: E
    version: int = 1
    is_deleted: bool = False


def existing(aggregate: Aggregate[E] | None, what: str, expected_versions: Versions | None) -> E:
    """Return the entity, if it may be changed.

    Raises NotFound where it is missing or deleted, and StaleVersion unless its version is among the
    expected ones (None: any is).
    """
    if aggregate is None or aggregate.is_deleted:
        raise NotFound(f"There is no {what}.")
    if expected_versions is not None and aggregate.version not in expected_versions:
        raise StaleVersion(aggregate.version)
    return aggregate.entity


def recorded(event: type[P], entity: Struct, **more: object) -> P:
    """Return an event that carries every field of an entity, and `more` members of its own."""
    # By position: the event's structure extends the entity's, so the entity's fields come first.
    return event(*structs.astuple(entity), **more)
