"""Compares the API keys in MongoDB, which the Query Service uses, with those in PostgreSQL.

MongoDB also has the signer of the sets. Both documents are in the URI's database, whichever read
model is the active one.
Next: verify/verify.py
"""

import asyncio
from typing import Any

import asyncpg
from pymongo.asynchronous.database import AsyncDatabase

from storelog import origin
from storelog.api_keys import COLLECTION, DOCUMENT_ID, read_announced
from storelog.key_sets import of_document, sign_set, to_document
from storelog.log_history import ALL
from storelog.verify.report import Report, differing

WHERE = f"mongodb.{COLLECTION}"
# How long a key that was just created or revoked may be on its way.
ON_ITS_WAY_SECONDS = 12.0
Document = dict[str, Any]


class Keys:
    """The set of keys and its signer: two documents, and no other."""

    def __init__(self, home: AsyncDatabase[Document], report: Report) -> None:
        self._collection = home[COLLECTION]
        self._report = report
        self._repairs: dict[Any, Document | None] = {}
        self._has_hashes = True

    async def compare(self, connection: asyncpg.Connection) -> None:
        """Compare, after changes on their way have had the time to arrive."""
        give_up_at = asyncio.get_running_loop().time() + ON_ITS_WAY_SECONDS
        while True:
            expected = await _expected(connection)
            documents = await self._collection.find({}).to_list()
            found = {document.pop("_id"): document for document in documents}
            self._has_hashes = origin.DOCUMENT_ID in expected
            _excuse(expected, found)
            if found == expected or asyncio.get_running_loop().time() > give_up_at:
                break
            await asyncio.sleep(0.1)
        self._report.count(WHERE, len(expected))
        # The id of a stray document may be of any type.
        for name in sorted(expected.keys() | found.keys(), key=str):
            self._compare(name, expected.get(name), found.get(name))

    def _compare(self, name: Any, expected: Document | None, found: Document | None) -> None:
        if expected == found:
            return
        self._repairs[name] = expected
        if expected is None or found is None:
            whole = [None if each is None else "a document" for each in (expected, found)]
            self._report.differ(WHERE, name, "document", *whole)
            return
        for place in differing(expected, found):
            self._report.differ(WHERE, name, *place)

    async def repair(self) -> int:
        """Write what must be there, and remove what must not; return how many documents.

        If the account may not read the hashes, nothing is written.
        """
        if not self._has_hashes:
            return 0
        for name, document in self._repairs.items():
            if document is None:
                await self._collection.delete_one({"_id": name})
            else:
                whole = {"_id": name, **document}
                await self._collection.replace_one({"_id": name}, whole, upsert=True)
        return len(self._repairs)


def _excuse(expected: dict[Any, Document], found: dict[Any, Document]) -> None:
    """Accept differences that have a legitimate reason."""
    if origin.DOCUMENT_ID in expected and "provenFrom" in found.get(origin.DOCUMENT_ID, {}):
        if found[origin.DOCUMENT_ID]["provenFrom"] is None:
            # MongoDB does not know it until the next `storelog migrate`.
            expected[origin.DOCUMENT_ID]["provenFrom"] = None
    elif origin.DOCUMENT_ID not in expected:
        # This account may read neither the hashes nor the signer and version: accept them as found,
        # if the signature is valid.
        signer = origin.origin_of(found.pop(origin.DOCUMENT_ID, None))
        own = found.get(DOCUMENT_ID)
        if own is not None and signer is not None and of_document(own, signer) is not None:
            hashes = {key.get("name"): key.get("sha256") for key in own.get("keys", ())}
            expected[DOCUMENT_ID] |= {n: own.get(n) for n in ("version", "content", "signature")}
            for key in expected[DOCUMENT_ID]["keys"]:
                key["sha256"] = hashes.get(key["name"])


async def _without_hashes(connection: asyncpg.Connection) -> Document:
    rows = await connection.fetch(
        "SELECT name, role, extract(epoch FROM expires_at)::float8 AS expires_at, revoked_at"
        " FROM api_keys ORDER BY name"
    )
    keys = [
        {"name": row["name"], "role": row["role"], "sha256": None, "expiresAt": row["expires_at"]}
        for row in rows
        if row["revoked_at"] is None
    ]
    # Sorted here, since PostgreSQL's collation may sort names in another order.
    return {
        "version": 0,
        "isUsed": bool(rows),
        "signature": "of this shop's relay",
        "keys": sorted(keys, key=lambda key: str(key["name"])),
    }


async def _expected(connection: asyncpg.Connection) -> dict[Any, Document]:
    try:
        known, secret = await read_announced(connection)
    except asyncpg.InsufficientPrivilegeError:
        return {DOCUMENT_ID: await _without_hashes(connection)}
    proven_from = await connection.fetchval("SELECT proven_from FROM relay_cursor")
    histories = [
        {"id": history, "beganAfter": began_after}
        for history, began_after, _ in await connection.fetch(ALL)
    ]
    signer = {
        "signer": origin.public_key(secret),
        "provenFrom": proven_from,
        "histories": histories,
    }
    return {DOCUMENT_ID: to_document(sign_set(known, secret)), origin.DOCUMENT_ID: signer}
