"""Discarded events stay out of a new read model, also where their records were damaged."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from bson.int64 import Int64

from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.dead_letters import DISCARDED
from storelog.upkeep import carry_over
from storelog.upkeep.carry_over import carry_discards

HASH, EVENT_ID = "ab" * 32, UUID(int=7)
GOOD = {"hash": HASH.encode(), "aggregate_version": b"2", "ce_id": str(EVENT_ID).encode()}
Document = dict[str, Any]


class Log:
    """Its events: the hash at each position, and the position of each id."""

    def __init__(self, hashes: dict[int, str], positions: dict[UUID, int]) -> None:
        self.hashes, self.positions = hashes, positions

    async def fetchval(self, _: str, *of: Any) -> Any:
        if len(of) == 1:
            return bytes.fromhex(self.hashes[of[0]]) if of[0] in self.hashes else None
        assert of[:3] == ("customer", 5, 2)
        return self.positions.get(of[3])


class Letters:
    """The dead letters of a read model."""

    def __init__(self, *letters: Document) -> None:
        self.letters = list(letters)

    def find(self, *_: Any) -> list[Document]:
        return self.letters

    def insert_one(self, letter: Document) -> None:
        self.letters.append(letter)


def carried(log: Log, aggregate: str, **headers: bytes | None) -> list[int]:
    """Return the positions that the new read model leaves out."""
    letter = {"_id": "9", "position": Int64(9), "aggregate": aggregate, "state": DISCARDED}
    of_record = {name: value for name, value in (GOOD | headers).items() if value is not None}
    letter["headers"] = [list(pair) for pair in of_record.items()]
    target = Letters()
    new: Any = {DEAD_LETTERS: target, "checkpoints": Letters()}
    live: Any = {DEAD_LETTERS: Letters(letter)}
    connection: Any = log
    asyncio.run(carry_discards(connection, new, live, 4))
    return [int(each["position"]) for each in target.letters]


@pytest.fixture(autouse=True)
def lane(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lane_in_log(*_: Any) -> int:
        return 3

    monkeypatch.setattr(carry_over, "lane_in_log", lane_in_log)


@pytest.mark.parametrize("event_id", [None, b"no id", b"\xff", str(UUID(int=8)).encode()])
def test_an_event_whose_record_was_damaged_stays_left_out(event_id: bytes | None) -> None:
    log = Log({9: HASH}, {EVENT_ID: 9})
    assert carried(log, "customer-5", ce_id=event_id) == [9]
    assert carried(log, "customer", ce_id=event_id) == [9]


def test_an_event_that_was_appended_again_is_left_out_there_and_no_other_for_it() -> None:
    log = Log({9: "cd" * 32, 12: "ef" * 32}, {EVENT_ID: 12})
    assert carried(log, "customer-5") == [12]
    assert carried(log, "customer-5", ce_id=b"no id") == []
    assert carried(log, "customer") == []
