"""The messages between followers and the leader: commands with their senders, and responses.

A message is its length in four bytes, then MessagePack. Followers have checked the commands that
they hand on; a leader that cannot read one ends the connection.
Next: command_service/leading/leader.py
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from struct import Struct as Packed
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from storelog.command_service.submission import Idempotency, Submission
from storelog.errors import Conflict, OutcomeUnknown, Unavailable
from storelog.shop.aggregate import AllBut, Versions
from storelog.shop.commands import COMMANDS, Command, own_id
from storelog.shop.json_values import from_json, to_json
from storelog.web.http import Response

# A body has at most a MiB, and nothing in it grows on the way by more than half.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_LENGTH = Packed(">I")
_encode = msgspec.msgpack.Encoder(enc_hook=to_json).encode
_NOTHING = msgspec.Raw(_encode(None))


class BrokenMessage(Exception):
    """The other side sent an invalid message."""


class Hello(Struct, frozen=True, array_like=True):
    """The first message of a follower: the secret of the lease that it follows."""

    secret: bytes


class Forwarded(Struct, frozen=True, array_like=True):
    """A command; `number` is the follower's for it.

    `versions` are those expected, with True those that are not; None: any.
    """

    number: int
    command: str
    own_id: int
    said: msgspec.Raw
    versions: tuple[bool, frozenset[int]] | None
    caller: str
    correlation_id: str
    instance: str
    traceparent: str | None
    key: str | None
    request_hash: bytes
    query_url: str
    client: str


class Reply(Struct, frozen=True, array_like=True):
    """The response to a command, or why there is none.

    Number 0 is a beat: the leader is there; `error` says then whether it takes more commands.
    """

    number: int
    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    error: str = ""
    detail: str = ""
    slug: str = ""


BEAT, LAST_BEAT = Reply(0), Reply(0, error="leaves")
NOT_TAKEN = "not taken"


def pack(message: Struct) -> bytes:
    """Return a message's bytes."""
    data = _encode(message)
    return _LENGTH.pack(len(data)) + data


class Unpacking:
    """Splits received bytes into messages; one for each connection."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield every whole message's bytes. Raises BrokenMessage for one that is too long."""
        data = self._left + data if self._left else data
        at = 0
        while at + 4 <= len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            if length > MAX_MESSAGE_BYTES:
                raise BrokenMessage(f"a message of {length} bytes")
            if at + 4 + length > len(data):
                break
            yield data[at + 4 : at + 4 + length]
            at += 4 + length
        self._left = data[at:]


def forwarded(number: int, submission: Submission) -> Forwarded:
    """Return a submission as it is sent to the leader."""
    command, idempotency = submission.command, submission.idempotency
    said = getattr(command, "said", None)
    return Forwarded(
        number,
        type(command).__name__,
        own_id(command),
        _NOTHING if said is None else msgspec.Raw(_encode(said)),
        _versions(getattr(command, "expected_versions", None)),
        submission.caller,
        submission.correlation_id,
        submission.instance,
        submission.traceparent,
        None if idempotency is None else idempotency.key,
        b"" if idempotency is None else idempotency.request_hash,
        submission.query_url,
        submission.client,
    )


def _versions(versions: Versions | None) -> tuple[bool, frozenset[int]] | None:
    if isinstance(versions, AllBut):
        return True, versions.versions
    if versions is None or isinstance(versions, frozenset):
        return None if versions is None else (False, versions)
    raise TypeError(f"{versions!r} cannot be handed on")


class _Form:
    """How one kind of command is restored from its message."""

    def __init__(self, command: type[Command]) -> None:
        self._command = command
        hints = get_type_hints(command, include_extras=True)
        said = hints.get("said")
        self._said = said and msgspec.msgpack.Decoder(said, dec_hook=from_json)
        self._is_versioned = "expected_versions" in hints
        # Covers the whole declaration, down to each field's limits: a difference is another form.
        self.text = f"{command.__name__} {hints} {said and get_type_hints(said, None, None, True)}"

    def command(self, sent: Forwarded) -> Command:
        arguments: list[Any] = [sent.own_id]
        if self._said is not None:
            arguments.append(self._said.decode(sent.said))
        if self._is_versioned and sent.versions is not None:
            is_but, versions = sent.versions
            arguments.append(AllBut(versions) if is_but else versions)
        return self._command(*arguments)


_FORMS: Mapping[str, _Form] = {command.__name__: _Form(command) for command in COMMANDS}
# Services whose declarations differ hand no commands to each other: they could misread them.
FORM = sha256("\n".join(["1", *(form.text for form in _FORMS.values())]).encode()).hexdigest()

_read_forwarded = msgspec.msgpack.Decoder(Forwarded).decode
_read_hello = msgspec.msgpack.Decoder(Hello).decode
_read_answered = msgspec.msgpack.Decoder(Reply).decode


def read_hello(data: bytes) -> Hello:
    """Return a follower's first message. Raises BrokenMessage."""
    try:
        return _read_hello(data)
    except msgspec.MsgspecError as error:
        raise BrokenMessage(str(error)) from error


def read_forwarded(data: bytes) -> tuple[int, Submission]:
    """Return a command and the follower's number for it. Raises BrokenMessage."""
    try:
        sent = _read_forwarded(data)
        command = _FORMS[sent.command].command(sent)
    except (msgspec.MsgspecError, KeyError) as error:
        raise BrokenMessage(str(error)) from error
    key = None if sent.key is None else Idempotency(sent.key, sent.request_hash)
    return sent.number, Submission(
        command,
        sent.caller,
        sent.correlation_id,
        sent.instance,
        sent.traceparent,
        key,
        sent.query_url,
        sent.client,
    )


def read_reply(data: bytes) -> Reply:
    """Return the leader's message. Raises BrokenMessage."""
    try:
        return _read_answered(data)
    except msgspec.MsgspecError as error:
        raise BrokenMessage(str(error)) from error


def reply(number: int, outcome: Response | BaseException) -> Reply:
    """Return the outcome of a command as it is sent back, be it unknown."""
    if isinstance(outcome, Response):
        status, body, headers = outcome.status, outcome.body, outcome.headers
        return Reply(number, status, body, headers, outcome.content_type)
    if isinstance(outcome, Unavailable | Conflict):
        kind = type(outcome).__name__
        return Reply(number, error=kind, detail=outcome.detail, slug=outcome.slug)
    detail = "The command failed; repeat it with its key."
    return Reply(number, error=OutcomeUnknown.__name__, detail=detail)


def response(sent: Reply) -> Response:
    """Return the response that the leader sent. Raises what it says instead."""
    if not sent.error:
        return Response(sent.status, sent.body, sent.headers, sent.content_type)
    if sent.error == Conflict.__name__:
        raise Conflict(sent.slug, sent.detail, headers=[("Retry-After", "1")])
    error = OutcomeUnknown if sent.error == OutcomeUnknown.__name__ else Unavailable
    raise error(sent.detail, slug=sent.slug or None)
