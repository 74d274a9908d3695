"""The ceiling of the projector in `make bench`: documents inserted in bulk into another system."""

from typing import Any

from pymongo.database import Database

from benchmarks import projecting
from storelog.config import Settings
from storelog.documents.moments import COLLECTION
from storelog.origin import read_origin
from storelog.projector.databases.connection import connect
from support.embedded import EmbeddedServers, new_settings


def test_a_read_model_is_inserted_into_a_system_whose_keys_and_history_stay_its_own(
    servers: EmbeddedServers, settings: Settings, database: Database[dict[str, Any]]
) -> None:
    documents = [{"_id": f"0/{number}", "rows": b""} for number in range(3)]
    database[COLLECTION].insert_many(documents)
    empty = new_settings(servers)
    there = connect(empty)
    try:
        origin = read_origin(there)
        assert origin not in (None, read_origin(database))
        assert projecting._insert_all(settings, empty) > 0
        assert list(there[COLLECTION].find({})) == documents
        assert read_origin(there) == origin
    finally:
        there.client.close()
