"""Of several hosts of PostgreSQL, none keeps an unused connection."""

import asyncio
from typing import Any

import asyncpg
import pytest

from storelog import postgres


class _Connection:
    def __init__(self) -> None:
        self.is_open = True

    def terminate(self) -> None:
        self.is_open = False


def test_a_read_only_server_is_left_when_the_next_host_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_only, opened = _Connection(), 0

    async def open_next(_opening: Any) -> tuple[_Connection, bool]:
        nonlocal opened
        opened += 1
        if opened == 1:
            return read_only, True
        raise asyncpg.InvalidPasswordError("no")

    monkeypatch.setattr("storelog.postgres._Opening.open", open_next)
    connecting = postgres.connect(
        "postgresql://one,other/shop-of-this-test", timeout=5, is_writing=False
    )
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(connecting)
    assert opened == 2
    assert not read_only.is_open
