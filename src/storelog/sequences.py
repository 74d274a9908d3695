"""The sequences that give ids, and how a sequence that is behind its table is raised.

After a restore or a logical copy a sequence can give ids that its table has already. Guarantees
that a sequence is never lowered, even while services take ids from it: only the holder of a lock
raises it, and the last steps take ids like any service.
Next: command_service/state_reader.py
"""

import asyncpg

from storelog.shop.columns import LINES_TABLE, has_lines, line_columns_of
from storelog.shop.events import ENTITIES
from storelog.shop.value import value

# The tables whose ids are given, each with its key: the entities', then their lines'.
_KEYS = (
    *((entity.collection, entity.id_field) for entity in ENTITIES),
    *(
        (LINES_TABLE, line_columns_of(entity.structure)[0])
        for entity in ENTITIES
        if has_lines(entity.structure)
    ),
)
# Which sequence gives the ids of which table's key, as PostgreSQL names it.
SEQUENCES = {f"{table}_{key}_seq": (table, key) for table, key in _KEYS}
# The constraints that an id violates if its table has it already.
ID_KEYS = frozenset(f"{table}_pkey" for table, _ in SEQUENCES.values())
_LOCK = 0x53657175656E6365  # "Sequence"
# A sequence is set to this far below the largest id, and from there raised by taking ids. `setval`
# could only lower it if services took this many ids between reading the sequence and setting it.
_TAKEN_ONE_BY_ONE = 10_000


@value
class LaggingSequence:
    """A sequence that has given no id above `given`, though its table has `largest`."""

    sequence: str
    given: int
    largest: int


async def find_behind(connection: asyncpg.Connection) -> list[LaggingSequence]:
    """Return the sequences that are behind their tables."""
    found = [await _look(connection, sequence) for sequence in SEQUENCES]
    return [each for each in found if each.given < each.largest]


async def raise_behind(connection: asyncpg.Connection) -> list[LaggingSequence]:
    """Raise each sequence that is behind to its table's largest id; return those that were."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        behind = await find_behind(connection)
        for each in behind:
            # Read again, since raising those before it took time.
            await _raise(connection, await _look(connection, each.sequence))
    return behind


async def _look(connection: asyncpg.Connection, sequence: str) -> LaggingSequence:
    table, key = SEQUENCES[sequence]
    row = await connection.fetchrow(
        f"SELECT (SELECT last_value - (NOT is_called)::integer FROM {sequence}) AS given,"
        f" (SELECT coalesce(max({key}), 0) FROM {table}) AS largest"
    )
    return LaggingSequence(sequence, row["given"], row["largest"])


async def _raise(connection: asyncpg.Connection, behind: LaggingSequence) -> None:
    given = behind.given
    if behind.largest - given > 2 * _TAKEN_ONE_BY_ONE:
        given = behind.largest - _TAKEN_ONE_BY_ONE
        await connection.execute("SELECT setval($1::text::regclass, $2)", behind.sequence, given)
    while given < behind.largest:
        given = await connection.fetchval(
            "SELECT max(nextval($1::text::regclass)) FROM generate_series(1, $2)",
            behind.sequence,
            behind.largest - given,
        )
