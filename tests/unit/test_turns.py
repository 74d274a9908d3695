"""A flood does not hold up what else waits for the loop: a turn begins so much, in order."""

import asyncio
import contextlib
from typing import Any

import uvloop

from storelog.web.turns import MAX_BEGUN, Turns

# uvloop reads so many bytes at once.
PIECE = 256_000
FLOOD = 4 * MAX_BEGUN + 1


def run(coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, 20))


async def turn() -> None:
    await asyncio.sleep(0)


def test_a_turn_begins_so_many_and_the_rest_in_the_order_in_which_they_came() -> None:
    async def flood() -> None:
        loop, shared = asyncio.get_running_loop(), Turns()
        begun: list[int] = []
        sizes: list[int] = []

        def come(number: int) -> None:
            def begin() -> None:
                begun.append(number)

            begin() if shared.may_begin(loop) else shared.wait(begin)

        for number in range(FLOOD):
            come(number)
        sizes.append(len(begun))
        while len(begun) < FLOOD + 1:
            await turn()
            if len(sizes) == 1:
                # A request that comes while others wait is behind them.
                come(FLOOD)
            sizes.append(len(begun))
        assert begun == list(range(FLOOD + 1))
        steps = [after - before for before, after in zip([0, *sizes], sizes, strict=False)]
        assert max(steps) == MAX_BEGUN

    run(flood())


def test_an_idle_service_has_nothing_to_do() -> None:
    """Polling goes on only while a request waits: an idle loop sleeps."""

    class Counted(asyncio.SelectorEventLoop):
        calls = 0

        def call_soon(  # type: ignore[override]
            self, callback: Any, *args: Any, context: Any = None
        ) -> asyncio.Handle:
            self.calls += 1
            return super().call_soon(callback, *args, context=context)

    with contextlib.closing(Counted()) as loop:
        shared = Turns()
        assert shared.may_begin(loop)
        for _ in range(10):
            loop.call_later(0.001, loop.stop)
            loop.run_forever()
        assert loop.calls == 1
