"""How records and sets of keys prove that they are this shop's; kept in MongoDB for readers.

`storelog migrate` copies the facts for that from PostgreSQL to MongoDB directly, so that a writer
to Kafka cannot replace them. If that copy is lost, no other is trusted: a projector that still
knows it restores it, or else the next `storelog migrate` does.
Next: key_sets.py
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bson.int64 import Int64
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from storelog.errors import PoisonRecord
from storelog.log_history import Histories, LogHistory, is_lost, number_of

COLLECTION, DOCUMENT_ID = "api_keys", "origin"


@dataclass(frozen=True, slots=True)
class Origin:
    """The signer of this shop's sets of keys (a public key in hex).

    `proven_from`: the position from which its records prove themselves; None: not known yet.
    `histories`: the log's, oldest first; empty where they are not known yet.
    """

    signer: str
    proven_from: int | None = None
    histories: Histories = ()

    def is_lost(self, history: str | None, position: int) -> bool:
        """Tell whether this place is no longer in the log. Raises PoisonRecord.

        `history` is what a record or a watermark names; None in those of earlier releases.
        """
        if not self.histories:
            return False
        number = number_of(self.histories, history)
        if number is None:
            raise PoisonRecord(f"the history {history} of a log is not known here")
        return is_lost(self.histories, number, position)


def public_key(secret: bytes) -> str:
    """Return, in hex, the public key that checks signatures made with a secret of 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw().hex()


def sign(secret: bytes, content: bytes) -> bytes:
    """Return the content's signature (Ed25519)."""
    return Ed25519PrivateKey.from_private_bytes(secret).sign(content)


def is_signed(signer: str, signature: bytes, content: bytes) -> bool:
    """Tell whether the signature of the content is the signer's; False for malformed values."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer)).verify(signature, content)
    except (ValueError, InvalidSignature):
        return False
    return True


def origin_of(found: Mapping[str, Any] | None) -> Origin | None:
    """Return the origin in a document; None if it is missing or damaged."""
    if found is None or not isinstance(found.get("signer"), str):
        return None
    proven_from = found.get("provenFrom")
    histories = [
        LogHistory(each["id"], int(each["beganAfter"]), number)
        for number, each in enumerate(found.get("histories", ()), 1)
    ]
    return Origin(found["signer"], None if proven_from is None else int(proven_from), histories)


def read_origin(home: Database[dict[str, Any]]) -> Origin | None:
    """Return the origin kept in the database that the URI names. Raises PyMongoError."""
    return origin_of(home[COLLECTION].find_one({"_id": DOCUMENT_ID}))


def keep_origin(home: Database[dict[str, Any]], origin: Origin) -> None:
    """Store the origin in the database that the URI names. Raises PyMongoError."""
    home[COLLECTION].replace_one({"_id": DOCUMENT_ID}, _document(origin), upsert=True)


def restore_origin(home: Database[dict[str, Any]], origin: Origin) -> None:
    """Store the origin unless there is one. Raises PyMongoError."""
    with suppress(DuplicateKeyError):
        home[COLLECTION].insert_one(_document(origin))


def _document(origin: Origin) -> dict[str, Any]:
    proven_from = None if origin.proven_from is None else Int64(origin.proven_from)
    histories = [
        {"id": each.id, "beganAfter": Int64(each.began_after)} for each in origin.histories
    ]
    return {
        "_id": DOCUMENT_ID,
        "signer": origin.signer,
        "provenFrom": proven_from,
        "histories": histories,
    }
