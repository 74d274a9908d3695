"""GET and POST /keys, POST /keys/revocations: what `storelog keys` does, for administrators.

Guarantees that a key's text is in the one response that creates it and nowhere else, and that a
name means one key for ever: a request that is repeated is rejected, never done twice.
Next: api_keys.py
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import structlog

from storelog import api_keys
from storelog.api_keys import Issued
from storelog.command_service.reader import Reader
from storelog.envelope import cut_off, format_time, parse_milliseconds, to_moment
from storelog.errors import BadUse, Conflict, InvalidFields, NotFound, Unavailable
from storelog.setting_types import ROLES, ApiKey
from storelog.shop.json_values import encode_json
from storelog.shop.value_schemas import TIME, strict_object
from storelog.web.http import Operation, Request, Response, Route
from storelog.web.json_body import read_members

T = TypeVar("T")
Json = dict[str, Any]
_NAME_PATTERN = "[A-Za-z0-9_.-]{1,64}"
_NAME = re.compile(_NAME_PATTERN)
_DENIED = (
    "The Command Service's account in PostgreSQL may not make or revoke keys: name one that may in"
    " STORELOG_KEYS_POSTGRES_URL, or use `storelog keys`."
)
_NAMED: Json = {"type": "string", "pattern": f"^{_NAME_PATTERN}$", "examples": ["till-1"]}
_ROLE: Json = {"enum": list(ROLES)}
_TIME_OR_NULL: Json = {"anyOf": [TIME, {"type": "null"}]}
_ISSUED = strict_object(
    name=_NAMED,
    role=_ROLE,
    state={"enum": ["valid", "expired", "revoked"]},
    createdAt=TIME,
    expiresAt=_TIME_OR_NULL,
    revokedAt=_TIME_OR_NULL,
)
SCHEMAS: Json = {
    "NewKey": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "role"],
        "properties": {
            "name": _NAMED,
            "role": _ROLE,
            "expiresAt": {
                "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
                "examples": [None],
            },
        },
    },
    "CreatedKey": strict_object(
        name=_NAMED,
        role=_ROLE,
        expiresAt=_TIME_OR_NULL,
        key={"type": "string", "description": "The key's text, which is shown only here."},
        isFirst={"type": "boolean", "description": "From now on every request needs a key."},
    ),
    "KeyName": strict_object(name=_NAMED),
    "Key": _ISSUED,
    "Keys": strict_object(items={"type": "array", "items": _ISSUED}),
}
_log = structlog.get_logger()


class KeysApi:
    """The handlers, around connections of an account that may make and revoke keys.

    `of_settings`: keys of the settings, whose names are taken as well.
    """

    def __init__(self, reader: Reader, of_settings: Sequence[ApiKey]) -> None:
        self._reader = reader
        self._taken = {key.name for key in of_settings}

    async def list_all(self, _request: Request) -> Response:
        """GET /keys"""

        async def read(connection: asyncpg.Connection) -> list[Json]:
            now = await _now(connection)
            return [_shown(key, now) for key in await api_keys.issued(connection)]

        return _private(200, {"items": await self._use(read)})

    async def create(self, request: Request) -> Response:
        """POST /keys"""
        name, role, expires_at = _new_key(request)
        if name in self._taken:
            raise _taken(name)

        async def make(connection: asyncpg.Connection) -> tuple[str, bool]:
            if expires_at is not None and expires_at <= await _now(connection):
                raise InvalidFields([("/expiresAt", "must be in the future")])
            try:
                return await api_keys.create(connection, name, role, expires_at)
            except BadUse as error:
                raise _taken(name) from error

        text, is_first = await self._use(make)
        _log.info("key created", name=name, role=role, by=request.caller.name or None)
        ends = None if expires_at is None else format_time(expires_at)
        facts = {"name": name, "role": role, "expiresAt": ends, "key": text, "isFirst": is_first}
        return _private(201, facts)

    async def revoke(self, request: Request) -> Response:
        """POST /keys/revocations"""
        body, errors = read_members(request, {"name"}), list[tuple[str, str]]()
        name = _read_name(body, errors)
        if errors:
            raise InvalidFields(errors)

        async def end(connection: asyncpg.Connection) -> Json:
            try:
                await api_keys.revoke(connection, name)
            except BadUse as error:
                raise NotFound(f"There is no key {name} that was created here.") from error
            now = await _now(connection)
            found = [key for key in await api_keys.issued(connection) if key.name == name]
            return _shown(found[0], now)

        facts = await self._use(end)
        _log.info("key revoked", name=name, by=request.caller.name or None)
        return _private(200, facts)

    async def _use(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async def allowed(connection: asyncpg.Connection) -> T:
            try:
                return await work(connection)
            except asyncpg.InsufficientPrivilegeError as error:
                raise Unavailable(_DENIED, 60) from error

        return await self._reader.read(allowed)


def key_routes(api: KeysApi) -> list[Route]:
    """Return the routes of the keys, all for the role admin."""
    create = Operation("Create a key", 201, "NewKey", "CreatedKey", errors=(409,))
    revoke = Operation("Revoke a key", 200, "KeyName", "Key", errors=(404,))
    return [
        Route("GET", "/keys", "admin", api.list_all, Operation("Keys", 200, None, "Keys")),
        Route("POST", "/keys", "admin", api.create, create),
        Route("POST", "/keys/revocations", "admin", api.revoke, revoke),
    ]


def _private(status: int, facts: Json) -> Response:
    # The response may have a key's text, which no cache on the way may keep.
    return Response(status, encode_json(facts), (("Cache-Control", "no-store"),))


def _taken(name: str) -> Conflict:
    return Conflict(
        "key-name-taken", f"The name {name} was used before: it means one key for ever."
    )


def _shown(key: Issued, now: datetime) -> Json:
    facts = key.facts(now)
    times = {name: facts[f"{name}_at"] for name in ("created", "expires", "revoked")}
    named = {name: facts[name] for name in ("name", "role", "state")}
    return {**named, **{f"{name}At": at for name, at in times.items()}}


def _new_key(request: Request) -> tuple[str, str, datetime | None]:
    body, errors = read_members(request, {"name", "role", "expiresAt"}), list[tuple[str, str]]()
    name, role = _read_name(body, errors), body.get("role")
    if role not in ROLES:
        errors.append(("/role", f"must be one of {', '.join(ROLES)}"))
    given, expires_at = body.get("expiresAt"), None
    if given is not None:
        try:
            expires_at = to_moment(parse_milliseconds(given if type(given) is str else ""))
        except ValueError:
            errors.append(("/expiresAt", "must be a time such as 2026-01-31T12:00:00Z, or null"))
    if errors:
        raise InvalidFields(errors)
    return name, str(role), expires_at


def _read_name(body: Json, errors: list[tuple[str, str]]) -> str:
    name = body.get("name")
    if type(name) is str and _NAME.fullmatch(name):
        return name
    errors.append(("/name", "must have 1 to 64 letters, digits, dots, underscores or hyphens"))
    return ""


async def _now(connection: asyncpg.Connection) -> datetime:
    """Return PostgreSQL's time, the one clock by which keys expire."""
    return cut_off(await connection.fetchval("SELECT clock_timestamp()"))
