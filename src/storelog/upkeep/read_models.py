"""The databases that hold read models: which are in use, what each takes on disk, which go.

The URI's own database also holds the pointer and the API keys: of it only the read model goes.
Next: upkeep/rebuild.py
"""

from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from storelog import histories, ledgers, moments
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.database import DEAD_LETTERS, READ_MODELS, connect, pointer_of, sibling
from storelog.projector.read_models import changes
from storelog.projector.shapes import ADVICE, SHAPES, is_search_current
from storelog.reasons import reason

Document = dict[str, Any]
# Checkpoints first: who comes back to half of a read model finds that it holds nothing.
COLLECTIONS = (
    CHECKPOINTS,
    *(model.COLLECTION for model in READ_MODELS),
    histories.COLLECTION,
    ledgers.LEDGER,
    ledgers.NODES,
    moments.COLLECTION,
    changes.COLLECTION,
    DEAD_LETTERS,
    SHAPES,
)


def in_use(home: Database[Document]) -> set[str]:
    """Return the databases of the active read model and of the one before it."""
    pointer = pointer_of(home)
    return {name for name in (pointer.database, pointer.previous) if name is not None}


def all_of(home: Database[Document]) -> list[str]:
    """Return every database that holds a read model, or part of one, or may come to hold one."""
    prefix = f"{home.name}_r"
    names = home.client.list_database_names()
    numbered = [n for n in names if n.startswith(prefix) and n[len(prefix) :].isdigit()]
    return [home.name, *sorted(numbered, key=lambda name: int(name[len(prefix) :]))]


def drop_all_but(home: Database[Document], kept: set[str]) -> None:
    """Drop every read model but these. Raises PyMongoError."""
    for name in all_of(home):
        if name in kept:
            continue
        if name == home.name:
            for collection in COLLECTIONS:
                home.drop_collection(collection)
        else:
            home.client.drop_database(name)


def sizes(settings: Settings) -> list[Document]:
    """Return each read model: `{database, role, bytes}`; bytes None where the server tells none.

    The role is active, previous, or building. `advice` is there for an active one whose names are
    indexed by the word rules of another release. Raises CannotRun when MongoDB is away.
    """
    home = connect(settings)
    try:
        pointer, found = pointer_of(home), list[Document]()
        roles = {pointer.previous: "previous", pointer.database: "active"}
        for name in all_of(home):
            if name != home.name or name in roles:
                role = roles.get(name, "building")
                database = sibling(home, name)
                about: Document = {"database": name, "role": role, "bytes": _bytes_of(database)}
                if role == "active" and not is_search_current(database):
                    about["advice"] = ADVICE
                found.append(about)
        return found
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    finally:
        home.client.close()


def _bytes_of(database: Database[Document]) -> int | None:
    try:
        stats = database.command("dbStats")
    except PyMongoError:
        # Not every server that speaks the wire protocol has it, nor every account the right to it.
        return None
    parts = [stats.get("storageSize"), stats.get("indexSize")]
    known = [int(part) for part in parts if isinstance(part, int | float)]
    return sum(known) if known else None
