"""How what comes over Kafka proves that it is this shop's, kept in MongoDB for who reads it.

`storelog migrate` takes the proof from PostgreSQL to MongoDB itself, so that nobody who may only
write to Kafka can bring another. Where that copy was lost, nothing is taken on trust: a projector
that knows it puts it back, and else the next `storelog migrate` does.
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
    """Who signs this shop's sets of keys (a public key in hex).

    `proven_from`: from which position on its records prove themselves; None: not known yet.
    `histories`: of the log, oldest first; none where that is not known yet.
    """

    signer: str
    proven_from: int | None = None
    histories: Histories = ()

    def is_lost(self, history: str | None, position: int) -> bool:
        """Tell whether what names this place is of the log no more. Raises PoisonRecord.

        `history`: what a record or a watermark names; None of those from before there was any.
        """
        if not self.histories:
            return False
        number = number_of(self.histories, history)
        if number is None:
            raise PoisonRecord(f"the history {history} of a log is not known here")
        return is_lost(self.histories, number, position)


def public_key(secret: bytes) -> str:
    """Return in hex what tells the signatures made with a secret of 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw().hex()


def sign(secret: bytes, content: bytes) -> bytes:
    """Return the content's signature (Ed25519)."""
    return Ed25519PrivateKey.from_private_bytes(secret).sign(content)


def is_signed(signer: str, signature: bytes, content: bytes) -> bool:
    """Tell whether the signer made the signature of this content; False for what is neither."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer)).verify(signature, content)
    except (ValueError, InvalidSignature):
        return False
    return True


def origin_of(found: Mapping[str, Any] | None) -> Origin | None:
    """Return what the document says; None where there is none, or it is damaged."""
    if found is None or not isinstance(found.get("signer"), str):
        return None
    proven_from = found.get("provenFrom")
    histories = [
        LogHistory(each["id"], int(each["beganAfter"]), number)
        for number, each in enumerate(found.get("histories", ()), 1)
    ]
    return Origin(found["signer"], None if proven_from is None else int(proven_from), histories)


def read_origin(home: Database[dict[str, Any]]) -> Origin | None:
    """Return what is kept in the database that the URI names. Raises PyMongoError."""
    return origin_of(home[COLLECTION].find_one({"_id": DOCUMENT_ID}))


def keep_origin(home: Database[dict[str, Any]], origin: Origin) -> None:
    """Keep it in the database that the URI names. Raises PyMongoError."""
    home[COLLECTION].replace_one({"_id": DOCUMENT_ID}, _document(origin), upsert=True)


def restore_origin(home: Database[dict[str, Any]], origin: Origin) -> None:
    """Keep it where there is none. Raises PyMongoError."""
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
