"""Lists the databases that hold read models, with their roles and their sizes on disk.

Next: projector/databases/kept.py
"""

from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.projector.databases.connection import connect, pointer_of, sibling
from storelog.projector.databases.kept import all_of
from storelog.projector.databases.shapes import read_shapes
from storelog.read_models.shapes import to_do
from storelog.reasons import reason

Document = dict[str, Any]


def sizes(settings: Settings) -> list[Document]:
    """Return each read model: `{database, role, bytes}`; bytes None if the server does not tell.

    The role is active, previous, or building. `advice` is there for an active one that must be
    filled anew, since this release has other shapes.
    Raises CannotRun when MongoDB is away.
    """
    home = connect(settings)
    try:
        pointer, found = pointer_of(home), list[Document]()
        roles = {pointer.previous: "previous", pointer.database: "active"}
        for name in all_of(home):
            # The database of the URI also holds the pointer, and need not be a read model.
            if name != home.name or name in roles:
                role = roles.get(name, "building")
                database = sibling(home, name)
                about: Document = {"database": name, "role": role, "bytes": _bytes_of(database)}
                advice = to_do(read_shapes(database)) if role == "active" else None
                if advice is not None:
                    about["advice"] = advice
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
        # Some servers with MongoDB's protocol lack the command, and some accounts the right to it.
        return None
    parts = [stats.get("storageSize"), stats.get("indexSize")]
    known = [int(part) for part in parts if isinstance(part, int | float)]
    return sum(known) if known else None
