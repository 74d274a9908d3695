"""An election goes on whatever goes wrong when it looks at the lease."""

import asyncio
from typing import Any, cast

import pytest

from storelog.command_service.leading import lease
from storelog.command_service.leading.election import Election
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.reader import Reader


class _Pipeline:
    def submit(self, submission: object) -> None:
        raise AssertionError(submission)


class _BrokenReader:
    """Fails in an unexpected way."""

    def __init__(self) -> None:
        self.reads = 0
        self.has_read_twice = asyncio.Event()

    async def read(self, _use: Any) -> None:
        self.reads += 1
        if self.reads == 2:
            self.has_read_twice.set()
        raise ValueError("no host")


def test_an_election_that_meets_an_unknown_error_looks_again_and_stops_in_good_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.0)

    async def elect() -> int:
        reader = _BrokenReader()
        election = Election(cast(Pipeline, _Pipeline()), cast(Reader, reader), 1.0)
        election.start()
        async with asyncio.timeout(5):
            await reader.has_read_twice.wait()
            await election.stop()
        return reader.reads

    assert asyncio.run(elect()) >= 2
