"""What every command has in common: the entity that it is about, and what it is decided from.

A command names its own entity by the field of the entity's id, which is 0 until the database gives
a new one. What the client sent is in `said`, where references to other entities are marked. A
command that begins an entity with lines has the lines' ids in `item_ids`.
Next: command_service/decisions.py
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from msgspec import Struct

from storelog.shop import order, product
from storelog.shop.customer import CustomerCommand
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.shop.fields import fields_of
from storelog.shop.order import OrderCommand
from storelog.shop.product import ProductCommand
from storelog.typed_cache import cached

Command = CustomerCommand | ProductCommand | OrderCommand
# Functions that give the next id, by the entity's name or LINE.
NewIds = Mapping[str, Callable[[], int]]
LINE = "item"

_ENTITY_OF: Mapping[type[Command], EntityKind] = {
    command: entity
    for entity, commands in (
        (CUSTOMER, CustomerCommand),
        (PRODUCT, ProductCommand),
        (ORDER, OrderCommand),
    )
    for command in get_args(commands)
}
COMMANDS: tuple[type[Command], ...] = tuple(_ENTITY_OF)
REJECTIONS = (*product.REJECTIONS, *order.REJECTIONS)
# The structures of requests. Two commands may share one (NewCustomer), which is listed once.
REQUESTS: tuple[type[Struct], ...] = tuple(
    dict.fromkeys(hints["said"] for hints in map(get_type_hints, _ENTITY_OF) if "said" in hints)
)


def entity_of(command: Command) -> EntityKind:
    """Return the kind of entity that a command is about."""
    return _ENTITY_OF[type(command)]


def own_id(command: Command) -> int:
    """Return the id of the entity that a command is about; 0 for a new entity without an id."""
    number: int = getattr(command, entity_of(command).id_field)
    return number


def named(command: Command) -> list[tuple[str, int]]:
    """Return the collection and the id of everything that a command is decided from."""
    number = own_id(command)
    found = [(entity_of(command).collection, number)] if number else []
    said: Struct | None = getattr(command, "said", None)
    if said is not None:
        add_references(found, said)
    return found


def add_references(found: list[tuple[str, int]], said: Struct) -> None:
    """Add the collection and the id of everything that a structure and its lines refer to."""
    for name, collection in _referring(type(said)):
        if collection is None:
            for line in getattr(said, name):
                add_references(found, line)
        else:
            found.append((collection, getattr(said, name)))


@cached()
def _referring(structure: type[Struct]) -> tuple[tuple[str, str | None], ...]:
    """Return the fields that refer to a collection; None for a field whose lines may refer."""
    return tuple(
        (field.name, field.reference)
        for field in fields_of(structure)
        if field.reference is not None or field.line is not None
    )


def lines_said(command: Command) -> int:
    """Return how many lines the client sent with a command."""
    said: Struct | None = getattr(command, "said", None)
    lines = 0
    # A loop takes a third of the time of sum() over a generator, and each command runs it 4 times.
    for name in () if said is None else _holding_lines(type(said)):
        lines += len(getattr(said, name))
    return lines


@cached()
def _holding_lines(structure: type[Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in fields_of(structure) if field.line is not None)


def needed_ids(command: Command) -> dict[str, int]:
    """Return how many new ids a command needs, by the entity's name or LINE."""
    if own_id(command):
        return {}
    lines = lines_said(command)
    return {entity_of(command).name: 1} | ({LINE: lines} if lines else {})


def numbered(command: Command, ids: NewIds) -> Command:
    """Return a command with the ids that it needs."""
    if own_id(command):
        return command
    entity = entity_of(command)
    new: dict[str, Any] = {entity.id_field: ids[entity.name]()}
    lines = lines_said(command)
    if lines:
        new_line = ids[LINE]
        new["item_ids"] = tuple([new_line() for _ in range(lines)])
    return replace(command, **new)
