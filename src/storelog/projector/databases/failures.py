"""Explains errors of MongoDB: whether one was a time-out, and its cause without any data.

A server quotes documents in its messages (the value of a duplicate key, a value that failed its
validator). Those parts are left out; ids, codes and names of fields are kept.
Next: projector/write/document_writer.py
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

# MaxTimeMSExpired, LockTimeout, NetworkTimeout, NetworkInterfaceExceededTimeLimit,
# NoSuchTransaction (ended by the server's own limit), ExceededTimeLimit,
# TransactionExceededLifetimeLimitSeconds, TransactionTooLargeForCache.
_TOO_LATE = frozenset({50, 24, 89, 202, 251, 262, 290, 313})
# The driver cancels running operations when its own check of the server takes too long.
_CANCELLED = "operation cancelled"
_SHOWN_ERRORS, _SHOWN_CHARACTERS = 3, 200
# Before these, a message has no data: after them come quoted values or the driver's settings.
_QUOTING = (" dup key", " {", "(value", ': "', " (configured timeouts", ", Timeout: ")
_TELLING = ("operatorName", "propertyName", "missingProperties", "reason", "specifiedAs")


def is_timeout(error: BaseException) -> bool:
    """Tell whether an operation took too long, so that a smaller one may succeed.

    False where no server was found: a smaller operation would not help.
    """
    return any(_is_late(each) for each in _chain(error))


def _is_late(error: BaseException) -> bool:
    if not isinstance(error, PyMongoError) or isinstance(error, ServerSelectionTimeoutError):
        return False
    if error.timeout or (isinstance(error, AutoReconnect) and _CANCELLED in str(error)):
        return True
    codes = [error.code] if isinstance(error, OperationFailure) else []
    if isinstance(error, BulkWriteError):
        codes += [failure.get("code") for failure in _failures(error)]
        if any(_has_timed_out(failure) for failure in _failures(error)):
            return True
    return any(code in _TOO_LATE for code in codes)


def _has_timed_out(failure: Mapping[str, Any]) -> bool:
    return bool((failure.get("errInfo") or {}).get("wtimeout"))


def explain(error: BaseException) -> str:
    """Return one line on why an operation failed: codes, ids and names of fields, and no values."""
    return "; ".join(dict.fromkeys(filter(None, map(_one, _chain(error)))))[: 3 * _SHOWN_CHARACTERS]


def _one(error: BaseException) -> str:
    if isinstance(error, BulkWriteError):
        failures = list(_failures(error))
        shown = [_failure(failure) for failure in failures[:_SHOWN_ERRORS]]
        more = len(failures) - len(shown)
        return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
    if isinstance(error, OperationFailure):
        return f"error {error.code}: {_without_data(str((error.details or {}).get('errmsg', '')))}"
    return _without_data(str(error)) or type(error).__name__


def _failures(error: BulkWriteError) -> Iterator[Mapping[str, Any]]:
    details = error.details or {}
    yield from details.get("writeErrors") or ()
    yield from details.get("writeConcernErrors") or ()


def _failure(failure: Mapping[str, Any]) -> str:
    operation = failure.get("op") or {}
    about = operation.get("_id", (operation.get("q") or {}).get("_id"))
    which = "" if about is None else f" of document {about}"
    rules = dict.fromkeys(_rules(failure.get("errInfo") or {}))
    broken = f" ({', '.join(rules)})" if rules else ""
    said = _without_data(str(failure.get("errmsg", "")))
    return f"error {failure.get('code')}{which}: {said}{broken}"


def _rules(info: Any) -> Iterator[str]:
    """Yield the rules that a validator reports as broken, but never the value."""
    if isinstance(info, Mapping):
        for name, value in info.items():
            if name in _TELLING and isinstance(value, str | list):
                yield value if isinstance(value, str) else " ".join(map(str, value))
            elif name != "consideredValue":
                yield from _rules(value)
    elif isinstance(info, list):
        for value in info:
            yield from _rules(value)


def _without_data(message: str) -> str:
    ends = [at for at in map(message.find, _QUOTING) if at >= 0]
    return message[: min([*ends, _SHOWN_CHARACTERS])]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes."""
    each: BaseException | None = error
    for _ in range(5):
        if each is None:
            return
        yield each
        each = each.__cause__
