"""What the landing gives back when a batch did not land as it was decided."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from unittest.mock import Mock

import pytest

from storelog.command_service import log_head, store
from storelog.command_service.batch import Writes
from storelog.command_service.decider import Decider
from storelog.command_service.given import Given, LogBehind
from storelog.command_service.kept_connection import KeptConnection
from storelog.command_service.landing import DecideAgain, Landing, Try
from storelog.web.http import Response


def landing_of(decider: Decider) -> Landing:
    return Landing("postgresql://127.0.0.1:1/none", 5.0, decider.clock, decider.given)


def landed(monkeypatch: pytest.MonkeyPatch, error: Exception) -> tuple[Any, Try]:
    """Return what `land` gives, while the decider is in use, for a batch whose write fails."""
    first = Try(cast(Writes, Mock(occurred_at=datetime(2026, 1, 1, tzinfo=UTC), events=[])), [])

    async def connect(_url: str) -> Mock:
        return Mock(is_closed=Mock(return_value=False))

    async def check(_given: Given, _connection: object) -> None:
        pass

    async def append(*_: object) -> None:
        raise error

    async def land() -> list[Response] | DecideAgain:
        decider = Decider(timedelta(hours=1))
        landing = landing_of(decider)
        await landing.connection.connect()
        async with asyncio.timeout(5), decider.lock:
            return await landing.land(first)

    monkeypatch.setattr(store, "connect", connect)
    monkeypatch.setattr(store, "append", append)
    monkeypatch.setattr(Given, "check", check)
    return asyncio.run(land()), first


@pytest.mark.parametrize(
    ("error", "needs_new_ids"), [(log_head.Conflicted(), False), (store.IdsTaken(), True)]
)
def test_a_batch_that_postgresql_did_not_take_is_decided_again_and_in_no_doubt(
    monkeypatch: pytest.MonkeyPatch, error: Exception, needs_new_ids: bool
) -> None:
    again, _ = landed(monkeypatch, error)
    assert isinstance(again, DecideAgain)
    assert again.was_decided
    assert again.needs_new_ids == needs_new_ids
    assert again.in_doubt == []


def test_a_batch_whose_response_was_lost_is_looked_for_before_it_is_decided_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again, first = landed(monkeypatch, ConnectionResetError())
    assert isinstance(again, DecideAgain)
    assert again.was_decided
    assert [id(each) for each in again.in_doubt] == [id(first)]


def test_a_batch_that_was_not_decided_ahead_is_given_back_with_nothing_sent() -> None:
    again = asyncio.run(landing_of(Decider(timedelta(hours=1))).land(None))
    assert isinstance(again, DecideAgain)
    assert not again.was_decided
    assert again.in_doubt == []


def test_a_kept_connection_is_opened_anew_only_when_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Mock] = []

    async def connect(_url: str) -> Mock:
        opened.append(Mock(is_closed=Mock(return_value=False)))
        return opened[-1]

    async def used() -> list[tuple[object, bool]]:
        kept = KeptConnection("postgresql://127.0.0.1:1/none")
        uses = [await kept.connect(), await kept.connect()]
        opened[0].is_closed.return_value = True
        assert kept.current is None
        return [*uses, await kept.connect()]

    monkeypatch.setattr(store, "connect", connect)
    first, second, third = asyncio.run(used())
    assert first == (opened[0], True)
    assert second == (opened[0], False)
    assert third == (opened[1], True)


def test_a_connection_whose_check_fails_is_closed_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = Mock(is_closed=Mock(return_value=False))

    async def connect(_url: str) -> Mock:
        return connection

    async def check(_connection: object) -> None:
        raise LogBehind("it lacks events")

    kept = KeptConnection("postgresql://127.0.0.1:1/none", check)
    monkeypatch.setattr(store, "connect", connect)
    with pytest.raises(LogBehind):
        asyncio.run(kept.connect())
    assert kept.current is None
    connection.terminate.assert_called_once()
