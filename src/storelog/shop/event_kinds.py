"""How a kind of event is declared: what it carries, and what it does to its entity.

Guarantees that a declaration is complete: nothing has a default, so each effect must be stated.
Next: shop/checks.py
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

from msgspec import Struct

from storelog.shop.fields import Field, fields_of, unique_fields_of
from storelog.shop.kinds import Upcast
from storelog.typed_cache import cached

Json = dict[str, Any]
Upcaster = Callable[[Json], Json]
Bound = Literal["customers", "products", "orders"]


# eq=False: kinds are compared and hashed by identity, since caches have them as keys and a
# declaration holds mappings, which cannot be hashed.
@dataclass(frozen=True, eq=False)
class EntityKind:
    """A kind of entity: its name in the log, its structure, its table and collection.

    `owner`: the entity in whose lane its events travel, and the part of their payloads that names
    it; None: itself. `bound`: which bounds of a lane limit its documents: the highest id of
    customers or of products, or the oldest and the newest date of orders; None: no bounds do, and
    a view of the past reads the highest id.
    """

    name: str
    structure: type[Struct]
    collection: str
    owner: tuple["EntityKind", type[Struct]] | None
    bound: Bound | None

    @cached_property
    def id_field(self) -> str:
        """The name of its id in Python, SQL and documents."""
        return fields_of(self.structure)[0].name

    @property
    def id_name(self) -> str:
        """The name of its id in JSON and in paths."""
        return fields_of(self.structure)[0].json

    @property
    def words_collection(self) -> str:
        """The collection of the words of its names."""
        return f"{self.name}_names"

    def name_of(self, number: int) -> str:
        """Return the name of one of them, by its id: `product-5`."""
        return f"{self.name}-{number}"


# Every field of the entity, from the member of the same name.
ALL: Literal["all"] = "all"


@dataclass(frozen=True, eq=False)
class EventKind:
    """One kind of event. Its name is that of its payload's structure, and of its Kafka topic.

    `begins`, `ends`: whether the entity begins or ends with it. `sets`: the entity's fields that it
    sets, each with the member of the payload that has the value; ALL: every field, from the member
    of the same name. A constant is a member as well, since the log has what the payload has.
    `renames`: whether an event may change what the entity is found by: fields that are Searched or
    Unique. `about`: members that a history shows beside the fields, by their names there. `ledger`:
    1 or -1 where it adds or subtracts its lines in the totals, None where it does neither, as all
    events but those of orders. `sales`: whether it is a sale, or cancels the sales of its lines.
    `shown`: the structure whose fields a live change shows; the payload has all of them. `live`:
    the topics of GET /live that carry it; a new name is a new topic. `upcasters`: by schema
    version, what lifts a payload to the next version; a step that only adds new fields needs none.
    """

    payload: type[Any]
    entity: EntityKind
    begins: bool
    ends: bool
    sets: Mapping[str, str] | Literal["all"]
    renames: Callable[[Any], bool]
    about: Mapping[str, str]
    ledger: int | None
    sales: Literal["made", "cancelled"] | None
    shown: type[Struct]
    live: tuple[str, ...]
    upcasters: Mapping[int, Upcaster]

    @cached_property
    def name(self) -> str:
        """The event's type, as the log and Kafka name it."""
        return self.payload.__name__

    @cached_property
    def sets_all(self) -> bool:
        """Whether it sets every field of the entity."""
        return isinstance(self.sets, str)

    @cached_property
    def members(self) -> Mapping[str, str]:
        """The entity's fields that the event sets, each with the member that has the value."""
        if isinstance(self.sets, str):
            return {field.name: field.name for field in fields_of(self.entity.structure)}
        return self.sets

    @cached_property
    def unique(self) -> tuple[Field, ...]:
        """The fields that the event sets and whose values no two entities have."""
        fields = unique_fields_of(self.entity.structure)
        return tuple(field for field in fields if field.name in self.members)

    @cached_property
    def lines(self) -> Field | None:
        """The member that holds the event's lines, each with its id first."""
        return next((field for field in fields_of(self.payload) if field.line is not None), None)

    def line_ids(self, event: Any) -> list[int]:
        """Return the ids of an event's lines. Raises LookupError for a kind without lines."""
        if self.lines is None or self.lines.line is None:
            raise LookupError(f"{self.name} has no lines")
        first = fields_of(self.lines.line)[0].name
        return [getattr(line, first) for line in getattr(event, self.lines.name)]

    @cached_property
    def steps(self) -> tuple[Upcaster, ...]:
        """What lifts a payload from each older schema version to the next, from version 1 on."""
        return _past(self)[0]

    @cached_property
    def version(self) -> int:
        """The schema version of the payloads that are written."""
        return len(self.steps) + 1

    def fields_of_version(self, version: int) -> tuple[Field, ...]:
        """Return the members of a payload of a schema version."""
        came = _past(self)[1]
        return tuple(f for f in fields_of(self.payload) if came.get(f.name, 1) <= version)


@cached()
def _past(kind: EventKind) -> tuple[tuple[Upcaster, ...], Mapping[str, int]]:
    """Return a kind's steps, and the schema version that added each newer member."""
    new: dict[int, list[Field]] = {}
    came: dict[str, int] = {}
    for field in fields_of(kind.payload):
        if field.since is not None:
            new.setdefault(field.since.version, []).append(field)
        upcast = field.mark(Upcast)
        if upcast is not None:
            came[field.name] = upcast.before
    added = [new[version] for version in sorted(new)]
    steps: list[Upcaster] = []
    while len(steps) < len(kind.upcasters) + len(new):
        # Each version is either lifted by a declared upcaster or adds the next group of new fields.
        # A payload's version counts both, so it can be higher than that of the structure.
        own = kind.upcasters.get(len(steps) + 1)
        if own is None:
            if not added:
                raise TypeError(f"{kind.name} has no upcaster of version {len(steps) + 1}")
            fields = added.pop(0)
            came |= dict.fromkeys((field.name for field in fields), len(steps) + 2)
            own = partial(_add, {f.json: f.since.before for f in fields if f.since is not None})
        steps.append(own)
    return tuple(steps), came


def _add(missing: Json, payload: Json) -> Json:
    # The payload's own members win.
    return {**missing, **payload}
