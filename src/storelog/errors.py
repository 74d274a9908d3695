"""Every error that Storelog raises on purpose, in one tree.

    StorelogError
    ├── Refusal                a rule rejects it; `slug` and `facts` say which; nothing changed
    │   ├── Malformed          the request could not be read (400)
    │   ├── InvalidFields      fields or parameters break their limits (422)
    │   ├── NotFound           the entity or path does not exist, or is deleted (404)
    │   ├── StaleVersion       If-Match or If-None-Match does not allow the version (412)
    │   ├── Conflict           a business rule rejects the command (409)
    │   ├── OtherHistory       the position is of another history of the log (409)
    │   ├── Unauthenticated    no key, or a wrong one (401)
    │   ├── Forbidden          the key's role is too low (403)
    │   └── ProtocolRefusal    HTTP itself rejects it: 405, 413, 421, 429..., its own `status`
    ├── CommandFailed          a command failed unexpectedly and changed nothing (500)
    ├── Unavailable            PostgreSQL or MongoDB is away, or a queue is full; try again (503)
    │   ├── NotCaughtUp        the read model lacks the position that a read waited for (503)
    │   └── OutcomeUnknown     a command may or may not have been done; repeat it with its key (503)
    ├── BadUse                 a command was used in a way that is not allowed (exit 2)
    │   └── BadSetting         a setting has a value that is not allowed
    ├── CannotRun              a server that the command needs is away (exit 3)
    │   └── ReadModelUnknown   MongoDB does not say which database is the read model
    ├── PoisonRecord           a record that cannot be projected (dead letter)
    └── HistoryMismatch        the log and what was sent differ; stop and say what to do

Domain code raises rejections that carry a slug and facts, never a status; `web/problems.py` has
the one table from class to HTTP status.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

# A pointer repeats the client's own names, so a response shows at most so many characters of it.
MAX_POINTER = 200
# How many fields or products a rejection names: it is stored for as long as its key.
MAX_NAMED = 100


class StorelogError(Exception):
    """The root of all errors that are raised on purpose."""


class Refusal(StorelogError):
    """A rule rejects the request. `facts` are further members of the problem document."""

    def __init__(
        self,
        slug: str,
        detail: str,
        facts: Mapping[str, Any] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.facts = dict(facts or {})
        self.headers = tuple(headers)


def omitted(found: Sequence[Any]) -> dict[str, int]:
    """Return the member that counts what a rejection does not name."""
    return {"omitted": len(found) - MAX_NAMED} if len(found) > MAX_NAMED else {}


class Malformed(Refusal):
    """The request is not what its content type says it is."""

    def __init__(self, detail: str, slug: str = "malformed-request") -> None:
        super().__init__(slug, detail)


def _shown(pointer: str) -> str:
    """Return a pointer that can be sent: its names are the client's, and may be any text."""
    shown = pointer if len(pointer) <= MAX_POINTER else pointer[: MAX_POINTER - 1] + "\u2026"
    return shown.encode("utf-8", "replace").decode()


class InvalidFields(Refusal):
    """Fields of a body (JSON pointers) or parameters (`?name`) break their limits.

    At most MAX_NAMED of them are named; `omitted` says how many more there are.
    """

    def __init__(
        self,
        errors: Sequence[tuple[str, str]],
        slug: str = "invalid-fields",
        detail: str = "The request has fields or parameters that are not valid.",
    ) -> None:
        named = [{"pointer": _shown(at), "detail": why} for at, why in errors[:MAX_NAMED]]
        super().__init__(slug, detail, {"errors": named, **omitted(errors)})


class NotFound(Refusal):
    """The entity or path does not exist, or the entity is deleted."""

    def __init__(self, detail: str = "Nothing was found at this path.") -> None:
        super().__init__("not-found", detail)


class StaleVersion(Refusal):
    """`If-Match` or `If-None-Match` does not allow the current version."""

    def __init__(self, current_version: int) -> None:
        super().__init__(
            "stale-version",
            f"The current version is {current_version}.",
            {"currentVersion": current_version},
        )


class Conflict(Refusal):
    """The state of the shop does not allow the command."""


class OtherHistory(Refusal):
    """The position of the request belongs to another history of the log than the current one."""

    def __init__(self, asked: str, history: str) -> None:
        super().__init__(
            "other-history",
            "The log has another history now, in which this position may be another event's.",
            {"asked": asked, "history": history},
        )


class Unauthenticated(Refusal):
    """The request carries no key, or one that is not known."""

    def __init__(self, detail: str = "Send a valid key as `Authorization: Bearer KEY`.") -> None:
        super().__init__("unauthenticated", detail)


class Forbidden(Refusal):
    """The key is valid, but its role is too low."""


class ProtocolRefusal(Refusal):
    """HTTP itself rejects the request; the error has its own status (405, 413, 421, 429...)."""

    def __init__(
        self, status: int, slug: str, detail: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(slug, detail, headers=headers)
        self.status = status


class CommandFailed(StorelogError):
    """A command failed for a reason that no rule foresees; nothing was changed."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (
            "The command failed and changed nothing; the log has it under this correlationId."
        )
        super().__init__(self.detail)


class Unavailable(StorelogError):
    """PostgreSQL or MongoDB is away, or a queue is full; nothing was done; try again."""

    slug = "unavailable"
    facts: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, detail: str, retry_after_seconds: int = 1, slug: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        if slug is not None:
            self.slug = slug


class OutcomeUnknown(Unavailable):
    """The command may have been executed or not; repeating it with its key tells."""

    slug = "outcome-unknown"


class NotCaughtUp(Unavailable):
    """The read model lacks what a read waits for, or an event of a dead letter.

    `waited_for` is a position, or a time that stands for all events recorded up to it.
    """

    slug = "not-caught-up"

    def __init__(
        self,
        waited_for: int | str,
        position: int,
        dead_letter: Mapping[str, Any] | None = None,
    ) -> None:
        detail = f"The read model holds everything up to {position}, not yet up to {waited_for}."
        facts: dict[str, Any] = {"waitedFor": waited_for, "position": position}
        if dead_letter is not None:
            detail = (
                f"Event {dead_letter['position']} of {dead_letter['aggregate']} is a dead letter:"
                " it is not in the read model until an operator retries or discards it."
            )
            facts["deadLetter"] = dict(dead_letter)
        super().__init__(detail)
        self.facts = facts


class BadUse(StorelogError):
    """A command was used in a way that is not allowed; nothing was done."""


class BadSetting(BadUse):
    """A setting has a value that is not allowed."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name}: {value!r} is not allowed; allowed: {allowed}")


class CannotRun(StorelogError):
    """A server that the command needs is away, or the command failed."""


class ReadModelUnknown(CannotRun):
    """The pointer to the active read model names no database."""


class PoisonRecord(StorelogError):
    """A Kafka record that cannot be projected; the message says why."""


class HistoryMismatch(StorelogError):
    """PostgreSQL's log is not the one that Kafka or MongoDB have seen."""
