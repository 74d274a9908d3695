"""Recovers a log that lost events which Kafka has: appends again what can be, names the rest.

One transaction appends the events, begins the log's next history and lets commands go on: killed
before its commit, nothing was done. What comes after it (MongoDB learns of the history, and gets a
read model of this log) is done by the same command, run again.
Next: upkeep/lost_events.py
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka import KafkaException

from storelog import postgres
from storelog.command_service import store
from storelog.config import Settings
from storelog.envelope import format_time
from storelog.errors import CannotRun
from storelog.kafka import kafka_failure
from storelog.log_history import ALL, CURRENT, LogHistory
from storelog.origin import Origin
from storelog.reasons import reason
from storelog.relay import cursor
from storelog.sequences import raise_behind
from storelog.server_setup import set_up_servers
from storelog.upkeep.append_again import Appended, append_again
from storelog.upkeep.lost_events import LostEvent, find_lost
from storelog.upkeep.rebuild import rebuild
from storelog.upkeep.service_connections import end_connections
from storelog.upkeep.sources import Progress

_BEGIN = """INSERT INTO log_histories (number, history, began_after)
    SELECT max(number) + 1, gen_random_uuid(), $1 FROM log_histories"""
_GO_ON = "UPDATE relay_cursor SET ahead_position = NULL, ahead_at = NULL, epoch = epoch + 1"
_SESSION = {"application_name": "storelog recover", "jit": "off", **cursor.KEEPALIVES}


@dataclass(frozen=True, slots=True)
class Recovered:
    """`began_after`: up to there the log was the one that Kafka has; `lost`: each lost event."""

    history: str
    began_after: int
    lost: list[dict[str, Any]]

    def facts(self) -> dict[str, Any]:
        """Return what is said of it as JSON."""
        again = sum(each["newPosition"] is not None for each in self.lost)
        return {
            "history": self.history,
            "beganAfter": self.began_after,
            "appendedAgain": again,
            "left": len(self.lost) - again,
            "lost": self.lost,
        }


async def recover(settings: Settings, report: Path, progress: Progress) -> Recovered:
    """Recover; write what was lost to `report`, before anything is changed. Raises CannotRun."""
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
            # A service that was sent nothing meanwhile would go on giving out the history before.
            await end_connections(connection)
            await raise_behind(connection)
            await set_up_servers(settings)
            await rebuild(settings, "log", progress, promote=True)
            return done
        finally:
            connection.terminate()
    except (store.Conflicted, store.IdsTaken) as error:
        raise CannotRun("somebody else wrote meanwhile, nothing was done: run it again") from error
    except KafkaException as error:
        raise CannotRun(kafka_failure(error)) from error
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error


async def _recover_log(
    connection: asyncpg.Connection, settings: Settings, report: Path
) -> Recovered:
    histories = [LogHistory(*row) for row in await connection.fetch(ALL)]
    proven_from = await connection.fetchval("SELECT proven_from FROM relay_cursor")
    origin = Origin("", proven_from, histories)
    common, lost = await find_lost(connection, settings, origin)
    if not lost:
        return Recovered(histories[-1].id, histories[-1].began_after, [])
    async with store.head_locked(connection) as held:
        # The trigger lets nothing be appended before.
        await connection.execute(_GO_ON)
        await connection.execute(_BEGIN, common)
        appended = await append_again(connection, held, common, lost)
        history = await connection.fetchval(f"SELECT {CURRENT}")
        done = Recovered(history, common, _told(lost, appended))
        _keep(report, done)
    return done


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
            "payload": json.loads(each.envelope.payload),
            "newPosition": appended.positions.get(each.envelope.position),
            "reason": appended.left.get(each.envelope.position),
        }
        for each in lost
    ]


def _keep(report: Path, done: Recovered) -> None:
    """Write the report anew. Raises CannotRun, also where the file is there already."""
    try:
        with report.open("x", encoding="utf-8") as file:
            json.dump(done.facts(), file, ensure_ascii=False, indent=2)
    except FileExistsError as error:
        raise CannotRun(f"{report} is there already: name another file by --report") from error
    except OSError as error:
        raise CannotRun(f"{report}: {error.strerror}") from error
