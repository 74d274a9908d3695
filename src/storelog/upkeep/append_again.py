"""Appends lost events again, all of a command together, unless the log has changed in between.

Guarantees that an event is appended only if none of the aggregates of its command has changed since
the log and Kafka parted, none of its earlier events was left out, and the rules still pass: what it
refers to exists, and unique values are free. It keeps its id, its content and its version.
Next: command_service/store.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import asyncpg

from storelog.command_service import log_head, state_reader, store
from storelog.command_service.batch import Writes
from storelog.command_service.state import Head, State
from storelog.envelope import cut_off, hashed_parts
from storelog.errors import Conflict
from storelog.shop.aggregate import Aggregate
from storelog.shop.columns import LINES_TABLE, has_lines, line_columns_of, line_rows_of
from storelog.shop.commands import add_references
from storelog.shop.events import ENTITIES, ORDER, id_of, kind_of
from storelog.shop.evolve import evolve
from storelog.upkeep.lost_events import LostEvent

LostCommand = list[LostEvent]
_TOUCHED = "SELECT DISTINCT aggregate_type, aggregate_id FROM events WHERE position > $1"
_NAME_OF = {entity.collection: entity.name_of for entity in ENTITIES}
_LINE_ID = line_columns_of(ORDER.structure)[0]
_HAS_LINES = f"SELECT EXISTS (SELECT FROM {LINES_TABLE} WHERE {_LINE_ID} = ANY ($1::bigint[]))"


@dataclass(slots=True)
class Appended:
    """The outcome: `positions` has the new positions by the old; `left` the reasons why not."""

    positions: dict[int, int] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)


def commands_of(lost: Sequence[LostEvent]) -> list[LostCommand]:
    """Return the events grouped by command: an order's own event and those of its products.

    Events of products name the order that sold them, or whose deletion gave the units back.
    """
    commands: list[LostCommand] = []
    for each in lost:
        first = commands[-1][0] if commands else None
        is_part = (
            first is not None
            and kind_of(first.event).entity is ORDER
            and kind_of(each.event).entity is not ORDER
            and getattr(each.event, ORDER.id_field, None) == id_of(first.event)
            and each.envelope.position == commands[-1][-1].envelope.position + 1
        )
        if is_part:
            commands[-1].append(each)
        else:
            commands.append([each])
    return commands


async def append_again(
    connection: asyncpg.Connection, held: log_head.HeldHead, common: int, lost: Sequence[LostEvent]
) -> Appended:
    """Append what can be appended, in the transaction that locks the head. Raises PostgresError."""
    changed = {f"{kind}-{number}" for kind, number in await connection.fetch(_TOUCHED, common)}
    done, state, head = Appended(), State(held.head), held.head
    # In the order of the lost log, so that each command finds the state that it was decided on.
    for command in commands_of(lost):
        why = await _reason_against(connection, state, command, changed)
        if why is not None:
            # Later events of these aggregates would skip a version, so they are left as well.
            changed |= {each.envelope.aggregate for each in command}
            done.left |= {each.envelope.position: why for each in command}
            continue
        writes = _writes(state, head, command)
        # With the head locked, nothing can be recorded later with an earlier time.
        writes.stamp(max(cut_off(held.since), held.settled_at))
        await store.append(connection, writes, held)
        for old, new in zip(command, writes.events, strict=True):
            done.positions[old.envelope.position] = new.position
        head = writes.head
    return done


async def _reason_against(
    connection: asyncpg.Connection, state: State, command: LostCommand, changed: set[str]
) -> str | None:
    """Return why a command's events cannot be appended; None if they can."""
    wanted: dict[str, set[int]] = {entity.collection: set() for entity in ENTITIES}
    for each in command:
        if each.envelope.aggregate in changed:
            return f"{each.envelope.aggregate} has changed since, or an earlier event of it is left"
        entity = kind_of(each.event).entity
        wanted[entity.collection].add(id_of(each.event))
        for name, value in state.holders.unknown(entity, each.event):
            await state_reader.load_holders(connection, state.holders, entity, name, {value})
    first = command[0].event
    kind, referred = kind_of(first), list[tuple[str, int]]()
    if has_lines(kind.entity.structure):
        add_references(referred, first)
    if kind.begins and has_lines(kind.entity.structure):
        lines = line_rows_of(first)
        if len(command) != 1 + len(lines):
            return "Kafka does not have all events of its command"
        if await connection.fetchval(_HAS_LINES, [number for number, *_ in lines]):
            return "an id of one of its lines was given to another line"
    for collection, number in referred:
        wanted[collection].add(number)
    parts = {each.envelope.aggregate for each in command}
    if kind.entity.owner is not None:
        # The command has no event of the owner, so the owner cannot be missing.
        parts |= {kind.entity.owner[0].name_of(n) for n in wanted[kind.entity.owner[0].collection]}
    await state_reader.load(connection, state, wanted)
    for collection, number in referred:
        found = state.known[collection][number]
        if found is None or found.is_deleted:
            if kind.begins:
                return f"there is no /{collection}/{number}"
        elif kind.ends and _NAME_OF[collection](number) not in parts:
            return "Kafka does not have all events of its command"
    return _rules_against(state, command)


def _rules_against(state: State, command: LostCommand) -> str | None:
    versions: dict[str, int] = {}
    for each in command:
        kind, name = kind_of(each.event), each.envelope.aggregate
        before = state.known[kind.entity.collection][id_of(each.event)]
        version = versions.get(name, 0 if before is None else before.version)
        is_gone = before is None if not kind.begins else before is not None
        if is_gone or (before is not None and before.is_deleted):
            return f"{name} does not exist, or exists already"
        if each.envelope.version != version + 1:
            return f"{name} has version {version}, the event is version {each.envelope.version}"
        versions[name] = version + 1
        if kind.unique and not kind.ends:
            try:
                state.holders.check(kind.entity, id_of(each.event), each.event)
            except Conflict as conflict:
                return str(conflict)
    return None


def _writes(state: State, base: Head, command: LostCommand) -> Writes:
    """Apply the events to the state; return what to write."""
    writes = Writes(base, Head(base.position, history=base.history))
    for each in command:
        kind, number = kind_of(each.event), id_of(each.event)
        kept = state.known[kind.entity.collection]
        before: Aggregate[object] | None = kept.get(number)  # type: ignore[type-var]
        after = kept[number] = evolve(before, each.event)
        if kind.unique:
            state.holders.move(kind.entity, number, before, after)
        writes.head.position += 1
        event = replace(each.envelope, position=writes.head.position)
        payload_hash = sha256(event.payload).digest()
        writes.events.append(event)
        writes.payload_hashes.append(payload_hash)
        writes.hashed_parts.append(hashed_parts(event, payload_hash))
        writes.occurred_at = max(writes.occurred_at, event.occurred_at)
        new = writes.new[kind.entity.name]
        rows = new if kind.begins or number in new else writes.changed[kind.entity.name]
        rows[number] = after
    return writes
