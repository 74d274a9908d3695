"""Rules that the declared entities and events must satisfy: a contradiction is an error at import.

The other rooms derive code from the declarations and rely on these rules without checking them, so
a wrong declaration stops the process before it handles a request, an event or a document.
Next: shop/events.py
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from storelog.shop.event_kinds import ALL, EntityKind, EventKind
from storelog.shop.fields import Field, fields_of, searched_fields_of, unique_fields_of
from storelog.shop.kinds import Upcast
from storelog.shop.order import Order


def check_declared(entities: Iterable[EntityKind], kinds: Iterable[EventKind]) -> None:
    """Raise TypeError where declarations contradict themselves, one another or the structures."""
    entities, kinds = tuple(entities), tuple(kinds)
    _check_once("entities have the name", (entity.name for entity in entities))
    _check_once("entities have the collection", (entity.collection for entity in entities))
    _check_once("entities have the bound", (str(e.bound) for e in entities if e.bound is not None))
    _check_once("events have the name", (kind.name for kind in kinds))
    unique = (field.unique for entity in entities for field in unique_fields_of(entity.structure))
    _check_once("unique fields have the slug", (mark.slug for mark in unique if mark is not None))
    # The lines' table has a column named after the entity's id, so two entities cannot share it.
    with_lines = [entity.name for entity in entities if _line_structures(entity)]
    if len(with_lines) > 1:
        raise TypeError(f"{', '.join(with_lines)} have lines, for which there is one table")
    for entity in entities:
        check_entity(entity, entities)
        # The first event of a stream must set every field; see _fold_of in shop/evolve.py.
        if sum(kind.begins for kind in kinds if kind.entity is entity) != 1:
            raise TypeError(f"{entity.name} does not begin with one kind of event")
    sales = [kind.name for kind in kinds if kind.sales == "made"]
    if len(sales) > 1:
        raise TypeError(f"sales are made by {', '.join(sales)}, not by one kind of event")
    for kind in kinds:
        if kind.entity not in entities:
            raise TypeError(f"{kind.name} is of an entity that is not declared")
        check_event(kind)


def _check_once(what: str, values: Iterable[str]) -> None:
    for value, times in Counter(values).items():
        if times > 1:
            raise TypeError(f"{times} {what} {value!r}")


def _raise_first(name: str, wrong: Mapping[str, bool]) -> None:
    for what in (text for text, is_wrong in wrong.items() if is_wrong):
        raise TypeError(f"{name} {what}")


def check_entity(entity: EntityKind, entities: Iterable[EntityKind]) -> None:
    """Raise TypeError where an entity breaks what tables and documents assume of it."""
    fields = fields_of(entity.structure)
    lines = _line_structures(entity)
    owner, part = entity.owner or (entity, entity.structure)
    collections = {each.collection for each in entities}
    referring = [*fields, *(field for line in lines for field in fields_of(line))]
    wrong = {
        "is not named as its structure is": entity.name != entity.structure.__name__.lower(),
        "does not have its id first": fields[0].name != f"{entity.name}_id" or not fields[0].is_id,
        "has lines twice": len(lines) > 1,
        "has lines whose id is not first": any(not fields_of(line)[0].is_id for line in lines),
        "refers to a collection that there is not": not {
            field.reference for field in referring if field.reference is not None
        }
        <= collections,
        "has an owner that is not declared": owner not in entities,
        "does not name its owner": owner.id_field not in _names(part) & _names(entity.structure),
    }
    _raise_first(entity.name, wrong)


def _line_structures(entity: EntityKind) -> list[type[Struct]]:
    return [field.line for field in fields_of(entity.structure) if field.line is not None]


def _names(structure: type[Struct]) -> set[str]:
    return {field.name for field in fields_of(structure)}


def check_event(kind: EventKind) -> None:
    """Raise TypeError where a kind of event contradicts itself or the structures."""
    members, fields = _names(kind.payload), _names(kind.entity.structure)
    sources = set(kind.members.values())
    owner = kind.entity if kind.entity.owner is None else kind.entity.owner[0]
    wrong = {
        "sets what its entity does not have": not set(kind.members) <= fields,
        "says what it has no member for": not sources | set(kind.about.values()) <= members,
        "lacks its entity's id": kind.entity.id_field not in members,
        "lacks its owner's id": owner.id_field not in members,
        "begins without setting all": kind.begins and kind.sets != ALL,
        "begins and ends at once": kind.begins and kind.ends,
        "ends without deleted_at": kind.ends != ("deleted_at" in members),
        "shows what it does not have": not _names(kind.shown) <= members,
        "adds to the totals other than once": kind.ledger not in (None, 1, -1),
        "adds to the totals and is no order": kind.ledger is not None
        and not _names(Order) <= members,
        "is a sale and does not have its id first": kind.sales == "made"
        and not fields_of(kind.payload)[0].is_id,
        "cancels sales without lines": kind.sales == "cancelled" and kind.lines is None,
        "is carried by no live topic": not kind.live,
        "is carried twice by a live topic": len(set(kind.live)) < len(kind.live),
        "has an upcaster of no version": max(kind.upcasters, default=0) > len(kind.steps),
        # Otherwise an older payload, which lacks the member, would be read without it.
        "has an upcast member without its upcaster": any(
            upcast.before - 1 not in kind.upcasters
            for field in fields_of(kind.payload)
            if (upcast := field.mark(Upcast)) is not None
        ),
        "has lines with a newer field": any(
            part.since is not None
            for field in fields_of(kind.payload)
            if field.line is not None
            for part in fields_of(field.line)
        ),
    }
    _raise_first(kind.name, wrong)
    _check_what_is_set(kind)


def _check_what_is_set(kind: EventKind) -> None:
    """Raise TypeError where the type of a member does not fit the field that is set from it."""
    fields = {field.name: field for field in fields_of(kind.entity.structure)}
    members = {field.name: field for field in fields_of(kind.payload)}
    pairs = [(fields[name], members[source]) for name, source in kind.members.items()]
    # The document of an entity's words is written whole, from one event, so an event that sets one
    # of the searched fields must carry them all.
    found_by = {
        *searched_fields_of(kind.entity.structure),
        *unique_fields_of(kind.entity.structure),
    }
    found = [pair for pair in pairs if pair[0] in found_by]
    wrong = {
        "sets its entity's id": not kind.sets_all and kind.entity.id_field in kind.members,
        "sets a field from a member of another kind": any(
            field.kind != member.kind or field.line is not member.line for field, member in pairs
        ),
        "sets a field from a member that may be absent": any(m.is_unset for _, m in pairs),
        "sets a field that is never null from a member that may be": any(
            member.is_nullable and not field.is_nullable for field, member in pairs
        ),
        "sets some of what its entity is found by, not all": len(found) not in (0, len(found_by)),
        "sets what its entity is found by from another member": any(
            _marked(field) != _marked(member) for field, member in found
        ),
        "tells as its own what is a field": bool(
            {field.json for field in fields.values()} & set(kind.about)
        ),
    }
    _raise_first(kind.name, wrong)


def _marked(field: Field) -> tuple[object, ...]:
    return field.name, field.unique
