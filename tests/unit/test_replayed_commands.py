"""A command that comes again with its key is counted as what it is."""

from datetime import UTC, timedelta

from storelog.command_service import measures
from storelog.command_service.batch import DecidedBatch
from storelog.command_service.state import Head, State
from storelog.command_service.submission import Idempotency, Submission
from storelog.shop.customer import CreateCustomer, NewCustomer
from storelog.shop.kinds import Time

AT = Time(2026, 1, 1, tzinfo=UTC)


def counted(outcome: str) -> float:
    return measures.COMMANDS.of("CreateCustomer", outcome).value


def test_a_replay_is_counted_as_replayed_whatever_headers_its_response_has() -> None:
    batch = DecidedBatch(State(Head(history="b7f6")), {"customer": lambda: 1}, timedelta(days=1))
    command = CreateCustomer(1, NewCustomer("Ann Miller", "ann@example.com", None))
    key = Idempotency("till/1", b"\x01" * 32)
    submission = Submission(command, "till", "c1", "/customers", idempotency=key)
    before = counted("accepted"), counted("replayed")
    responses = [batch.decide(submission, AT) for _ in range(2)]
    assert responses[1].headers[-1][0] == "Storelog-History"
    measures.count_commands([submission] * 2, responses)
    assert (counted("accepted"), counted("replayed")) == (before[0] + 1, before[1] + 1)
