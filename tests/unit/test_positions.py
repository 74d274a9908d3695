"""The watcher: one poll for all waiting reads, and a result for each of them in every case."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pymongo.errors import AutoReconnect

from storelog.errors import Unavailable
from storelog.query_service.positions import watch
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View
from storelog.query_service.positions.watch import Positions


class Model:
    """A read model that is read `reads` times and moves on when it is told to."""

    def __init__(self) -> None:
        self.position, self.dead_letters, self.reads, self.is_away = 0, 0, 0, False

    async def read(self) -> View:
        self.reads += 1
        if self.is_away:
            raise AutoReconnect("away")
        return View(None, Place(self.position, self.dead_letters))  # type: ignore[arg-type]


def run(scenario: Callable[[Model, Positions], Awaitable[None]]) -> None:
    async def play() -> None:
        model = Model()
        watcher = Positions(model.read)
        await scenario(model, watcher)
        await watcher.close()

    asyncio.run(play())


def test_a_thousand_waiters_cost_what_one_costs() -> None:
    async def reads_for(waiters: int) -> int:
        model = Model()
        watcher = Positions(model.read)
        waiting = [asyncio.create_task(watcher.wait(7, 30)) for _ in range(waiters)]
        await asyncio.sleep(20 * watch.POLL_SECONDS)
        model.position, reads = 7, model.reads
        views = await asyncio.gather(*waiting)
        assert [view and view.place.position for view in views] == [7] * waiters
        assert model.reads - reads <= 1 + waiters / watch.RELEASED_AT_ONCE
        return reads

    assert asyncio.run(reads_for(1000)) <= 21


def test_a_read_that_waits_for_another_condition_costs_no_more() -> None:
    async def scenario(model: Model, watcher: Positions) -> None:
        waiting = [asyncio.create_task(watcher.wait(7, 30)) for _ in range(10)]
        waiting += [
            asyncio.create_task(watcher.wait_until(lambda place: place.dead_letters == 0, 30))
            for _ in range(10)
        ]
        model.dead_letters = 1
        await asyncio.sleep(20 * watch.POLL_SECONDS)
        assert model.reads <= 21
        model.dead_letters = 0
        for found in await asyncio.gather(*waiting[10:]):
            assert found is not None
            assert (found.place.position, found.place.dead_letters) == (0, 0)
        assert not any(task.done() for task in waiting[:10])
        model.position = 7
        assert all(await asyncio.gather(*waiting[:10]))

    run(scenario)


def test_without_a_waiting_read_nothing_is_polled() -> None:
    async def scenario(model: Model, watcher: Positions) -> None:
        assert await watcher.wait(1, 0.1) is None
        await asyncio.sleep(3 * watch.POLL_SECONDS)
        reads = model.reads
        await asyncio.sleep(10 * watch.POLL_SECONDS)
        assert model.reads == reads

    run(scenario)


def test_every_change_can_be_followed() -> None:
    async def scenario(model: Model, watcher: Positions) -> None:
        seen = 0
        for step in (3, 4, 9):
            model.position = step
            view = await watcher.wait(seen + 1, 30)
            assert view is not None
            seen = view.place.position
            assert seen == step

    run(scenario)


def test_without_mongodb_all_waiting_reads_fail() -> None:
    async def scenario(model: Model, watcher: Positions) -> None:
        model.is_away = True
        waiting = [watcher.wait(1, 30) for _ in range(3)]
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, Unavailable)
        model.is_away, model.position = False, 1
        assert await watcher.wait(1, 30) is not None

    run(scenario)


def test_more_waiters_than_allowed_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(_model: Model, watcher: Positions) -> None:
        monkeypatch.setattr(watch, "MAX_WAITERS", 2)
        waiting = [asyncio.create_task(watcher.wait(1, 0.2)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="Too many"):
            await watcher.wait(1, 0.2)
        assert await asyncio.gather(*waiting) == [None, None]

    run(scenario)
