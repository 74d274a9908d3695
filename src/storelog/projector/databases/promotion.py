"""Makes another database the active read model in one step, so positions of reads never go back.

First the pointer announces a promotion and the lanes' checkpoints are frozen, so the position of
the active read model stands still. When the other one has reached it, one write to the pointer
switches. The projector ends a promotion that was abandoned, and its late switch then fails. It does
so sooner if the promotion gave signs of life before and has stopped.

A change of lanes is decided in PostgreSQL first, in the relay's row. The relay's next watermark
tells whether it was decided.
Next: projector/receive/standstill.py
"""

from typing import Any
from uuid import uuid4

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from storelog.projector.checkpoints import CHECKPOINTS, Fenced, update_each
from storelog.projector.databases.connection import pointer_of, sibling
from storelog.read_side import POINTER_ID, POINTERS, LaneChange

ABANDONED_SECONDS = 15.0
# The interval of signs of life, and how long without one until a promotion counts as dead.
BEAT_SECONDS, SILENT_SECONDS = 0.5, 6.0
Document = dict[str, Any]


def freeze(
    home: Database[Document], change: LaneChange | None = None, *, has_beats: bool = False
) -> str:
    """Stop all writes to the active read model; return the token that the switch needs.

    `has_beats`: the caller must call `beat` until the switch. Raises Fenced while another promotion
    is under way, and PyMongoError.
    """
    active, token = pointer_of(home).database, uuid4().hex
    free = {"_id": POINTER_ID, "database": active, "promoting": None}
    fields = {
        "promoting": token,
        "laneChange": None if change is None else change.facts(),
        "beats": 0 if has_beats else None,
    }
    try:
        done = home[POINTERS].update_one(free, {"$set": fields}, upsert=True)
    except DuplicateKeyError as error:
        raise Fenced("another promotion is under way") from error
    if done.matched_count == 0 and done.upserted_id is None:
        raise Fenced("another promotion is under way")
    update_each(sibling(home, active), {}, {"$set": {"frozen": token}})
    return token


def beat(home: Database[Document], token: str) -> None:
    """Give a sign of life of the promotion. Raises PyMongoError."""
    home[POINTERS].update_one({"_id": POINTER_ID, "promoting": token}, {"$inc": {"beats": 1}})


def switch(home: Database[Document], token: str, target: str) -> None:
    """Make `target` the active read model. Raises Fenced when the promotion was ended."""
    before = pointer_of(home).database
    update_each(sibling(home, target), {}, {"$unset": {"frozen": ""}})
    fields = {
        "database": target,
        "previous": before,
        "promoting": None,
        "laneChange": None,
        "hasOlder": True,
    }
    waiting = {"_id": POINTER_ID, "promoting": token}
    if home[POINTERS].update_one(waiting, {"$set": fields}).matched_count == 0:
        raise Fenced("the promotion took too long and was ended")


def thaw(home: Database[Document], token: str) -> None:
    """End a promotion that has not switched: the lanes continue as before."""
    waiting = {"_id": POINTER_ID, "promoting": token}
    home[POINTERS].update_one(waiting, {"$set": {"promoting": None, "laneChange": None}})
    let_go(home)


def let_go(home: Database[Document]) -> None:
    """Unfreeze the lanes that were frozen by a promotion that has ended, at any step."""
    active = sibling(home, pointer_of(home).database)
    frozen = active[CHECKPOINTS].find({"frozen": {"$ne": None}}, {"frozen": 1})
    tokens = {found["frozen"] for found in frozen}
    # A promotion writes its token to the pointer first, so one that is not there has ended.
    for token in tokens - {pointer_of(home).promoting}:
        update_each(active, {"frozen": token}, {"$unset": {"frozen": ""}})


def settle(home: Database[Document], token: str, lanes: int) -> None:
    """End a change of lanes whose command has died; `lanes`: the number that the relay uses now."""
    change = pointer_of(home).lane_change
    if change is None or change.lanes != lanes:
        thaw(home, token)
        return
    try:
        switch(home, token, change.database)
    except Fenced:
        # Another process has completed it meanwhile.
        return
