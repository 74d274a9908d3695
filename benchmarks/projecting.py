"""How fast does the projector fold a backlog? Against the same bulk writes alone.

The ceiling: the commands that the folds send to MongoDB are recorded once, and then sent again, as
they are, to an empty database with the same indexes: no Kafka, no reading, no folding.
"""

import asyncio
import threading
import time
from contextlib import nullcontext
from typing import Any

import asyncpg
import psutil
from bson.codec_options import CodecOptions
from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.monitoring import CommandListener, CommandStartedEvent

from benchmarks.figures import Figure, Report
from benchmarks.stage import MIB, Stage
from storelog.config import Settings
from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row
from storelog.event_codec import lane_of_event
from storelog.projector.batch import MAX_EVENTS, Batch
from storelog.projector.change import change_of_event
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.database import make_indexes
from storelog.projector.folding import Folding
from storelog.read_side import database_name
from support.embedded import new_settings
from support.system import System

SAMPLE = 20_000
LANES = 3
WAIT_SECONDS = 600.0
WRITES = ("insert", "update", "delete")
Document = dict[str, Any]


def measure(report: Report, stage: Stage, system: System) -> None:
    """Project what is in Kafka; the relay has sent all of it."""
    total = system.written()
    system.start("projector")
    system.start("query-service")
    system.wait_ready("query-service")
    # From the first position that is seen: the start of a process is not measured here.
    first, began, peak = 0, 0.0, 0.0
    give_up_at = time.monotonic() + WAIT_SECONDS
    while (position := _projected(system)) < total:
        assert time.monotonic() < give_up_at, f"the projector is at {position} of {total}"
        if position and not first:
            first, began = position, time.monotonic()
        peak = max(peak, psutil.Process(system.pid("projector")).memory_info().rss / MIB)
        threading.Event().wait(0.1)
    rate = (total - first) / (time.monotonic() - began)
    events = asyncio.run(_sample(system))
    recorded = _record(new_settings(stage.servers), events)
    seconds = _replay(new_settings(stage.servers), recorded)
    ceiling = len(events) / seconds
    what = f"a backlog of {total:,} events"
    of = "/s, the same bulk writes alone"
    report.add(
        Figure("projector", what, rate, "events/s", 0.7 * ceiling, ceiling=ceiling, ceiling_of=of),
        Figure("projector", "memory at most", peak, "MiB", 150, True),
    )


def _projected(system: System) -> int:
    return system.queries.get("/analytics/total-sales").position


async def _sample(system: System) -> list[Envelope]:
    connection = await asyncpg.connect(system.settings.postgres_url)
    rows = await connection.fetch(
        f"SELECT {EVENT_COLUMNS} FROM events ORDER BY position LIMIT {SAMPLE}"
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


def _record(settings: Settings, events: list[Envelope]) -> list[list[Document]]:
    """Fold the events into an empty database; return the commands that write, by batch."""
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
    batch = Batch(database, places)
    lanes = [Folding(database, place.lane, place.bounds, batch) for place in places]
    recorder.commands = []
    batches = []
    for start in range(0, len(events), MAX_EVENTS):
        for event in events[start : start + MAX_EVENTS]:
            lane = lane_of_event(event.aggregate_type, event.aggregate, event.payload, LANES)
            lanes[lane].fold_next(change_of_event(event))
        for folding in lanes:
            folding.write(folding.take())
        batches.append(recorder.commands)
        recorder.commands = []
    client.close()
    return batches


def _replay(settings: Settings, batches: list[list[Document]]) -> float:
    """Send the commands to an empty database with the same indexes; return the seconds."""
    client: MongoClient[Document] = MongoClient(settings.mongodb_uri, retryWrites=False)
    concern = WriteConcern(w="majority", j=True)
    database = client.get_database(database_name(settings), write_concern=concern)
    make_indexes(database)
    began = time.monotonic()
    with client.start_session() as session:
        for number, commands in enumerate(batches):
            # As the projector does: all but the first batch in one transaction each.
            in_one = session.start_transaction() if number else nullcontext()
            with in_one:
                for command in commands:
                    _send(database, command, session if number else None)
    seconds = time.monotonic() - began
    client.close()
    return seconds


def _send(database: Database[Document], command: Document, session: ClientSession | None) -> None:
    if session is not None:
        # A transaction has one write concern, for all of it.
        command = {name: value for name, value in command.items() if name != "writeConcern"}
    answer = database.command(command, session=session)
    assert not answer.get("writeErrors"), answer
