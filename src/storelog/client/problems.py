"""The services' problem documents as typed errors, and the error of having no answer.

    StorelogError
    ├── Problem                the service answered with a problem: `status`, `slug`, `detail`
    │   ├── InvalidRequest     400, 422: `errors` names each field with its pointer
    │   ├── ThingNotFound      404
    │   ├── InsufficientStock  409: `products` says what was asked and what there is
    │   ├── HistoryIsAnother   409: the log has another `history` than the position is of
    │   ├── VersionIsStale     412: `current_version`
    │   └── BehindDeadLetter   503: `dead_letter` is what the read would wait for in vain
    └── CannotRun
        ├── NoAnswer           nothing answered in time
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
    """One product of which there is less than was asked for, in units."""

    product_id: int
    asked: int
    available: int


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that the read model cannot take in: its place in the log, and whose it is."""

    position: int
    aggregate: str


class _Document(msgspec.Struct, rename="camel"):
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
    """A service answered with an error; a command that got one has changed nothing.

    Only `outcome-unknown` says otherwise: the command may have been done.
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
    """The request is not allowed as it is; `errors` names its fields."""


class ThingNotFound(Problem):
    """There is no such thing, or it is deleted."""


class InsufficientStock(Problem):
    """An order or adjustment wants more than there is."""

    def __init__(self, status: int, document: _Document, raw: bytes) -> None:
        super().__init__(status, document, raw)
        self.products = document.products


class VersionIsStale(Problem):
    """The thing is not at the version that the command was meant for."""

    def __init__(self, status: int, document: _Document, raw: bytes) -> None:
        super().__init__(status, document, raw)
        self.current_version = document.current_version


class HistoryIsAnother(Problem):
    """Commits were lost since the client was given its position: `history` is the log's now.

    Set the client's `position` to 0 to read on, and look whether what was written is there.
    """

    def __init__(self, status: int, document: _Document, raw: bytes) -> None:
        super().__init__(status, document, raw)
        self.history = document.history


class BehindDeadLetter(Problem):
    """What the read waits for does not come before an operator settles a dead letter.

    The client raises it at once: to send the read again is useless.
    """

    def __init__(self, status: int, document: _Document, raw: bytes, letter: DeadLetter) -> None:
        super().__init__(status, document, raw)
        self.dead_letter = letter


class ClientClosed(CannotRun):
    """The client is closed; what it was doing may have been done or not."""

    def __init__(self) -> None:
        super().__init__("This client is closed; make a new one.")


class NoAnswer(CannotRun):
    """Nothing answered, or nothing that could be used, for as long as the client has patience."""


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
    """Return the error that an answer's status and body describe, whoever wrote the body."""
    try:
        document = msgspec.json.decode(raw, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A proxy in between answered, not a service.
        document = _Document(detail=raw[:200].decode("utf-8", "replace"))
    slug = document.type.rpartition("/")[2]
    if slug == "not-caught-up" and document.dead_letter is not None:
        return BehindDeadLetter(status, document, raw, document.dead_letter)
    kind = _BY_SLUG.get(slug) or _BY_STATUS.get(status) or Problem
    return kind(status, document, raw)
