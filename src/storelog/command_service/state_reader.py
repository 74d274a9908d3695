"""Reads what a batch is decided on: aggregates, stored responses, new ids.

It takes no locks: a decision on what it reads is committed only if the log's head has not moved
since. Next: shop/order.py
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import asyncpg
from msgspec import Struct

from storelog.command_service.remembered import CallerKey, Remembered, response_from_row
from storelog.command_service.state import State
from storelog.sequences import SEQUENCES
from storelog.shop.aggregate import Aggregate
from storelog.shop.columns import (
    LINES_TABLE,
    OF_AGGREGATES,
    has_lines,
    line_structure_of,
    read_columns_of,
    read_row,
)
from storelog.shop.commands import LINE, Command, add_references, entity_of, named
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import ENTITIES
from storelog.shop.unique import Holders

_SEQUENCES = dict(zip((*(each.name for each in ENTITIES), LINE), SEQUENCES, strict=True))
# Entities with lines come first: what their lines refer to is known only then.
_LINES_FIRST = sorted(ENTITIES, key=lambda entity: not has_lines(entity.structure))


async def new_ids(connection: asyncpg.Connection, kind: str, count: int) -> list[int]:
    """Return `count` ids of the kind, an entity's name or LINE, that no one else gets."""
    rows = await connection.fetch(
        "SELECT nextval($1::text::regclass) AS id FROM generate_series(1, $2)",
        _SEQUENCES[kind],
        count,
    )
    return [row["id"] for row in rows]


async def load_for(
    connection: asyncpg.Connection, state: State, commands: Iterable[Command]
) -> None:
    """Load into `state` what the commands are decided on."""
    wanted: dict[str, set[int]] = {entity.collection: set() for entity in ENTITIES}
    asked: dict[tuple[EntityKind, str], set[Any]] = {}
    for command in commands:
        for collection, number in named(command):
            wanted[collection].add(number)
        body: Struct | None = getattr(command, "said", None)
        if body is not None:
            entity = entity_of(command)
            for name, value in state.holders.unknown(entity, body):
                asked.setdefault((entity, name), set()).add(value)
    await load(connection, state, wanted)
    for (entity, name), values in asked.items():
        await load_holders(connection, state.holders, entity, name, values)


async def load_holders(
    connection: asyncpg.Connection,
    holders: Holders,
    entity: EntityKind,
    name: str,
    values: set[Any],
) -> None:
    """Load into `holders` which entities have these values of a unique field."""
    rows = await connection.fetch(
        f"SELECT {name}, {entity.id_field} FROM {entity.collection}"
        f" WHERE {name} = ANY ($1) AND NOT is_deleted",
        list(values),
    )
    # None marks a value that nobody has, so that it is not looked up again.
    holders.of(entity, name).update({**dict.fromkeys(values), **dict(map(tuple, rows))})


async def load(
    connection: asyncpg.Connection, state: State, wanted: Mapping[str, Iterable[int]]
) -> None:
    """Load into `state` the entities with these ids, by collection, that it lacks.

    For an entity with lines, load what these refer to as well. None stands for one that does not
    exist.
    """
    ids = {entity.collection: set(wanted[entity.collection]) for entity in ENTITIES}
    for entity in _LINES_FIRST:
        known, before = state.known[entity.collection], state.before[entity.collection]
        unknown = [number for number in ids[entity.collection] if number not in known]
        # What the previous batch has touched may not be in the tables yet. Either may keep 50,000,
        # so only the wanted ids are looked up.
        known |= {number: before[number] for number in unknown if number in before}
        missing = [number for number in unknown if number not in before]
        if not missing:
            continue
        lines = await _lines_of(connection, entity, missing)
        known |= dict.fromkeys(missing)
        known |= await _aggregates(connection, entity, missing, lines)
        referred: list[tuple[str, int]] = []
        for line in chain.from_iterable(lines.values()):
            add_references(referred, line)
        for collection, number in referred:
            ids[collection].add(number)


async def _lines_of(
    connection: asyncpg.Connection, entity: EntityKind, ids: Sequence[int]
) -> dict[int, tuple[Struct, ...]]:
    """Return the lines of entities, by their ids."""
    if not has_lines(entity.structure):
        return {}
    found: dict[int, list[Struct]] = {}
    line = line_structure_of(entity.structure)
    columns = read_columns_of(line)
    rows = await connection.fetch(
        f"SELECT {entity.id_field}, {', '.join(columns)} FROM {LINES_TABLE}"
        f" WHERE {entity.id_field} = ANY ($1) ORDER BY {columns[0]}",
        ids,
    )
    for number, *row in rows:
        found.setdefault(number, []).append(read_row(line, row))
    return {number: tuple(lines) for number, lines in found.items()}


async def _aggregates(
    connection: asyncpg.Connection,
    entity: EntityKind,
    ids: Sequence[int],
    lines: Mapping[int, tuple[Struct, ...]],
) -> dict[int, Aggregate[Any]]:
    """Return the aggregates of a kind that have these ids."""
    structure = entity.structure
    columns = read_columns_of(structure)
    read = ", ".join((*columns, *OF_AGGREGATES))
    rows = await connection.fetch(
        f"SELECT {read} FROM {entity.collection} WHERE {columns[0]} = ANY ($1)", ids
    )
    return {
        row[0]: Aggregate(read_row(structure, row, lines.get(row[0], ())), version, is_deleted)
        for *row, version, is_deleted in rows
    }


async def read_remembered(
    connection: asyncpg.Connection, hashes: Mapping[CallerKey, bytes]
) -> dict[CallerKey, Remembered]:
    """Return the responses that are stored for the keys and have not expired.

    The body is left out where the key was used for another request (`hashes`): the response will be
    an error, and the body may be large.
    """
    rows = await connection.fetch(
        "SELECT k.caller, k.key, k.request_hash, status, headers, event_position,"
        " CASE WHEN k.request_hash = a.request_hash THEN body END AS body,"
        " CASE WHEN k.request_hash = a.request_hash THEN"
        " (SELECT payload FROM events WHERE position = k.event_position) END AS payload"
        " FROM idempotency_keys k"
        " JOIN unnest($1::text[], $2::text[], $3::bytea[]) AS a(caller, key, request_hash)"
        " USING (caller, key)"
        " WHERE expires_at IS NULL OR expires_at >= now()",
        [caller for caller, _ in hashes],
        [key for _, key in hashes],
        list(hashes.values()),
    )
    return {(row["caller"], row["key"]): _remembered(row) for row in rows}


def _remembered(row: asyncpg.Record) -> Remembered:
    position = row["event_position"]
    body = row["body"] or (row["payload"] or "").encode()
    response = response_from_row(row["status"], row["headers"], body)
    return Remembered(row["request_hash"], response, position)
