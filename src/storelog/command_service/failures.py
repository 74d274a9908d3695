"""Tells why a batch failed: PostgreSQL is away, rejects everything, or one command is the cause.

A statement that PostgreSQL rejected or ended wrote nothing; one whose connection broke may have.
Next: command_service/division.py
"""

import asyncpg

from storelog import postgres
from storelog.command_service import store
from storelog.command_service.given import BEHIND, LogBehind
from storelog.postgres import READ_ONLY, SessionShared

# Errors that every command would get, by SQLSTATE or by its class.
_SERVER = {
    "SL003": BEHIND,
    "25006": READ_ONLY,
    "28": "PostgreSQL rejects the login of the service's role.",
    "3D": "The database does not exist in PostgreSQL.",
    "3F": "PostgreSQL's schema is missing or of another version: run `storelog migrate`.",
    "42": "PostgreSQL's schema is missing or of another version: run `storelog migrate`.",
    "42501": "The service's role in PostgreSQL lacks a privilege.",
    "53": "PostgreSQL has run out of resources.",
    "53100": "PostgreSQL's disk is full.",
    "53200": "PostgreSQL is out of memory.",
    "53300": "PostgreSQL has no connection left.",
    "58": "PostgreSQL cannot read or write its files.",
    "XX001": "PostgreSQL says that its data is damaged.",
    "XX002": "PostgreSQL says that an index is damaged.",
}
# Constraints of the log that a batch violates only if the state tables contradict the log.
_HEAD = "events_pkey"
_VERSION = "events_aggregate_type_aggregate_id_version_key"
_VERIFY = "run `storelog verify`."
# The driver's cache of the schema may be outdated, or the server may no longer take writes: a new
# connection may help.
_STALE_CLASSES = ("0A", "25", "26", "XX")


class BatchFailed(Exception):
    """A batch failed though PostgreSQL responds; nothing of it was written."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(repr(cause))
        self.cause = cause


def is_away(error: Exception, connection: asyncpg.Connection | None) -> bool:
    """Whether the connection broke, so that what was sent may have been done or not."""
    if connection is None or connection.is_closed():
        return isinstance(error, postgres.FAILURES)
    # The connection still works, so the server's response arrived and the statement did nothing.
    if isinstance(error, asyncpg.QueryCanceledError | asyncpg.InsufficientResourcesError):
        return False
    return isinstance(error, store.AWAY)


def is_timeout(error: Exception) -> bool:
    """Whether PostgreSQL ended a statement that took too long."""
    return isinstance(error, asyncpg.QueryCanceledError)


def server_reason(error: Exception) -> str | None:
    """Return why no command can succeed now; None where one command may be the cause."""
    state = str(getattr(error, "sqlstate", None) or "")
    if isinstance(error, SessionShared | LogBehind):
        return str(error)
    known = _SERVER.get(state) or _SERVER.get(state[:2])
    if known is not None:
        return known
    if getattr(error, "constraint_name", None) == _HEAD:
        return f"The log in PostgreSQL has events beyond its head: {_VERIFY}"
    if isinstance(error, store.AWAY) and not is_timeout(error):
        return "PostgreSQL is away."
    return None


def may_be_own(error: Exception) -> bool:
    """Whether one command may be the cause though all others of its batch have landed.

    A trigger that runs only for this command may miss a table: it looks like a missing schema.
    """
    state = str(getattr(error, "sqlstate", None) or "")
    return state.startswith("42") and state != "42501"


def own_detail(error: Exception) -> str | None:
    """Return what to tell a client whose command failed alone, beyond that it failed."""
    if getattr(error, "constraint_name", None) == _VERSION:
        return (
            "The command changed nothing: PostgreSQL's state tables and the log do not agree on"
            f" the version of what it changes; {_VERIFY}"
        )
    return None


def is_stale(error: Exception) -> bool:
    """Whether the same batch might succeed over a new connection."""
    return str(getattr(error, "sqlstate", None) or "")[:2] in _STALE_CLASSES
