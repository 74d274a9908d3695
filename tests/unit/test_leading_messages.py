"""What a follower hands on is decided as it came in: nothing is lost or changed on the way."""

from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Struct

from storelog.command_service.leading import messages
from storelog.command_service.submission import Idempotency, Submission
from storelog.errors import Conflict, OutcomeUnknown, Unavailable
from storelog.shop.aggregate import AllBut
from storelog.shop.commands import COMMANDS, Command
from storelog.shop.fields import Field, request_fields_of
from storelog.shop.kinds import Amount, Instant, Lines, Money, Time, Whole
from storelog.shop.order import DeleteOrder
from storelog.web.http import Response

TEXTS = st.text(max_size=20)
NUMBERS = st.integers(0, 2**63 - 1)
DATES = st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))


def a_value(field: Field) -> st.SearchStrategy[Any]:
    """Return values that a field may have, as requests are read."""
    match field.kind:
        case Whole(lowest, highest):
            values: st.SearchStrategy[Any] = st.integers(lowest, highest)
        case Amount():
            values = st.decimals(0, 10**9, places=field.kind.places).map(Money)
        case Instant():
            values = DATES.map(Time.of)
        case Lines():
            assert field.line is not None
            values = st.lists(a_structure(field.line), min_size=1, max_size=3).map(tuple)
        case _:
            values = TEXTS
    without = [st.none()] if field.is_nullable else []
    return st.one_of(values, *without, *([st.just(UNSET)] if field.is_unset else []))


def a_structure(structure: type[Struct]) -> st.SearchStrategy[Struct]:
    fields = request_fields_of(structure)
    return st.builds(structure, **{field.name: a_value(field) for field in fields})


def a_command(kind: type[Command]) -> st.SearchStrategy[Command]:
    """Return commands of a kind as handlers make them."""
    hints = get_type_hints(kind)
    parts: dict[str, st.SearchStrategy[Any]] = {}
    for name in hints:
        if name == "said":
            parts[name] = a_structure(hints[name])
        elif name == "expected_versions":
            versions = st.frozensets(st.integers(1, 10**18), max_size=3)
            parts[name] = st.none() | versions | versions.map(AllBut)
        elif name != "item_ids":
            parts[name] = NUMBERS
    return st.builds(kind, **parts)


def a_submission(kind: type[Command]) -> st.SearchStrategy[Submission]:
    keys = st.none() | st.builds(Idempotency, TEXTS, st.binary(min_size=32, max_size=32))
    return st.builds(
        Submission, a_command(kind), TEXTS, TEXTS, TEXTS, st.none() | TEXTS, keys, TEXTS, TEXTS
    )


@pytest.mark.parametrize("kind", COMMANDS)
def test_every_command_arrives_as_it_was_sent(kind: type[Command]) -> None:
    @settings(max_examples=30)
    @given(NUMBERS, a_submission(kind))
    def arrives(number: int, submission: Submission) -> None:
        packed = messages.pack(messages.forwarded(number, submission))
        assert list(messages.Unpacking().feed(packed)) == [packed[4:]]
        assert messages.read_forwarded(packed[4:]) == (number, submission)

    arrives()


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 20))
def test_messages_arrive_whole_however_the_bytes_are_cut(sent: list[bytes], size: int) -> None:
    data = b"".join(messages.pack(messages.Hello(one)) for one in sent)
    unpacking, came = messages.Unpacking(), []
    for at in range(0, len(data), size):
        came += [messages.read_hello(one).secret for one in unpacking.feed(data[at : at + size])]
    assert came == sent


def test_a_message_that_is_too_long_ends_before_its_bytes_are_kept() -> None:
    length = (messages.MAX_MESSAGE_BYTES + 1).to_bytes(4, "big")
    with pytest.raises(messages.BrokenMessage):
        list(messages.Unpacking().feed(length))


@pytest.mark.parametrize(
    "rubbish", [b"", b"\xc1", b"\x01", b"\x91\xa1a", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_message_is_said_to_be_none(rubbish: bytes) -> None:
    for read in (messages.read_forwarded, messages.read_hello, messages.read_reply):
        with pytest.raises(messages.BrokenMessage):
            read(rubbish)


def test_a_command_that_is_not_known_is_no_message() -> None:
    sent = messages.forwarded(1, Submission(DeleteOrder(1), "", "", ""))
    packed = messages.pack(sent).replace(b"DeleteOrder", b"RetireOrder")
    with pytest.raises(messages.BrokenMessage):
        messages.read_forwarded(packed[4:])


def test_a_response_comes_back_byte_for_byte() -> None:
    first = Response(201, b'{"orderId":1}', (("ETag", '"1"'), ("Storelog-Position", "7")))
    packed = messages.pack(messages.reply(5, first))
    sent = messages.read_reply(packed[4:])
    assert (sent.number, messages.response(sent)) == (5, first)


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("PostgreSQL is away."),
        Unavailable("Too many commands are waiting.", slug="overloaded"),
        OutcomeUnknown("PostgreSQL went away; repeat the command with its key."),
        Conflict("idempotency-in-progress", "It runs.", headers=[("Retry-After", "1")]),
    ],
)
def test_an_error_comes_back_as_what_it_was(error: Unavailable | Conflict) -> None:
    sent = messages.read_reply(messages.pack(messages.reply(5, error))[4:])
    with pytest.raises(type(error)) as raised:
        messages.response(sent)
    assert type(raised.value) is type(error)
    assert (raised.value.detail, raised.value.slug) == (error.detail, error.slug)


def test_of_a_command_that_failed_without_a_reason_the_outcome_is_not_known() -> None:
    sent = messages.reply(5, ValueError("a reason of the leader's own"))
    with pytest.raises(OutcomeUnknown) as raised:
        messages.response(sent)
    assert "own" not in raised.value.detail
