"""The ledger on the real server: any range, as of any position, equals a plain fold."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.database import Database

from storelog.config import Settings
from storelog.documents import ledgers
from storelog.documents.ledgers import KINDS, Fact, Sums, facts_of_leaf
from storelog.projector.checkpoints import Checkpoint, Fenced
from storelog.projector.databases.connection import connect
from storelog.projector.write import ledger_writer
from storelog.projector.write.ledger_writer import LedgerWriter
from storelog.projector.write.transaction import BatchTransaction
from storelog.query_service.http.parameters import Range
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View
from storelog.query_service.totals import ledger_sums
from storelog.read_side import database_name
from storelog.verify import sums
from storelog.verify.ledger import Ledger
from storelog.verify.report import Report

START = datetime(2011, 1, 1, tzinfo=UTC)
LANES = 2


@pytest.fixture
def database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database[Any]]:
    """A database, and leaves so small that some hundred facts make a tree of four levels."""
    for module in (ledgers, ledger_writer, sums):
        monkeypatch.setattr(module, "LEAF_LINES", 6)
        monkeypatch.setattr(module, "LEAF_FACTS", 3)
    database = connect(settings)
    yield database
    database.client.close()


def new_writer(database: Database[Any], lane: int = 0, leaf: int = 0) -> LedgerWriter:
    """Return a writer as a lane makes one when it begins at this leaf."""
    return LedgerWriter(database, lane, leaf, BatchTransaction(database, [Checkpoint(lane)]))


def make_facts(dice: random.Random, count: int) -> list[Fact]:
    """Return sales over ten days, in no order of time, and deletions of some of them."""
    facts: list[Fact] = []
    for position in range(1, count + 1):
        sold = [fact for fact in facts if fact.sign > 0]
        if sold and dice.random() < 0.2:
            facts.append(replace(dice.choice(sold), position=position, sign=-1))
            continue
        at = START + timedelta(milliseconds=dice.randrange(10 * 86_400_000))
        lines = [
            (product, dice.randint(1, 9), dice.choice([1, 25_000, 10**19]))
            for product in dice.sample(range(1, 8), dice.randint(1, 4))
        ]
        at_ms = int(at.timestamp() * 1000)
        facts.append(Fact(position, 1, at_ms, dice.randint(1, 5), tuple(lines)))
    return facts


def write_all(database: Database[Any], facts: list[Fact], dice: random.Random) -> Place:
    """Write in batches of any size, some of them again, by writers that begin again."""
    leaves = []
    for lane in range(LANES):
        mine = [fact for fact in facts if fact.customer % LANES == lane]
        writer, done = new_writer(database, lane), 0
        while done < len(mine):
            if dice.random() < 0.2:
                writer = new_writer(database, lane, max(0, writer.leaf - dice.randint(0, 1)))
            begin = max(0, done - dice.randint(0, 3))
            done = min(len(mine), done + dice.randint(1, 12))
            writer.write(mine[begin:done])
        leaves.append((lane, writer.leaf))
    return Place(position=len(facts), leaves=tuple(leaves))


def plain(facts: list[Fact], kind: str, span: Range, position: int) -> Sums:
    """Add up units, amounts and orders by the calendar and by hand, with nothing of the ledger."""
    sums: Sums = {}
    for fact in facts:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=fact.at_ms)
        is_in = (span.start is None or span.start <= at) and (span.end is None or at < span.end)
        if not is_in or fact.position > position:
            continue
        day = at.date().toordinal() - date(1970, 1, 1).toordinal()
        for product, units, amount in fact.lines:
            key = {"day": day, "product": product, "customer": fact.customer}[kind]
            sold, came_to, _ = entry = sums.setdefault(key, [0, 0, 0])
            entry[0], entry[1] = sold + fact.sign * units, came_to + fact.sign * amount
            # An order counts once for each of its products, but once for its day and customer.
            is_counted = kind == "product" or product == fact.lines[0][0]
            entry[2] += fact.sign if is_counted else 0
    return {key: entry for key, entry in sums.items() if entry[2] != 0}


def moment(dice: random.Random, facts: list[Fact]) -> datetime | None:
    """Return nothing, a midnight, the very time of a sale, or a microsecond beside it."""
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=dice.choice(facts).at_ms)
    beside = at + timedelta(microseconds=dice.choice([-1, 0, 1, 1000]))
    return dice.choice([None, START + timedelta(days=dice.randint(-1, 11)), beside])


@pytest.mark.parametrize("seed", [1, 2])
def test_any_range_as_of_any_position_equals_a_plain_fold(
    database: Database[Any], settings: Settings, seed: int
) -> None:
    dice = random.Random(seed)
    facts = make_facts(dice, 300)
    place = write_all(database, facts, dice)
    kept = [f for leaf in database["ledger"].find({}) for f in facts_of_leaf(leaf)]
    assert sorted(kept, key=lambda fact: fact.position) == facts

    async def compare() -> None:
        client: AsyncMongoClient[Any] = AsyncMongoClient(settings.mongodb_uri, tz_aware=True)
        try:
            for _ in range(120):
                span = Range(moment(dice, facts), moment(dice, facts))
                position = dice.choice([len(facts), dice.randint(1, len(facts))])
                view = View(client[database_name(settings)], replace(place, position=position))
                for kind in KINDS:
                    found = await ledger_sums.sums(view, kind, span)
                    assert found == plain(facts, kind, span, position), (span, position)
        finally:
            await client.close()

    asyncio.run(compare())


def test_a_paused_twin_adds_nothing(database: Database[Any]) -> None:
    facts = make_facts(random.Random(3), 8)
    first, twin = new_writer(database), new_writer(database)
    first.write(facts[:2])
    with pytest.raises(Fenced):
        twin.write(facts[:1])
    first.write(facts[2:])
    again = new_writer(database)
    again.write(facts)
    kept = [f for leaf in database["ledger"].find({}) for f in facts_of_leaf(leaf)]
    assert sorted(kept, key=lambda fact: fact.position) == facts


def test_a_fact_that_waited_as_a_dead_letter_is_added_late_and_once(
    database: Database[Any],
) -> None:
    facts = make_facts(random.Random(4), 8)
    writer = new_writer(database)
    writer.write(facts[:3] + facts[4:])
    writer.write([facts[3]], are_late=True)
    new_writer(database).write([facts[3]], are_late=True)
    kept = [f for leaf in database["ledger"].find({}) for f in facts_of_leaf(leaf)]
    assert sorted(kept, key=lambda fact: fact.position) == facts


def test_a_leaf_that_fills_while_verify_reads_is_no_difference(
    database: Database[Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = make_facts(random.Random(6), 9)
    writer, done = new_writer(database), 1
    writer.write(facts[:done])
    database["checkpoints"].insert_one({"_id": 0, "leaf": 0})
    read = Ledger._read

    async def meanwhile(self: Ledger, lane: int, leaf: int) -> Any:
        nonlocal done
        writer.write(facts[done : done + 2])
        done = min(len(facts), done + 2)
        database["checkpoints"].update_one({"_id": 0}, {"$set": {"leaf": writer.leaf}})
        return await read(self, lane, leaf)

    monkeypatch.setattr(Ledger, "_read", meanwhile)

    async def compare() -> Report:
        client: AsyncMongoClient[Any] = AsyncMongoClient(settings.mongodb_uri, tz_aware=True)
        report = Report()
        try:
            await Ledger(client[database_name(settings)], report, 0, 1).finish()
        finally:
            await client.close()
        return report

    report = asyncio.run(compare())
    assert writer.leaf > 1, "no leaf was filled meanwhile"
    assert report.differences == []
