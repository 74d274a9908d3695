"""Rewrites blocks of `changes` from the log: one document replaces those of the block.

Entries beyond the run's position stay. Live readers see the new block when they next read it.
Next: verify/repair.py
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
import msgspec
from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.envelope import Envelope
from storelog.read_models.change import Change
from storelog.read_side import BLOCK_POSITIONS
from storelog.verify.changes import COLLECTION, ChangesCheck, block_of, read_entries
from storelog.verify.fold import told_of
from storelog.verify.log import read_log

Document = dict[str, Any]
Present = Callable[[Iterable[Envelope]], list[Change]]


async def repair_changes(
    database: AsyncDatabase[Document],
    connection: asyncpg.Connection,
    found: ChangesCheck,
    some: tuple[set[int], int],
    present: Present,
) -> int:
    """Write some blocks again, and remove strays; return how many documents.

    `some`: the blocks, and the position up to which they are written. `present`: returns the
    changes of events that the read model must hold.
    """
    blocks, position = some
    collection = database[COLLECTION]
    repaired = 0
    if found.strays:
        repaired += (await collection.delete_many({"_id": {"$in": found.strays}})).deleted_count
    for block in sorted(blocks):
        first, last = block * BLOCK_POSITIONS + 1, (block + 1) * BLOCK_POSITIONS
        entries: dict[int, tuple[int, str, Document]] = {}
        async for events in read_log(connection, first - 1, min(last, position)):
            for change in present(event for event, _ in events):
                entries[change.position] = (change.position, change.kind.name, told_of(change))
        old = await collection.find({"block": block}).to_list()
        for document in old:
            for entry in _newer(document, position):
                if block_of(entry[0]) == block:
                    entries.setdefault(entry[0], entry)
        repaired += await _write(collection, block, entries, [one["_id"] for one in old])
    return repaired


async def _write(
    collection: Any, block: int, entries: dict[int, tuple[int, str, Document]], old: list[Any]
) -> int:
    # A fixed name, so that an interrupted repair is repeated on the same document.
    name = f"{block}/repaired"
    if entries:
        whole = [entries[position] for position in sorted(entries)]
        fields = {
            "block": Int64(block),
            "last": Int64(whole[-1][0]),
            "entries": zlib.compress(msgspec.json.encode(whole), 1),
        }
        # Before the old documents are deleted, so that no position is missing in between.
        await collection.replace_one({"_id": name}, fields, upsert=True)
        old = [one for one in old if one != name]
    for start in range(0, len(old), BLOCK_POSITIONS):
        await collection.delete_many({"_id": {"$in": old[start : start + BLOCK_POSITIONS]}})
    return 1 if entries else len(old)


def _newer(document: Document, position: int) -> list[tuple[int, str, Document]]:
    try:
        entries = read_entries(zlib.decompress(document["entries"]))
    except (zlib.error, msgspec.MsgspecError, KeyError, TypeError):
        return []
    return [entry for entry in entries if entry[0] > position]
