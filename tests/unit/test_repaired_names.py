"""A repair of customers' names is counted, so that Query Services drop the names that they keep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from storelog.verify import repair


async def nothing(*_: Any) -> int:
    return 0


@pytest.mark.parametrize(
    ("collection", "is_bad", "events"),
    [
        ("customers", False, ["documents", "counted"]),
        ("customer_names", False, ["documents", "counted"]),
        ("products", False, ["documents"]),
        ("products", True, ["documents", "full", "rest", "counted"]),
        (None, False, []),
    ],
)
def test_a_repair_of_names_is_counted_once_they_are_written(
    collection: str | None, is_bad: bool, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def standstill(*_: Any) -> AsyncIterator[None]:
        yield
        happened.append("counted")

    def step(name: str) -> Any:
        async def run(*_: Any) -> int:
            happened.append(name)
            return 1

        return run

    kept = SimpleNamespace(
        is_bad=is_bad, repair_what_is_full=step("full"), repair_the_rest=step("rest")
    )
    monkeypatch.setattr(repair, "standstill", standstill)
    monkeypatch.setattr(repair, "_Kept", lambda *_: kept)
    monkeypatch.setattr(repair, "_documents", step("documents"))
    monkeypatch.setattr(repair, "_histories", nothing)
    found = None if collection is None else SimpleNamespace(repairs={(collection, 7): None})
    shapes = SimpleNamespace(repair=nothing)
    checks: Any = SimpleNamespace(
        inspection=found, report=None, totals=[], shapes=shapes, histories=None
    )
    of: Any = None
    assert asyncio.run(repair.repair_all(of, of, of, checks, of)) == len(events) - events.count(
        "counted"
    )
    assert happened == events
