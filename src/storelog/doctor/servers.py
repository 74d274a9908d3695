"""Checks the servers that settings name, and the four processes: versions, reachability, set-up.

Next: cli/doctor.py
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storelog import migrations, postgres
from storelog.api_keys import COLLECTION as KEYS
from storelog.config import Settings
from storelog.doctor.check import Finding, ok, problem, warning
from storelog.errors import CannotRun
from storelog.kafka import client_settings, event_topics, kafka_reason, metadata, watermark_topic
from storelog.key_sets import BOTH, of_documents
from storelog.lag import Lag, read_lag
from storelog.local.program import last_error
from storelog.local.read_side_watch import LOG_BEHIND, troubles
from storelog.local.servers import PROCESSES, why_not_ready
from storelog.projector.databases.connection import pointer_of
from storelog.projector.databases.shapes import read_shapes
from storelog.read_models.shapes import to_do
from storelog.read_side import database_name, mongodb_uri
from storelog.reasons import reason
from storelog.relay.topic_settings import judge, read_configs
from storelog.sequences import find_behind
from storelog.setting_types import mask_url
from storelog.web.clock import WRONG_SECONDS

SECONDS = 5.0
LATE_SECONDS = 30.0
SLOW = (
    "MongoDB is too slow or rejects a write: look at its load and disk and at logs/projector.log;"
    " batches get smaller by themselves (docs/runbook.md)"
)
OLDEST_POSTGRES, OLDEST_MONGODB = 14, 6
_LOG_AHEAD = """SELECT coalesce(
    extract(epoch FROM nullif(recorded_at, '-infinity') - clock_timestamp()), 0)::float8
    FROM log_head"""


def check_servers(
    settings: Settings,
    *,
    is_up: bool,
    versions: Mapping[str, str] | None = None,
    logs: Path | None = None,
) -> list[Finding]:
    """Check each server that a setting names, and the processes if `up` runs them.

    `versions`: those of the servers that `up` has started, by their names in SERVERS.
    `logs`: where it keeps the logs of the processes.
    """
    findings = [
        finding for finding in look_at(settings, versions or {}).values() if finding is not None
    ]
    if not is_up:
        return [*findings, *_lacking(settings)]
    return [*findings, *_processes(settings, logs), *check_read_side(settings)]


def look_at(settings: Settings, versions: Mapping[str, str]) -> dict[str, Finding | None]:
    """Return the finding of each of SERVERS, None for one that no setting names.

    Checks them all at once, so that it takes no longer than the deadline of the slowest.
    """
    named: dict[str, tuple[str | None, Callable[[Settings, str], Finding]]] = {
        "postgresql": (settings.postgres_url, check_postgres),
        "kafka": (settings.kafka_bootstrap_servers, check_kafka),
        "mongodb": (settings.mongodb_uri, check_mongodb),
    }
    found: dict[str, Finding | None] = dict.fromkeys(named)
    with ThreadPoolExecutor(len(named)) as pool:
        running = {
            name: pool.submit(check, settings, versions.get(name, ""))
            for name, (address, check) in named.items()
            if address is not None
        }
        for name, each in running.items():
            found[name] = each.result()
    return found


def check_postgres(settings: Settings, known_version: str = "") -> Finding:
    """Check PostgreSQL: reachable, new enough, a primary, in UTF8, migrated, sequences."""
    where = mask_url(settings.postgres_url or "")
    try:
        row = asyncio.run(_read_postgres(settings.postgres_url or ""))
    except postgres.FAILURES as error:
        advice = "start it, or correct STORELOG_POSTGRES_URL (host, port, user, password, database)"
        return problem("PostgreSQL", f"{where}: {reason(error)}", advice)
    release = known_version or str(row["version"]).partition(" ")[0]
    found = f"{release} at {where}"
    if row["number"] // 10_000 < OLDEST_POSTGRES:
        return problem("PostgreSQL", found, f"use PostgreSQL {OLDEST_POSTGRES} or newer")
    if row["is_replica"]:
        return problem("PostgreSQL", f"{found}: a replica", "name the primary, which takes writes")
    if row["is_read_only"]:
        advice = "reset default_transaction_read_only of the server, the role and the database"
        return problem("PostgreSQL", f"{found}: read-only", advice)
    if row["encoding"] != migrations.ENCODING:
        found = f"{found}: the database has the encoding {row['encoding']}"
        return problem("PostgreSQL", found, migrations.ENCODING_ADVICE)
    missing = [name for name in migrations.names() if name not in row["applied"]]
    if missing:
        return problem("PostgreSQL", f"{found}: not migrated", "run `storelog migrate`")
    if row["behind"]:
        found = f"{found}: {row['behind'][0].sequence} is behind its table's largest id"
        return problem("PostgreSQL", found, "run `storelog migrate`, which raises it")
    wrong = _wrong_clocks(row)
    if wrong:
        advice = "keep the clocks right (NTP); all times in the log are PostgreSQL's"
        finding = warning("PostgreSQL", f"{found}, migrated; {'; '.join(wrong)}", advice)
        return replace(finding, version=release)
    return replace(ok("PostgreSQL", f"{found}, migrated"), version=release)


def _wrong_clocks(row: dict[str, Any]) -> list[str]:
    wrong = []
    if abs(row["clock_ahead"]) > WRONG_SECONDS:
        how = "ahead of" if row["clock_ahead"] > 0 else "behind"
        wrong.append(f"this machine's clock is {abs(row['clock_ahead']):.1f} s {how} PostgreSQL's")
    if row["log_ahead"] > WRONG_SECONDS:
        wrong.append(f"the log's last event is {row['log_ahead']:.1f} s ahead of that clock")
    return wrong


async def _read_postgres(url: str) -> dict[str, Any]:
    connection = await postgres.connect(
        url, timeout=SECONDS, command_timeout=SECONDS, is_writing=False
    )
    try:
        row = await connection.fetchrow(
            "SELECT current_setting('server_version') AS version,"
            " current_setting('server_version_num')::integer AS number,"
            " pg_is_in_recovery() AS is_replica,"
            " current_setting('transaction_read_only')::boolean AS is_read_only,"
            " current_setting('server_encoding') AS encoding,"
            " to_regclass('schema_migrations') IS NOT NULL AS is_migrated,"
            " to_regclass('log_head') IS NOT NULL AS has_log"
        )
        applied, behind = [], []
        if row["is_migrated"]:
            applied = await connection.fetch("SELECT name FROM schema_migrations")
        names = {entry["name"] for entry in applied}
        if names.issuperset(migrations.names()):
            behind = await find_behind(connection)
        before = time.time()
        at = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        # PostgreSQL read its clock at some moment of the round trip.
        facts = {"clock_ahead": max(0.0, before - at) or min(0.0, time.time() - at)}
        facts["log_ahead"] = await connection.fetchval(_LOG_AHEAD) if row["has_log"] else 0.0
        return {**row, **facts, "applied": names, "behind": behind}
    finally:
        connection.terminate()


def check_kafka(settings: Settings, known_version: str = "") -> Finding:
    """Check Kafka: reachable, enough brokers, the topics there with one partition a lane."""
    where = settings.kafka_bootstrap_servers or ""
    try:
        admin = AdminClient({**client_settings(settings), "log_level": 0})
        known = metadata(admin, SECONDS)
    except KafkaException as error:
        advice = (
            "start it, or correct STORELOG_KAFKA_BOOTSTRAP_SERVERS and the SASL and SSL settings"
        )
        return problem("Kafka", f"{where}: {kafka_reason(error)}", advice)
    brokers = len(known.brokers)
    found = f"{brokers} broker{'s' if brokers > 1 else ''} at {where}"
    found = f"{known_version}, {found}" if known_version else found
    topics = [*event_topics(settings), watermark_topic(settings)]
    missing = [name for name in topics if name not in known.topics]
    if missing:
        advice = "run `storelog migrate`, or make them with Kafka's own tools"
        return problem("Kafka", f"{found}: {len(missing)} topics missing ({missing[0]})", advice)
    lanes = {len(known.topics[name].partitions) for name in topics}
    if len(lanes) > 1:
        advice = "all ten topics need the same number of partitions: see `storelog lanes`"
        return problem("Kafka", f"{found}: partitions differ", advice)
    try:
        events = event_topics(settings)
        judged = judge(events, read_configs(admin, events), known)
    except KafkaException as error:
        return problem(
            "Kafka", f"{found}: {kafka_reason(error)}", "check the broker and the account's rights"
        )
    if judged.errors:
        return problem("Kafka", found, "; ".join(judged.errors))
    if judged.warnings:
        return warning("Kafka", found, "; ".join(judged.warnings))
    return replace(ok("Kafka", f"{found}, {lanes.pop()} lanes"), version=known_version)


def check_mongodb(settings: Settings, known_version: str = "") -> Finding:
    """Check MongoDB: reachable, new enough, indexes there."""
    where = mask_url(settings.mongodb_uri or "")
    milliseconds = int(SECONDS * 1000)
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(
            mongodb_uri(settings),
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        )
        try:
            version = str(client.admin.command("buildInfo")["version"])
            home = client[database_name(settings)]
            active = client[pointer_of(home).database]
            indexes = active["orders"].index_information()
            advice = to_do(read_shapes(active))
            has_keys = of_documents(home[KEYS].find(BOTH)) is not None
        finally:
            client.close()
    except (PyMongoError, CannotRun) as error:
        advice = (
            "start it, or correct STORELOG_MONGODB_URI (host, user, password, TLS, allowed hosts)"
        )
        return problem("MongoDB", f"{where}: {reason(error)}", advice)
    release = known_version or version
    found = f"{release} at {where}"
    if int(version.split(".")[0]) < OLDEST_MONGODB:
        return problem("MongoDB", found, f"use MongoDB {OLDEST_MONGODB} or newer")
    # Every collection has an index on `_id`; only a migrated one has more.
    if len(indexes) < 2:
        return problem("MongoDB", f"{found}: no indexes", "run `storelog migrate`")
    if not has_keys:
        lacking = f"{found}: no set of API keys with a valid signature"
        return problem("MongoDB", lacking, "run `storelog migrate`")
    if advice is not None:
        finding = warning("MongoDB", f"{found}, with indexes", advice)
        return replace(finding, version=release)
    return replace(ok("MongoDB", f"{found}, with indexes"), version=release)


def check_read_side(settings: Settings) -> list[Finding]:
    """Check how far behind the read side is, and what it lacks."""
    try:
        lag = asyncio.run(read_lag(settings))
    except CannotRun as error:
        advice = "first start the server that is away"
        return [warning("read side", f"not known: {error}", advice)]
    return [_check_lag(settings, lag), *_as_warnings(lag)]


def _lacking(settings: Settings) -> list[Finding]:
    """Return what the read side lacks, if both PostgreSQL and MongoDB are named and reachable."""
    if settings.postgres_url is None or settings.mongodb_uri is None:
        return []
    try:
        return _as_warnings(asyncio.run(read_lag(settings)))
    except CannotRun:
        return []


def _as_warnings(lag: Lag) -> list[Finding]:
    return [
        (problem if kind == LOG_BEHIND else warning)(kind, *what.split(": ", 1))
        for kind, what in sorted(troubles(lag).items())
    ]


def _check_lag(settings: Settings, lag: Lag) -> Finding:
    found = f"{lag.events_behind} events and {lag.seconds_behind:.1f} s behind"
    standing = (why_not_ready(settings.projector_url or "") or "") if lag.events_behind else ""
    # Lag alone may be load; a projector that stands still says so itself.
    if "has not moved" in standing:
        return problem("read side", f"{found}: {standing}", SLOW)
    if lag.seconds_behind > LATE_SECONDS:
        return warning("read side", found, f"look again; if it grows: {SLOW}")
    return ok("read side", found)


def _processes(settings: Settings, logs: Path | None) -> list[Finding]:
    urls = (settings.command_url, settings.relay_url, settings.projector_url, settings.query_url)
    findings = []
    for name, url in zip(PROCESSES, urls, strict=True):
        reason = why_not_ready(url or "")
        if reason is None:
            findings.append(ok(name, f"ready at {url}"))
            continue
        error = None if logs is None else last_error(logs / f"{name}.log")
        advice = error or f"look at logs/{name}.log in the data directory"
        findings.append(problem(name, f"not ready at {url}: {reason}", advice))
    return findings
