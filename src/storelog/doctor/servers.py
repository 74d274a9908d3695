"""The servers that settings name, and the four processes: version, reachability, what is missing.

Next: cli/doctor.py
"""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storelog import migrations
from storelog.config import Settings
from storelog.doctor.check import Finding, ok, problem, warning
from storelog.kafka import MAX_RECORD_BYTES, client_settings, event_topics, watermark_topic
from storelog.local.servers import PROCESSES, is_ready
from storelog.read_side import database_name
from storelog.relay.topics import too_small
from storelog.setting_types import mask_url

SECONDS = 5.0
OLDEST_POSTGRES, OLDEST_MONGODB = 14, 6


def check_servers(settings: Settings, *, is_up: bool) -> list[Finding]:
    """Look at each server that is named, and at the processes where `up` runs them."""
    findings = []
    named: list[tuple[str | None, Callable[[Settings], Finding]]] = [
        (settings.postgres_url, check_postgres),
        (settings.kafka_bootstrap_servers, check_kafka),
        (settings.mongodb_uri, check_mongodb),
    ]
    for address, check in named:
        if address is not None:
            findings.append(check(settings))
    return [*findings, *_processes(settings)] if is_up else findings


def check_postgres(settings: Settings) -> Finding:
    """Look at PostgreSQL: reachable, new enough, a primary, in UTF-8, migrated."""
    where = mask_url(settings.postgres_url or "")
    try:
        row = asyncio.run(_ask_postgres(settings.postgres_url or ""))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        advice = "start it, or mend STORELOG_POSTGRES_URL (host, port, user, password, database)"
        return problem("PostgreSQL", f"{where}: {error or type(error).__name__}", advice)
    found = f"{row['version']} at {where}"
    if row["number"] // 10_000 < OLDEST_POSTGRES:
        return problem("PostgreSQL", found, f"use PostgreSQL {OLDEST_POSTGRES} or newer")
    if row["is_replica"]:
        return problem("PostgreSQL", f"{found}: a replica", "name the primary: it is written to")
    if row["encoding"] != migrations.ENCODING:
        found = f"{found}: the database has the encoding {row['encoding']}"
        return problem("PostgreSQL", found, migrations.ENCODING_ADVICE)
    missing = [name for name in migrations.names() if name not in row["applied"]]
    if missing:
        return problem("PostgreSQL", f"{found}: not migrated", "run `storelog migrate`")
    return ok("PostgreSQL", f"{found}, migrated")


async def _ask_postgres(url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(url, timeout=SECONDS, command_timeout=SECONDS)
    try:
        row = await connection.fetchrow(
            "SELECT current_setting('server_version') AS version,"
            " current_setting('server_version_num')::integer AS number,"
            " pg_is_in_recovery() AS is_replica,"
            " current_setting('server_encoding') AS encoding,"
            " to_regclass('schema_migrations') IS NOT NULL AS is_migrated"
        )
        applied = []
        if row["is_migrated"]:
            applied = await connection.fetch("SELECT name FROM schema_migrations")
        return {**row, "applied": {entry["name"] for entry in applied}}
    finally:
        connection.terminate()


def check_kafka(settings: Settings) -> Finding:
    """Look at Kafka: reachable, enough brokers, the topics there with one partition a lane."""
    where = settings.kafka_bootstrap_servers or ""
    try:
        admin = AdminClient({**client_settings(settings), "log_level": 0})
        known = admin.list_topics(timeout=SECONDS)
    except KafkaException as error:
        advice = "start it, or mend STORELOG_KAFKA_BOOTSTRAP_SERVERS and the SASL and SSL settings"
        return problem("Kafka", f"{where}: {error.args[0].str()}", advice)
    brokers, copies = len(known.brokers), settings.kafka_replication_factor
    found = f"{brokers} broker{'s' if brokers > 1 else ''} at {where}"
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
        small = too_small(admin, event_topics(settings))
    except KafkaException as error:
        return problem("Kafka", f"{found}: {error.args[0].str()}", "look at the broker")
    if small:
        advice = f"set max.message.bytes={MAX_RECORD_BYTES} on {', '.join(small)}"
        return problem("Kafka", f"{found}: large orders do not fit on {small[0]}", advice)
    if copies == 1 and brokers > 1:
        return warning(
            "Kafka", f"{found}: one copy of each", "set STORELOG_KAFKA_REPLICATION_FACTOR"
        )
    return ok("Kafka", f"{found}, {lanes.pop()} lanes")


def check_mongodb(settings: Settings) -> Finding:
    """Look at MongoDB: reachable, new enough, indexes there."""
    where = mask_url(settings.mongodb_uri or "")
    milliseconds = int(SECONDS * 1000)
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(
            settings.mongodb_uri,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        )
        try:
            version = str(client.admin.command("buildInfo")["version"])
            indexes = client[database_name(settings)]["orders"].index_information()
        finally:
            client.close()
    except PyMongoError as error:
        advice = "start it, or mend STORELOG_MONGODB_URI (host, user, password, TLS, allowed hosts)"
        return problem("MongoDB", f"{where}: {str(error).split(',')[0][:200]}", advice)
    found = f"{version} at {where}"
    if int(version.split(".")[0]) < OLDEST_MONGODB:
        return problem("MongoDB", found, f"use MongoDB {OLDEST_MONGODB} or newer")
    if len(indexes) < 2:
        return problem("MongoDB", f"{found}: no indexes", "run `storelog migrate`")
    return ok("MongoDB", f"{found}, with indexes")


def _processes(settings: Settings) -> list[Finding]:
    urls = (settings.command_url, settings.relay_url, settings.projector_url, settings.query_url)
    return [
        ok(name, f"ready at {url}")
        if is_ready(url or "")
        else problem(name, f"not ready at {url}", f"look at logs/{name}.log in the data directory")
        for name, url in zip(PROCESSES, urls, strict=True)
    ]
