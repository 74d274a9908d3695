"""Records on the topics that are not the relay's: kept up to a limit and counted.

Each lane keeps up to MAX_KEPT of them, and MAX_KEPT_BYTES, as dead letters of the state `foreign`.
Those beyond the limit are only counted. They are written together, and no event waits for them.
Next: projector/write/dead_letter_writer.py
"""

import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bson.int64 import Int64
from confluent_kafka import Message
from pymongo.database import Database

from storelog.envelope import utc_now
from storelog.projector.databases.connection import DEAD_LETTERS

FOREIGN = "foreign"
# The state of the one document of a lane that counts the records beyond the limit.
NOT_KEPT = "not-kept"
MAX_KEPT = 1_000
MAX_KEPT_BYTES = 8 * 1024 * 1024
MAX_VALUE_BYTES, MAX_HEADERS, MAX_HEADER_BYTES = 64 * 1024, 100, 1_024
MAX_CAUSE = 300
# How soon room is noticed that an operator made by discarding kept records.
COUNT_SECONDS = 5.0
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ForeignLetters:
    """The dead letters to write, and how many more records are only counted."""

    letters: list[Document]
    not_kept: int

    @property
    def number(self) -> int:
        """How many records these are."""
        return len(self.letters) + self.not_kept


class ForeignRecords:
    """The records of one lane since the last `take` that are not the relay's."""

    def __init__(self, database: Database[Document], lane: int) -> None:
        self._letters = database[DEAD_LETTERS]
        self._lane = lane
        self._kept = self._kept_bytes = 0
        self._counted_at = float("-inf")
        self._collected: list[Document] = []
        # Letters that are being written may not be in MongoDB yet, so they are counted from here.
        self._taken: list[Document] = []
        self._not_kept = 0

    def __len__(self) -> int:
        return len(self._collected) + self._not_kept

    @property
    def number_to_keep(self) -> int:
        """How many dead letters were collected; records that are only counted cost nothing."""
        return len(self._collected)

    def add(self, message: Message, cause: str) -> None:
        """Collect a record: as a dead letter while there is room. Raises PyMongoError."""
        letter = letter_of(message, cause)
        if not self._has_room(letter["size"]):
            self._count_again()
        if self._has_room(letter["size"]):
            self._kept += 1
            self._kept_bytes += letter["size"]
            self._collected.append(letter)
        else:
            self._not_kept += 1

    def _has_room(self, size: int) -> bool:
        is_counted = self._counted_at > float("-inf")
        return is_counted and self._kept < MAX_KEPT and self._kept_bytes + size <= MAX_KEPT_BYTES

    def _count_again(self) -> None:
        now = time.monotonic()
        if now - self._counted_at < COUNT_SECONDS:
            return
        self._counted_at = now
        ours = {"lane": self._lane, "state": FOREIGN}
        sizes = [letter.get("size", 0) for letter in self._letters.find(ours, {"size": 1})]
        sizes += [letter["size"] for letter in (*self._taken, *self._collected)]
        self._kept, self._kept_bytes = len(sizes), sum(sizes)

    def take(self) -> ForeignLetters:
        """Return what was collected, for the batch that is written next."""
        taken = ForeignLetters(self._collected, self._not_kept)
        self._taken, self._collected, self._not_kept = self._collected, [], 0
        return taken


def _digest(message: Message, key: bytes, headers: list[list[Any]]) -> str:
    """Return a digest that tells a record from one at the same place of a re-created topic."""
    parts = [
        repr(message.timestamp()).encode(),
        key,
        message.value() or b"",
        repr(headers).encode(),
    ]
    digest = sha256()
    for part in parts:
        digest.update(b"%d " % len(part) + part)
    return digest.hexdigest()[:8]


def letter_of(message: Message, cause: str) -> Document:
    """Return the dead letter of a record that has no place in the log, cut to the limits."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    raw_key, raw_value = message.key(), message.value()
    key = raw_key if isinstance(raw_key, bytes) else (raw_key or "").encode()
    pairs: Any = message.headers() or []
    headers = [
        [name[:MAX_HEADER_BYTES], None if value is None else bytes(value[:MAX_HEADER_BYTES])]
        for name, value in pairs[:MAX_HEADERS]
    ]
    value = None if raw_value is None else raw_value[:MAX_VALUE_BYTES]
    size = len(key[:MAX_HEADER_BYTES]) + len(value or b"")
    size += sum(len(name) + len(held or b"") for name, held in headers)
    return {
        "_id": f"{topic}/{partition}/{offset}/{_digest(message, key, headers)}",
        "aggregate": None,
        "position": None,
        "lane": partition,
        "topic": topic,
        "partition": partition,
        "offset": Int64(offset or 0),
        "key": key[:MAX_HEADER_BYTES].decode("utf-8", "replace"),
        "value": value,
        "headers": headers,
        "size": size,
        "cause": cause[:MAX_CAUSE],
        "state": FOREIGN,
        "at": utc_now(),
    }
