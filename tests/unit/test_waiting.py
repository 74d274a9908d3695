"""Requests that wait: what they are told when their time is over is how it is then."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from storelog.config import Settings
from storelog.envelope import format_time, utc_now
from storelog.errors import NotCaughtUp
from storelog.query_service.live import stream
from storelog.query_service.live.stream import LiveStream
from storelog.query_service.positions import watch
from storelog.query_service.positions.freshness import open_view
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.reads import Reads
from storelog.query_service.positions.view import View
from storelog.web.http import Caller, Request, Stream

Waiting = Callable[[Reads], Awaitable[View | Stream]]


class Model(Reads):
    """A read model at whatever position it is told."""

    def __init__(self) -> None:
        super().__init__(Settings(mongodb_uri="mongodb://127.0.0.1:1/storelog"))
        self.place = Place(3)

    async def _read(self) -> View:
        return View(None, self.place)  # type: ignore[arg-type]


def request(query: dict[str, str], headers: dict[str, str]) -> Request:
    return Request("GET", "/", {}, query, headers, b"", Caller("", "admin"), "test")


async def wait_for_seven(reads: Reads) -> View:
    return await open_view(reads, request({}, {"storelog-wait-for": "7", "prefer": "wait=1"}))


async def follow_from_seven(reads: Reads) -> Stream:
    return await LiveStream(reads).follow(request({"after": "7"}, {}))


def outcome(waiting: Waiting, becomes: Place) -> Any:
    """Return what one gets who begins to wait, and whom no poll frees before the time is over."""

    async def play() -> Any:
        model = Model()
        task = asyncio.ensure_future(waiting(model))
        await asyncio.sleep(0.1)
        model.place = becomes
        found = (await asyncio.gather(task, return_exceptions=True))[0]
        await model.close()
        return found

    return asyncio.run(play())


@pytest.fixture(autouse=True)
def nobody_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RELEASED_AT_ONCE", 0)
    monkeypatch.setattr(stream, "DEFAULT_WAIT_SECONDS", 1)


@pytest.mark.parametrize("waiting", [wait_for_seven, follow_from_seven])
def test_a_read_that_waits_in_a_queue_gets_the_newest_view_when_the_time_is_over(
    waiting: Waiting,
) -> None:
    found = outcome(waiting, Place(8))
    if isinstance(found, Stream):
        assert ("Storelog-Position", "8") in found.headers
    else:
        assert found.position == 8


@pytest.mark.parametrize("waiting", [wait_for_seven, follow_from_seven])
def test_a_503_names_the_read_models_position_when_the_time_is_over(waiting: Waiting) -> None:
    found = outcome(waiting, Place(5))
    assert isinstance(found, NotCaughtUp)
    assert found.facts == {"waitedFor": 7, "position": 5}


def test_a_time_that_is_not_settled_is_named_as_it_was_asked_for() -> None:
    at = format_time(utc_now())

    async def wait(reads: Reads) -> View:
        return await open_view(reads, request({"asOf": at}, {"prefer": "wait=1"}))

    found = outcome(wait, Place(5, settled_ms=0))
    assert isinstance(found, NotCaughtUp)
    assert found.facts == {"waitedFor": at, "position": 5}
