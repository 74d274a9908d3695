"""When a promotion counts as abandoned: soon after its last sign of life, or after 15 s at most."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from storelog.projector.receive import standstill
from storelog.projector.receive.standstill import Standstill
from storelog.read_side import Pointer


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The tokens of promotions that were ended."""
    tokens: list[str] = []
    monkeypatch.setattr(standstill, "thaw", lambda _home, token: tokens.append(token))
    yield tokens


def looked(monkeypatch: pytest.MonkeyPatch, beats: list[int | None]) -> None:
    """Look once a second at a promotion whose pointer has so many beats each time."""
    home: Any = None
    watcher = Standstill(home, "watermarks")
    for second, count in enumerate(beats):
        monkeypatch.setattr(time, "monotonic", lambda at=100.0 + second: at)
        watcher.look(Pointer("shop", promoting="token", beats=count))


def test_a_promotion_whose_signs_of_life_have_ended_is_ended_within_seven_seconds(
    monkeypatch: pytest.MonkeyPatch, ended: list[str]
) -> None:
    looked(monkeypatch, [0, 2, 4, *[4] * 6])
    assert ended == []
    looked(monkeypatch, [0, 2, 4, *[4] * 7])
    assert ended == ["token"]


def test_a_promotion_that_lives_has_fifteen_seconds_and_so_has_one_that_gives_no_signs(
    monkeypatch: pytest.MonkeyPatch, ended: list[str]
) -> None:
    looked(monkeypatch, [*range(16)])
    looked(monkeypatch, [None] * 16)
    assert ended == []
    looked(monkeypatch, [*range(17)])
    looked(monkeypatch, [None] * 17)
    assert ended == ["token", "token"]
