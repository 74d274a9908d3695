"""Where the read side is in MongoDB: shared by the projector, which writes it, and its readers.

The URI's database holds one pointer document, which names the database that is the active read
model; without one it is the URI's own. A promotion is one write to it. While `promoting` is set,
no projector writes the active one, so that its position stands still until the switch.
Next: projector/databases/promotion.py
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from storelog.config import Settings
from storelog.errors import CannotRun, ReadModelUnknown
from storelog.shop.events import CUSTOMER
from storelog.typed_cache import cached

DEFAULT_DATABASE = "storelog"
POINTERS = "read_models"
POINTER_ID = "active"
# The embedded Python server compares each document with each id of an `$in`: 51 ids by 17 take it
# 3.3 ms, all at once 4.1; 1,000 at once take 2 s.
IDS_AT_ONCE = 17
# Where an index on a document's own number lets a server read a range of ids, which costs less.
NUMBERED = {CUSTOMER.collection: CUSTOMER.id_field}
DAMAGED = (
    f"in MongoDB, `{POINTERS}` does not say which database is the read model:"
    " `storelog verify --repair` finds it"
)
# Changes are kept by blocks of so many positions, so that they are found by equality.
BLOCK_POSITIONS = 256


@dataclass(frozen=True, slots=True)
class LaneChange:
    """A change of lanes that is about to switch to a database of so many lanes.

    `since`: PostgreSQL's time, as watermarks have it, when no relay was active. The number of lanes
    in a watermark of a later time tells whether the change was completed.
    """

    database: str
    lanes: int
    since: str

    def facts(self) -> dict[str, Any]:
        """Return it as the pointer document has it."""
        return {"database": self.database, "lanes": self.lanes, "since": self.since}


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which database is the read model, and which one it was before the last promotion.

    `promoting`: the token of the process that holds the active one still; `beats` counts its signs
    of life, None if it gives none. `has_older`: read models older than these two are still to be
    dropped.
    """

    database: str
    previous: str | None = None
    promoting: str | None = None
    lane_change: LaneChange | None = None
    has_older: bool = field(default=False, compare=False)
    beats: int | None = field(default=None, compare=False)


def read_pointer(found: Mapping[str, Any] | None, home: str) -> Pointer:
    """Return the parsed pointer document; `home` is the URI's database.

    Raises ReadModelUnknown where it names no database.
    """
    if found is None:
        return Pointer(home)
    change = found.get("laneChange")
    if not isinstance(found.get("database"), str) or not is_lane_change(change):
        raise ReadModelUnknown(DAMAGED)
    return Pointer(
        found["database"],
        found.get("previous"),
        found.get("promoting"),
        None if change is None else LaneChange(**change),
        bool(found.get("hasOlder")),
        found.get("beats"),
    )


def is_lane_change(value: Any) -> bool:
    """Tell whether a value is valid as a pointer's change of lanes."""
    types = {"database": str, "lanes": int, "since": str}
    return value is None or (
        isinstance(value, Mapping)
        and value.keys() == types.keys()
        and all(isinstance(value[name], kind) for name, kind in types.items())
    )


def mongodb_uri(settings: Settings) -> str:
    """Return the server's address. Raises CannotRun when none is named, or a wrong one."""
    if settings.mongodb_uri is None:
        raise CannotRun("STORELOG_MONGODB_URI names no server, and no `storelog up` runs here")
    _parse(settings.mongodb_uri)
    return settings.mongodb_uri


def database_name(settings: Settings) -> str:
    """Return the database that the address names, else `storelog`. Raises CannotRun."""
    named: str | None = _parse(mongodb_uri(settings))["database"]
    return named or DEFAULT_DATABASE


@cached(8)
def _parse(uri: str) -> Mapping[str, Any]:
    """Return the parts of an address; `+srv` takes them from the DNS. Raises CannotRun."""
    try:
        parts: Mapping[str, Any] = parse_uri(uri)
        # Only a client finds some errors, such as a user without a password.
        MongoClient[Any](uri, connect=False).close()
        return parts
    except (PyMongoError, ValueError) as error:
        raise CannotRun(f"STORELOG_MONGODB_URI: {error}") from error
