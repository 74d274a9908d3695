"""How fast does the projector fold a backlog? Against the same bulk writes alone.

The ceiling: the commands that the folds send to MongoDB are recorded once, and then sent again, as
they are, to an empty database with the same indexes: no Kafka, no reading, no folding. A second one
inserts the documents as they are in the end, in bulk: what no projection of events can reach, since
each of a product's sales changes it.
"""

import asyncio
import time
from typing import Any

import asyncpg
from bson.codec_options import CodecOptions
from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.monitoring import CommandListener, CommandStartedEvent

from benchmarks.figures import Figure, Report
from benchmarks.shop import CUSTOMERS, PRODUCTS
from benchmarks.stage import Stage, backlog_rate
from storelog.config import Settings
from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row
from storelog.event_codec import lane_of_event
from storelog.projector.batch import MAX_EVENTS, Batch
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.databases.connection import make_indexes
from storelog.projector.databases.kept import COLLECTIONS
from storelog.projector.databases.shapes import filled_models
from storelog.projector.fold.lane_fold import LaneFold
from storelog.projector.write.batch_writer import BatchWriter
from storelog.read_models.change import change_of_event
from storelog.read_models.shapes import SHAPES
from storelog.read_side import database_name
from support.embedded import new_settings
from support.system import System

SAMPLE = 12_000
SHOP = CUSTOMERS + PRODUCTS
LANES = 3
WAIT_SECONDS = 600.0
WRITES = ("insert", "update", "delete")
Document = dict[str, Any]
Batches = list[list[Document]]


def measure(report: Report, stage: Stage, system: System) -> None:
    """Project what is in Kafka; the relay has sent all of it."""
    total = system.written()
    system.start("projector")
    system.start("query-service")
    system.wait_ready("query-service")
    with stage.using(system) as use:
        rate = backlog_rate(lambda: projected(system), total, WAIT_SECONDS)
    report.note_use("a backlog is projected", use.cpu_percent, use.memory_mb)
    with stage.paused(system, "projector", "query-service", "relay"):
        events = asyncio.run(_sample(system))
        filled = new_settings(stage.servers)
        recorded = _record(filled, events)
        sampled = len(events) - SHOP
        ceiling = sampled / _replay(new_settings(stage.servers), *recorded)
        inserts = len(events) / _insert_all(filled, new_settings(stage.servers))
    what = f"a backlog of {total:,} events"
    of = "/s, the same bulk writes alone"
    report.add(
        Figure("projector", what, rate, "events/s", 0.7 * ceiling, ceiling=ceiling, ceiling_of=of),
        Figure("projector", "plain inserts of the documents in the end", inserts, "events/s"),
    )


def projected(system: System) -> int:
    """Return up to which position the read model is right; 0 where that cannot be read now."""
    reply = system.queries.get("/analytics/total-sales")
    return reply.position if reply.status == 200 else 0


async def _sample(system: System) -> list[Envelope]:
    connection = await asyncpg.connect(system.settings.postgres_url)
    rows = await connection.fetch(
        f"SELECT {EVENT_COLUMNS} FROM events ORDER BY position LIMIT $1", SHOP + SAMPLE
    )
    await connection.close()
    return [envelope_from_row(row) for row in rows]


class _Recorder(CommandListener):
    def __init__(self) -> None:
        self.commands: list[Document] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in WRITES:
            private = ("lsid", "$db", "$clusterTime", "txnNumber")
            self.commands.append({k: v for k, v in event.command.items() if k not in private})

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


def _record(settings: Settings, events: list[Envelope]) -> tuple[Batches, Batches]:
    """Fold the events into an empty database; return the commands that write, by batch.

    First those of the customers and products that were there before all orders.
    """
    recorder = _Recorder()
    client: MongoClient[Document] = MongoClient(
        settings.mongodb_uri, event_listeners=[recorder], retryWrites=False
    )
    database = client.get_database(
        database_name(settings),
        codec_options=CodecOptions(tz_aware=True),
        write_concern=WriteConcern(w="majority", j=True),
    )
    make_indexes(database)
    places = [Checkpoint(lane) for lane in range(LANES)]
    models = filled_models(database)
    folds = [LaneFold(database, each.lane, each.bounds, models, "") for each in places]
    writer = BatchWriter(database, places, models)

    def fold(some: list[Envelope]) -> Batches:
        batches = []
        for start in range(0, len(some), MAX_EVENTS):
            recorder.commands, batch = [], Batch()
            for event in some[start : start + MAX_EVENTS]:
                lane = lane_of_event(event.aggregate_type, event.aggregate, event.payload, LANES)
                folds[lane].fold_next(batch, change_of_event(event))
            writer.write_events(batch)
            batches.append(recorder.commands)
        return batches

    recorded = fold(events[:SHOP]), fold(events[SHOP:])
    client.close()
    return recorded


def _replay(settings: Settings, shop: Batches, batches: Batches) -> float:
    """Send the commands to an empty database with the same indexes.

    Returns the seconds for those after the shop's.
    """
    client: MongoClient[Document] = MongoClient(settings.mongodb_uri, retryWrites=False)
    concern = WriteConcern(w="majority", j=True)
    database = client.get_database(database_name(settings), write_concern=concern)
    make_indexes(database)
    for commands in shop:
        for command in commands:
            _send(database, command, None)
    began = time.monotonic()
    with client.start_session() as session:
        for commands in batches:
            # As the projector does.
            with session.start_transaction():
                for command in commands:
                    _send(database, command, session)
    seconds = time.monotonic() - began
    client.close()
    return seconds


def _send(database: Database[Document], command: Document, session: ClientSession | None) -> None:
    if session is not None:
        # A transaction has one write concern, for all of it.
        command = {name: value for name, value in command.items() if name != "writeConcern"}
    answer = database.command(command, session=session)
    assert not answer.get("writeErrors"), answer


def _insert_all(filled: Settings, empty: Settings) -> float:
    """Insert all documents of a read model into an empty one with the same indexes, in bulk.

    Its shapes are there already, and what is no document of projection stays where it is.
    """
    client: MongoClient[Document] = MongoClient(filled.mongodb_uri, retryWrites=False)
    source = client.get_database(database_name(filled))
    concern = WriteConcern(w="majority", j=True)
    target = client.get_database(database_name(empty), write_concern=concern)
    make_indexes(target)
    seconds = 0.0
    for name in COLLECTIONS:
        if name == SHAPES:
            continue
        documents = list(source[name].find({}))
        began = time.monotonic()
        for start in range(0, len(documents), MAX_EVENTS):
            target[name].insert_many(documents[start : start + MAX_EVENTS], ordered=False)
        seconds += time.monotonic() - began
    client.close()
    return seconds
