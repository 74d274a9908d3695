"""What `storelog migrate` drops of MongoDB's indexes, and what it leaves to operators."""

from typing import Any, cast

from pymongo.collection import Collection

from storelog.projector.databases.connection import _drop_others


class _Collection:
    """Stands for one with indexes; SecantusDB has none of hashes."""

    def __init__(self, **indexes: list[tuple[str, Any]]) -> None:
        self.indexes = indexes

    def index_information(self) -> dict[str, Any]:
        return {name: {"key": keys} for name, keys in self.indexes.items()}

    def drop_index(self, name: str) -> None:
        del self.indexes[name]


def test_the_index_of_a_shard_key_is_left_and_one_of_an_earlier_release_is_dropped() -> None:
    """MongoDB gives a collection that is sharded by hashes of `_id` an index of them."""
    listed = [("deleted", 1), ("_id", 1)]
    found = _Collection(
        _id_=[("_id", 1)],
        _id_hashed=[("_id", "hashed")],
        deleted_1__id_1=[("deleted", 1.0), ("_id", 1.0)],
        older=[("name", 1.0)],
    )
    _drop_others(cast(Collection[dict[str, Any]], found), [listed])
    assert set(found.indexes) == {"_id_", "_id_hashed", "deleted_1__id_1"}
