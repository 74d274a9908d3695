"""The Command Service's handlers: each turns a request into a command for the pipeline.

A handler decides nothing; a request that it rejects never reaches the pipeline and changes nothing.
Next: command_service/requests.py
"""

import asyncio
import re
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

from msgspec import Struct

from storelog.command_service import requests
from storelog.command_service.conditions import expected_versions
from storelog.command_service.leading.election import Election
from storelog.command_service.submission import Idempotency, Submission
from storelog.errors import Forbidden, Malformed
from storelog.shop.aggregate import Versions
from storelog.shop.commands import Command
from storelog.shop.event_kinds import EntityKind
from storelog.web.auth import includes
from storelog.web.http import Handler, Request, Response
from storelog.web.json_body import read_body

S = TypeVar("S", bound=Struct)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# Parsing a larger body can take 100 ms, during which the event loop serves no other request; an
# order of 2,000 lines has some 100 KiB.
LOOP_BYTES = 128 * 1024


class CommandApi:
    """The handlers, around one pipeline.

    `query_url` is the Query Service's public address, None where it is not configured.
    """

    def __init__(self, election: Election, query_url: str | None) -> None:
        self._election = election
        self._query_url = (query_url or "").rstrip("/")
        self._reading = asyncio.Lock()

    def creates(self, command: Callable[[int, S], Command], body: type[S]) -> Handler:
        """Return the handler of a command that creates an entity from the request's body."""

        async def handle(request: Request) -> Response:
            # PostgreSQL's sequence gives the id when the command is decided; 0 stands for it here.
            return await self._submit(request, command(0, await self._read(request, body)))

        return handle

    def changes(
        self,
        entity: EntityKind,
        command: Callable[[int, S, Versions | None], Command],
        body: type[S],
    ) -> Handler:
        """Return the handler of a command that changes one entity by the request's body."""

        async def handle(request: Request) -> Response:
            number, what = request.ids[entity.id_name], await self._read(request, body)
            return await self._submit(
                request, command(number, what, expected_versions(request, entity))
            )

        return handle

    def deletes(
        self, entity: EntityKind, command: Callable[[int, Versions | None], Command]
    ) -> Handler:
        """Return the handler of a command on one entity whose request has no body."""

        async def handle(request: Request) -> Response:
            _no_body(request)
            number, versions = request.ids[entity.id_name], expected_versions(request, entity)
            return await self._submit(request, command(number, versions))

        return handle

    async def _read(self, request: Request, structure: type[S]) -> S:
        """Return the parsed body. Raises Forbidden if it sets a field that only an import may set.

        Large bodies are parsed in a thread, one at a time, so that the event loop keeps running.
        """
        if len(request.body) <= LOOP_BYTES:
            parsed = _parse(request, structure)
        else:
            async with self._reading:
                parsed = await asyncio.to_thread(_parse, request, structure)
        if requests.is_import(parsed):
            _require_import(request)
        return parsed

    async def _submit(self, request: Request, command: Command) -> Response:
        submission = Submission(
            command,
            request.caller.name,
            request.correlation_id,
            request.path,
            request.traceparent,
            _idempotency(request),
            self._query_url,
            request.client,
        )
        return await self._election.submit(submission)


def _parse(request: Request, structure: type[S]) -> S:
    return requests.read(structure, read_body(request))


def _no_body(request: Request) -> None:
    if request.body:
        raise Malformed("This request must not have a body.")


def _idempotency(request: Request) -> Idempotency | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Malformed("Idempotency-Key must have 1 to 255 visible ASCII characters.")
    # Keys of imports are remembered for ever, so only an import may use their names.
    if key.startswith("import/"):
        _require_import(request)
    # The conditions are part of the request: repeated with another `If-Match`, it is another one.
    digest = sha256()
    conditions = request.headers.get("if-match", "")
    if "if-none-match" in request.headers:
        conditions += f"\0{request.headers['if-none-match']}"
    for part in (request.method, request.path, conditions):
        digest.update(part.encode() + b"\n")
    digest.update(request.body)
    return Idempotency(key, digest.digest())


def _require_import(request: Request) -> None:
    if not includes(request.caller, "import"):
        raise Forbidden("import-not-allowed", "Only a key with the role import may set this.")
