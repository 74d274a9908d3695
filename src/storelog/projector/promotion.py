"""Makes another database the active read model, in one step that no answer can go back from.

First the pointer says that a promotion waits and the lanes' checkpoints are frozen, so the active
model's position stands still; when the other one has reached it, one write to the pointer switches.
A promotion that was abandoned is ended by the projector, and its late switch is refused.
Next: read_side.py
"""

from typing import Any
from uuid import uuid4

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from storelog.projector.checkpoints import CHECKPOINTS, Fenced
from storelog.projector.database import pointer_of, sibling
from storelog.read_side import POINTER_ID, POINTERS

ABANDONED_SECONDS = 20.0
Document = dict[str, Any]


def freeze(home: Database[Document]) -> str:
    """Let nobody write the active read model; return the token that the switch needs.

    Raises Fenced while another promotion is under way, and PyMongoError.
    """
    active, token = pointer_of(home).database, uuid4().hex
    free = {"_id": POINTER_ID, "database": active, "promoting": None}
    try:
        done = home[POINTERS].update_one(free, {"$set": {"promoting": token}}, upsert=True)
    except DuplicateKeyError as error:
        raise Fenced("another promotion is under way") from error
    if done.matched_count == 0 and done.upserted_id is None:
        raise Fenced("another promotion is under way")
    sibling(home, active)[CHECKPOINTS].update_many({}, {"$set": {"frozen": token}})
    return token


def switch(home: Database[Document], token: str, target: str) -> None:
    """Make `target` the active read model. Raises Fenced when the promotion was ended."""
    before = pointer_of(home).database
    sibling(home, target)[CHECKPOINTS].update_many({}, {"$unset": {"frozen": ""}})
    fields = {"database": target, "previous": before, "promoting": None}
    waiting = {"_id": POINTER_ID, "promoting": token}
    if home[POINTERS].update_one(waiting, {"$set": fields}).matched_count == 0:
        raise Fenced("the promotion took too long and was ended")


def thaw(home: Database[Document], token: str) -> None:
    """End a promotion that did not come to its switch: the lanes go on as they were."""
    waiting = {"_id": POINTER_ID, "promoting": token}
    home[POINTERS].update_one(waiting, {"$set": {"promoting": None}})
    active = sibling(home, pointer_of(home).database)
    active[CHECKPOINTS].update_many({"frozen": token}, {"$unset": {"frozen": ""}})
