"""Recovers a log that lost events which Kafka still has: appends those that it can, lists the rest.

One transaction appends the events, begins the log's next history and lets commands go on; if the
process is killed before the commit, nothing has changed. The steps after it (closing anchors,
recording the history in MongoDB, rebuilding the read model) can be repeated by running it again.
Next: upkeep/lost_events.py
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka import KafkaException

from storelog import postgres
from storelog.command_service import log_head, store
from storelog.config import Settings
from storelog.envelope import format_time
from storelog.errors import CannotRun
from storelog.kafka import kafka_failure
from storelog.log_history import CURRENT, Histories, number_of
from storelog.reasons import reason
from storelog.relay import cursor
from storelog.sequences import raise_behind
from storelog.server_setup import set_up_servers
from storelog.upkeep.append_again import Appended, append_again
from storelog.upkeep.closed_anchors import close_lost
from storelog.upkeep.lost_events import LostEvent, find_lost
from storelog.upkeep.rebuild import rebuild
from storelog.upkeep.service_connections import end_connections
from storelog.upkeep.sources import Progress
from storelog.verify.anchor import Anchor

_BEGIN = """INSERT INTO log_histories (number, history, began_after)
    SELECT max(number) + 1, coalesce($2::uuid, gen_random_uuid()), $1 FROM log_histories"""
_GO_ON = "UPDATE relay_cursor SET ahead_position = NULL, ahead_at = NULL, epoch = epoch + 1"
_SESSION = {"application_name": "storelog recover", "jit": "off", **cursor.KEEPALIVES}


@dataclass(frozen=True, slots=True)
class Recovered:
    """The outcome of a recovery.

    `began_after`: the last position at which the log and Kafka agree; `lost`: each lost event;
    `closed_anchors`: positions of the signed heads that were closed, None without an anchor file.
    """

    history: str
    began_after: int
    lost: list[dict[str, Any]]
    closed_anchors: list[int] | None = None

    def facts(self) -> dict[str, Any]:
        """Return the outcome as JSON."""
        again = sum(each["newPosition"] is not None for each in self.lost)
        closed = {} if self.closed_anchors is None else {"closedAnchors": self.closed_anchors}
        return {
            "history": self.history,
            "beganAfter": self.began_after,
            "appendedAgain": again,
            "left": len(self.lost) - again,
            "lost": self.lost,
            **closed,
        }


async def recover(
    settings: Settings, report: Path, progress: Progress, anchor: Anchor | None = None
) -> Recovered:
    """Recover the log; write the lost events to `report` first. Raises CannotRun.

    `anchor`: a file of signed heads; the heads of the abandoned history are closed in it.
    """
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    try:
        connection = await postgres.connect(
            settings.postgres_url, timeout=5, command_timeout=60, server_settings=_SESSION
        )
        try:
            if not await cursor.lead(connection):
                raise CannotRun("a relay is active: stop the relays, and run this again")
            done = await _recover_log(connection, settings, report)
            if anchor is not None:
                closed = await close_lost(connection, settings, anchor)
                done = replace(done, closed_anchors=closed)
            # A service without requests meanwhile would keep the old history in memory and send it.
            await end_connections(connection)
            await raise_behind(connection)
            await set_up_servers(settings)
            await rebuild(settings, "log", progress, promote=True)
            return done
        finally:
            connection.terminate()
    except (log_head.Conflicted, store.IdsTaken) as error:
        raise CannotRun(
            "another process wrote to the log at the same time, nothing was changed: run it again"
        ) from error
    except KafkaException as error:
        raise CannotRun(kafka_failure(error)) from error
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error


async def _recover_log(
    connection: asyncpg.Connection, settings: Settings, report: Path
) -> Recovered:
    origin = await cursor.read_origin(connection)
    histories = origin.histories
    common, lost = await find_lost(connection, settings, origin)
    if not lost:
        if await connection.fetchval("SELECT ahead_position FROM relay_cursor") is not None:
            raise CannotRun(
                "Kafka has no event that this log lacks: start a relay, which compares them again."
                " Events that it still reports belong to another shop"
            )
        return Recovered(histories[-1].id, histories[-1].began_after, [])
    async with log_head.head_locked(connection) as held:
        # First, since the trigger rejects every append while the log is behind Kafka.
        await connection.execute(_GO_ON)
        for history in [*_unknown(lost, histories), None]:
            await connection.execute(_BEGIN, common, history)
        appended = await append_again(connection, held, common, lost)
        history = await connection.fetchval(f"SELECT {CURRENT}")
        done = Recovered(history, common, _told(lost, appended))
        _keep(report, done)
    return done


def _unknown(lost: Sequence[LostEvent], histories: Histories) -> list[str]:
    """Return the histories that the log lost together with their events, oldest first."""
    named = dict.fromkeys(each.history for each in lost)
    return [each for each in named if each is not None and number_of(histories, each) is None]


def _told(lost: Sequence[LostEvent], appended: Appended) -> list[dict[str, Any]]:
    return [
        {
            "position": each.envelope.position,
            "eventId": str(each.envelope.event_id),
            "eventType": each.envelope.event_type,
            "aggregate": each.envelope.aggregate,
            "version": each.envelope.version,
            "occurredAt": format_time(each.envelope.occurred_at),
            "caller": each.envelope.caller,
            "correlationId": each.envelope.correlation_id,
            "idempotencyKey": each.envelope.causation_id,
            "payload": json.loads(each.envelope.payload),
            "newPosition": appended.positions.get(each.envelope.position),
            "reason": appended.left.get(each.envelope.position),
        }
        for each in lost
    ]


def _keep(report: Path, done: Recovered) -> None:
    """Write the report to a new file. Raises CannotRun, also if the file exists."""
    try:
        with report.open("x", encoding="utf-8") as file:
            json.dump(done.facts(), file, ensure_ascii=False, indent=2)
    except FileExistsError as error:
        raise CannotRun(f"{report} is there already: name another file by --report") from error
    except OSError as error:
        raise CannotRun(f"{report}: {error.strerror}") from error
