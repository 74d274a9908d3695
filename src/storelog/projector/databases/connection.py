"""The connection to the read side's MongoDB, the active read model, and the indexes.

Every write waits for a majority and the journal. Next: projector/write/document_writer.py
"""

from collections.abc import Sequence
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.errors import CannotRun, ReadModelUnknown
from storelog.projector.databases.needs import NO_VALIDATORS, check_needs, server_name
from storelog.projector.databases.shapes import read_shapes, stamp
from storelog.projector.databases.validators import make_validators
from storelog.projector.fold import live_changes
from storelog.read_models.listed import MODELS
from storelog.read_models.read_model import Index
from storelog.read_models.shapes import to_do
from storelog.read_side import (
    POINTER_ID,
    POINTERS,
    Pointer,
    database_name,
    mongodb_uri,
    read_pointer,
)
from storelog.reasons import reason

DEAD_LETTERS = "dead_letters"
ANSWER_SECONDS = 60.0
# How long to look for a server. A busy one is late, and an operator's command can wait for it.
LOOK_SECONDS, PATIENT_SECONDS = 2.0, 20.0
Document = dict[str, Any]
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True)


def connect(
    settings: Settings,
    answer_seconds: float = ANSWER_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> Database[Document]:
    """Return the URI's database for writing; nothing is sent yet. Raises CannotRun.

    An operation that takes longer than `answer_seconds` raises NetworkTimeout; a server that does
    not respond within `look_seconds` counts as away.
    """
    uri = mongodb_uri(settings)
    client: MongoClient[Document] = MongoClient(
        uri,
        appname="storelog projector",
        serverSelectionTimeoutMS=round(1000 * look_seconds),
        connectTimeoutMS=round(1000 * look_seconds),
        socketTimeoutMS=round(1000 * answer_seconds),
        maxPoolSize=4,
        # The projector itself repeats a failed batch, from its checkpoints.
        retryWrites=False,
    )
    return client.get_database(
        database_name(settings),
        codec_options=_OPTIONS,
        write_concern=WriteConcern(w="majority", j=True, wtimeout=30_000),
    )


def pointer_of(home: Database[Document]) -> Pointer:
    """Return which database is the read model. Raises PyMongoError, ReadModelUnknown."""
    return read_pointer(home[POINTERS].find_one({"_id": POINTER_ID}), home.name)


def sibling(home: Database[Document], name: str) -> Database[Document]:
    """Return another database of the same server, read and written in the same way."""
    return home.client.get_database(
        name, codec_options=home.codec_options, write_concern=home.write_concern
    )


def ensure_indexes(settings: Settings) -> tuple[list[str], list[str]]:
    """Make the read model's indexes that are missing.

    Returns what remains to be done, each with its command, and the safeguards that the server
    lacks. Raises CannotRun, also for a server that lacks something essential.
    """
    home = connect(settings, look_seconds=PATIENT_SECONDS)
    try:
        check_needs(home)
        active = sibling(home, pointer_of(home).database)
        has_validators = make_indexes(active)
        warnings = [] if has_validators else [f"MongoDB: {server_name(home)} {NO_VALIDATORS}"]
        advice = to_do(read_shapes(active))
        return [] if advice is None else [advice], warnings
    except ReadModelUnknown as error:
        # Not an error here: `up` must start all processes before the command that fixes this.
        return [str(error)], []
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    finally:
        home.client.close()


def make_indexes(database: Database[Document]) -> bool:
    """Make missing collections and indexes, and drop indexes of earlier releases.

    An empty read model gets the shapes of this release. Returns whether the server has validators.
    Raises PyMongoError.
    """
    has_validators = make_validators(database)
    stamp(database)
    for model in MODELS:
        for keys in model.indexes:
            database[model.collection].create_index(keys)
        _drop_others(database[model.collection], model.indexes)
    database[live_changes.COLLECTION].create_index(live_changes.INDEX)
    for name in ("aggregate", "asked"):
        database[DEAD_LETTERS].create_index([(name, 1)])
    return has_validators


def _drop_others(collection: Collection[Document], wanted: Sequence[Index]) -> None:
    """Drop the indexes that no list uses any more, since each one slows down every insert.

    A hashed index is kept: a collection that is sharded by `_id` may have one.
    """
    kept = [list(keys) for keys in wanted]
    for name, index in collection.index_information().items():
        is_ordered = not any(isinstance(way, str) for _, way in index["key"])
        if name == "_id_" or not is_ordered:
            continue
        if [(key, int(way)) for key, way in index["key"]] not in kept:
            collection.drop_index(name)
