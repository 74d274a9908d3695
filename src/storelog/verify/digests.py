"""Sums of hashes, by which very many documents are compared in little memory.

Each side adds up the hashes of its documents by bucket. If two sums are equal, so are the bucket's
documents, in any order. Only buckets that differ are inspected.
Next: verify/read_model.py
"""

import hashlib
from typing import Any

import bson

POSITIONS = 4_096


def digest(fields: dict[str, Any]) -> int:
    """Return the hash of a document's fields, in any order."""
    raw = bson.encode(dict(sorted(fields.items())))
    return int.from_bytes(hashlib.blake2b(raw, digest_size=16).digest())


class HashSums:
    """Sums by bucket of numbers: positions or ids."""

    def __init__(self) -> None:
        self._sums: dict[int, int] = {}

    def add(self, number: int, amount: int) -> None:
        """Add (or, negative, take away) an amount in the number's bucket."""
        bucket = number // POSITIONS
        self._sums[bucket] = self._sums.get(bucket, 0) + amount

    def suspects(self) -> set[int]:
        """Return the buckets whose two sides differ."""
        return {bucket for bucket, total in self._sums.items() if total}


class Bits:
    """A set of positions, one bit each."""

    def __init__(self, highest: int) -> None:
        # A Python set would take some 60 bytes for each position.
        self._bits = bytearray(highest // 8 + 1)

    def add(self, number: int) -> None:
        """Add a position up to the highest."""
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        place = number >> 3
        return place < len(self._bits) and bool(self._bits[place] & (1 << (number & 7)))
