"""A set of API keys on its way: its bytes and their signature, on Kafka and in MongoDB.

Every reader checks the signature against this shop's signer, wherever the set is stored: a set that
does not prove its origin is ignored. MongoDB has the set in fields too, for people and for readers
of earlier releases; this module does not read them.
Next: projector/keys.py
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from storelog.api_keys import COLLECTION, DOCUMENT_ID, KeySet, from_facts, to_facts
from storelog.errors import PoisonRecord
from storelog.origin import DOCUMENT_ID as ORIGIN_ID
from storelog.origin import Origin, is_signed, origin_of, public_key, sign
from storelog.shop.json_values import encode_json

# Both documents: the set, and the signer whose signature it must have.
BOTH = {"_id": {"$in": [DOCUMENT_ID, ORIGIN_ID]}}


@dataclass(frozen=True, slots=True)
class SignedSet:
    """A set whose signature is valid; `known` is its parsed content, with the signer."""

    content: bytes
    signature: bytes
    known: KeySet


def sign_set(known: KeySet, secret: bytes) -> SignedSet:
    """Return the set signed with the shop's secret."""
    content = encode_json(to_facts(known))
    return SignedSet(content, sign(secret, content), replace(known, signer=public_key(secret)))


def prove(content: bytes, signature: bytes, origin: Origin) -> SignedSet:
    """Return the set if this shop's relay signed it. Raises PoisonRecord otherwise."""
    if not is_signed(origin.signer, signature, content):
        raise PoisonRecord("its signature is not the content's")
    try:
        known = from_facts(msgspec.json.decode(content))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoisonRecord(f"it is no set of keys: {error!r}") from error
    return SignedSet(content, signature, replace(known, signer=origin.signer))


def to_document(signed: SignedSet) -> dict[str, Any]:
    """Return the set as MongoDB keeps it, without its id."""
    proof = {"content": signed.content, "signature": signed.signature}
    return {**to_facts(signed.known), **proof}


def of_document(found: Mapping[str, Any] | None, origin: Origin) -> SignedSet | None:
    """Return the set of a document; None if it is missing or its signature is not valid."""
    content, signature = (None if found is None else found.get(n) for n in ("content", "signature"))
    if not isinstance(content, bytes) or not isinstance(signature, bytes):
        return None
    try:
        return prove(content, signature, origin)
    except PoisonRecord:
        return None


def of_documents(found: Iterable[Mapping[str, Any]]) -> SignedSet | None:
    """Return the set from the two documents that `BOTH` finds; None if they prove none."""
    by_id = {document["_id"]: document for document in found}
    origin = origin_of(by_id.get(ORIGIN_ID))
    return None if origin is None else of_document(by_id.get(DOCUMENT_ID), origin)


def kept_set(home: Database[dict[str, Any]], origin: Origin) -> SignedSet | None:
    """Return the stored set; None if its signature is missing or invalid. Raises PyMongoError."""
    return of_document(home[COLLECTION].find_one({"_id": DOCUMENT_ID}), origin)


def keep_set(home: Database[dict[str, Any]], signed: SignedSet, origin: Origin) -> bool:
    """Store a set if the stored one is invalid or older; tell whether it was. Raises PyMongoError.

    If two processes store two sets at once, the newer set wins.
    """
    document = {"_id": DOCUMENT_ID, **to_document(signed)}
    while True:
        found = home[COLLECTION].find_one({"_id": DOCUMENT_ID})
        kept = of_document(found, origin)
        if kept is not None and kept.known.version >= signed.known.version:
            return False
        if found is None:
            try:
                home[COLLECTION].insert_one(document)
            except DuplicateKeyError:
                continue
            return True
        # Only the document that was read, since another process may have kept a newer set.
        # Documents of earlier releases have no signature, or no version either.
        as_found = {"_id": DOCUMENT_ID, **{n: found.get(n) for n in ("version", "signature")}}
        if home[COLLECTION].replace_one(as_found, document).matched_count:
            return True
