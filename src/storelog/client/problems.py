"""The services' problem documents as typed errors, and the error for a missing response.

    StorelogError
    ├── Problem                the service responded with a problem: `status`, `slug`, `detail`
    │   ├── InvalidRequest     400, 422: `errors` names each field with its pointer
    │   ├── ThingNotFound      404: the entity does not exist
    │   ├── InsufficientStock  409: `products` has the units asked for and those available
    │   ├── HistoryIsAnother   409: the position is from another history than the log's `history`
    │   ├── VersionIsStale     412: `current_version`
    │   └── BehindDeadLetter   503: the read would wait in vain for `dead_letter`
    └── CannotRun
        ├── NoAnswer           no service responded in time
        └── ClientClosed       the client was closed before or during the call

Next: client/bodies.py
"""

import msgspec

from storelog.errors import CannotRun, StorelogError


class FieldError(msgspec.Struct, frozen=True):
    """One field (a JSON pointer) or parameter (`?name`) and what is wrong with it."""

    pointer: str
    detail: str


class Shortage(msgspec.Struct, frozen=True, rename="camel"):
    """One product with fewer units `available` than `asked` for."""

    product_id: int
    asked: int
    available: int


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that the read model could not take in: its position and aggregate."""

    position: int
    aggregate: str


class _Document(msgspec.Struct, rename="camel"):
    # Every member has a default, since the JSON of a proxy may have any or none of them.
    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    correlation_id: str = ""
    errors: list[FieldError] = []
    products: list[Shortage] = []
    current_version: int = 0
    dead_letter: DeadLetter | None = None
    history: str | None = None


class Problem(StorelogError):
    """A service responded with an error; a command that got one has changed nothing.

    The exception is `outcome-unknown`: the command may have been carried out.
    """

    def __init__(self, status: int, document: _Document, raw: bytes) -> None:
        self.status = status
        self.slug = document.type.rpartition("/")[2]
        self.title, self.detail = document.title, document.detail
        self.correlation_id = document.correlation_id
        self.errors = document.errors
        self.raw = raw
        fields = "; ".join(f"{error.pointer} {error.detail}" for error in self.errors)
        super().__init__(f"{status} {self.slug}: {fields or self.detail}")


class InvalidRequest(Problem):
    """The request is invalid; `errors` names its fields."""


class ThingNotFound(Problem):
    """The entity does not exist, or it is deleted."""


class InsufficientStock(Problem):
    """An order or adjustment needs more units than there are."""

    def __init__(self, status: int, document: _Document, raw: bytes) -> None:
        super().__init__(status, document, raw)
        self.products = document.products


class VersionIsStale(Problem):
    """The entity's version is not the one that the command names."""

    def __init__(self, status: int, document: _Document, raw: bytes) -> None:
        super().__init__(status, document, raw)
        self.current_version = document.current_version


class HistoryIsAnother(Problem):
    """Commits were lost after the client got its position; `history` is the log's current one.

    Set the client's `position` to 0 to continue, and check whether its last commands took effect.
    """

    def __init__(self, status: int, document: _Document, raw: bytes) -> None:
        super().__init__(status, document, raw)
        self.history = document.history


class BehindDeadLetter(Problem):
    """The awaited position is held up until an operator settles a dead letter.

    The client raises it at once, since repeating the read does not help.
    """

    def __init__(self, status: int, document: _Document, raw: bytes, letter: DeadLetter) -> None:
        super().__init__(status, document, raw)
        self.dead_letter = letter


class ClientClosed(CannotRun):
    """The client is closed; a command that was under way may or may not have taken effect."""

    def __init__(self) -> None:
        super().__init__("This client is closed; make a new one.")


class NoAnswer(CannotRun):
    """No service responded, or none usefully, for as long as the client has patience."""


_BY_SLUG: dict[str, type[Problem]] = {
    "insufficient-stock": InsufficientStock,
    "stale-version": VersionIsStale,
    "other-history": HistoryIsAnother,
}
_BY_STATUS: dict[int, type[Problem]] = {
    400: InvalidRequest,
    404: ThingNotFound,
    422: InvalidRequest,
}


def read_problem(status: int, raw: bytes) -> Problem:
    """Return the error that a response's status and body describe, even one of a proxy."""
    try:
        document = msgspec.json.decode(raw, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The body is not a problem document: a proxy between client and service responded.
        document = _Document(detail=raw[:200].decode("utf-8", "replace"))
    slug = document.type.rpartition("/")[2]
    if slug == "not-caught-up" and document.dead_letter is not None:
        return BehindDeadLetter(status, document, raw, document.dead_letter)
    kind = _BY_SLUG.get(slug) or _BY_STATUS.get(status) or Problem
    return kind(status, document, raw)
