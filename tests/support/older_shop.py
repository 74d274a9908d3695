"""A shop as the code at commit 4b21a24 left it, put onto servers of today: tests/golden/4b21a24.

Its log has 74 events; 69 were sent and 64 projected when its processes were stopped.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
from bson.json_util import CANONICAL_JSON_OPTIONS, loads
from confluent_kafka import Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from pymongo import MongoClient

from storelog.config import Settings
from storelog.kafka import client_settings
from storelog.read_side import database_name
from storelog.relay.topics import ensure_topics

HERE = Path(__file__).parent.parent / "golden" / "4b21a24"
LANES = 3
PROJECTED, WRITTEN = 64, 74
PREFIX, APPLIED = "old-", "schema_migrations"
SECONDS = 30.0
_OPTIONS = CANONICAL_JSON_OPTIONS.with_options(tz_aware=True)
_COLUMNS = """SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
    AND attgenerated = ''"""


def lines_of(name: str) -> list[str]:
    """Return the lines of a file; names hold characters at which `splitlines` would break them."""
    return (HERE / name).read_text("utf-8").removesuffix("\n").split("\n")


def load(settings: Settings) -> None:
    """Put the shop onto servers that have a new database, and no topics of these settings."""
    prefix = settings.kafka_topic_prefix
    ensure_topics(settings, LANES)
    _load_kafka(settings)
    asyncio.run(_load_postgresql(str(settings.postgres_url), _topic_ids(settings), prefix))
    _load_mongodb(settings)


def _load_kafka(settings: Settings) -> None:
    """Send each record to its partition: it gets the offset that the checkpoints name."""
    producer = Producer({**client_settings(settings), "enable.idempotence": True, "acks": "all"})
    failed: list[Any] = []
    for line in lines_of("kafka.jsonl"):
        record = json.loads(line)
        producer.produce(
            settings.kafka_topic_prefix + record["topic"],
            record["value"],
            record["key"],
            partition=record["partition"],
            headers=[(name, text.encode()) for name, text in record["headers"].items()],
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    assert producer.flush(SECONDS) == 0
    assert not failed


def _topic_ids(settings: Settings) -> dict[str, str]:
    admin = AdminClient(client_settings(settings))
    known = admin.list_topics(timeout=SECONDS).topics
    topics = [name for name in known if name.startswith(settings.kafka_topic_prefix)]
    found = admin.describe_topics(TopicCollection(topics), request_timeout=SECONDS)
    return {name: str(future.result(SECONDS).topic_id) for name, future in found.items()}


async def _load_postgresql(url: str, ids: dict[str, str], prefix: str) -> None:
    """Make the schema of that commit by its migrations, then its rows."""
    connection = await asyncpg.connect(url, timeout=SECONDS)
    try:
        rows = list(_rows())
        await _make_schema(connection, [json.loads(row) for table, row in rows if table == APPLIED])
        # What the log's own triggers forbid.
        await connection.execute("SET session_replication_role = replica")
        for table in dict.fromkeys(table for table, _ in rows):
            await connection.execute(f"DELETE FROM {table}")
        for table, row in rows:
            columns = await connection.fetchval(_COLUMNS, table)
            await connection.execute(
                f"INSERT INTO {table} ({columns})"
                f" SELECT {columns} FROM json_populate_record(NULL::{table}, $1::text::json)",
                row,
            )
        for line in map(json.loads, lines_of("postgresql.jsonl")):
            if "sequence" in line:
                name, last = line["sequence"], line["last"]
                await connection.execute("SELECT setval($1::text::regclass, $2)", name, last)
        await _move(connection, ids, prefix)
    finally:
        await connection.close()


async def _make_schema(connection: asyncpg.Connection, applied: list[dict[str, str]]) -> None:
    await connection.execute(
        f"CREATE TABLE {APPLIED} (name text PRIMARY KEY, sha256 text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for migration in applied:
        file = files("storelog.migrations").joinpath(migration["name"])
        sql = file.read_text("utf-8")
        assert hashlib.sha256(sql.encode()).hexdigest() == migration["sha256"], "never change one"
        await connection.execute(sql)


async def _move(connection: asyncpg.Connection, ids: dict[str, str], prefix: str) -> None:
    """Let the relay's row name the topics that there are, and remembered responses last a day."""
    topics = json.loads(await connection.fetchval("SELECT topics FROM relay_cursor"))
    named = {prefix + name.removeprefix(PREFIX): known for name, known in topics.items()}
    moved = {name: {**known, "id": ids[name]} for name, known in named.items()}
    await connection.execute("UPDATE relay_cursor SET topics = $1", json.dumps(moved))
    await connection.execute("UPDATE idempotency_keys SET expires_at = now() + interval '1 day'")


def _rows() -> Iterator[tuple[str, str]]:
    """Yield each row with its table, as text: a payload's bytes stay as they were."""
    for line in lines_of("postgresql.jsonl"):
        table = json.loads(line).get("table")
        if table is not None:
            yield table, line.removeprefix(f'{{"table":"{table}","row":').removesuffix("}")


def _load_mongodb(settings: Settings) -> None:
    """Make the collections with the validators and indexes of that commit, then their documents."""
    text = "\n".join(lines_of("mongodb.jsonl"))
    text = text.replace(f'"{PREFIX}', f'"{settings.kafka_topic_prefix}')
    client: MongoClient[dict[str, Any]] = MongoClient(settings.mongodb_uri, tz_aware=True)
    try:
        database = client[database_name(settings)]
        for line in text.split("\n"):
            found = loads(line, json_options=_OPTIONS)
            collection = database[found["collection"]]
            if "document" in found:
                collection.insert_one(found["document"])
                continue
            database.create_collection(collection.name, **found["options"])
            for index in found["indexes"][1:]:
                collection.create_index(list(index["key"].items()), name=index["name"])
    finally:
        client.close()
