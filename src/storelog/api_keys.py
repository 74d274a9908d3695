"""The keys of `storelog keys`: hashes in PostgreSQL, copied to every process that checks keys.

The Command Service reads the table. The Query Service has no account there: the relay announces
the whole set on `storelog.keys` (compacted, one partition), the projector keeps the newest in
MongoDB, and the Query Service reads it there. A whole set is announced, not a change, with a
version that only grows: a lost, late or repeated one does not undo a newer one.
Next: web/keyring.py
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import asyncpg

from storelog.envelope import format_time
from storelog.errors import BadUse
from storelog.setting_types import ApiKey

# The prefix tells keys from other secrets, for people and for scanners of repositories.
KEY_PREFIX = "slk_"
# In the database that the URI names, whichever read model is the active one.
COLLECTION, DOCUMENT_ID = "api_keys", "keys"


@dataclass(frozen=True, slots=True)
class KeySet:
    """Every key that was not revoked; `is_used` once there has ever been one.

    `version`: a later set of the same signer has a higher one; 0 where it was not read.
    `signer`: the public key, in hex, that signed the set, where that was checked.
    """

    keys: tuple[ApiKey, ...] = ()
    is_used: bool = False
    version: int = 0
    signer: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A row as `storelog keys list` shows it."""

    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def facts(self, now: datetime) -> dict[str, Any]:
        """Return the row for people and programs."""
        is_expired = self.expires_at is not None and self.expires_at <= now
        state = "revoked" if self.revoked_at else "expired" if is_expired else "valid"
        times = {"created_at": self.created_at, "expires_at": self.expires_at}
        times["revoked_at"] = self.revoked_at
        shown = {name: None if at is None else format_time(at) for name, at in times.items()}
        return {"name": self.name, "role": self.role, "state": state, **shown}


async def create(
    connection: asyncpg.Connection, name: str, role: str, expires_at: datetime | None
) -> tuple[str, bool]:
    """Make a key; return its text, which is kept nowhere, and whether it is the first of all.

    Raises BadUse for a used name.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    is_first: bool | None = await connection.fetchval(
        "INSERT INTO api_keys (name, role, sha256, expires_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (name) DO NOTHING RETURNING NOT EXISTS (SELECT FROM api_keys)",
        name,
        role,
        sha256(key.encode()).digest(),
        expires_at,
    )
    if is_first is None:
        raise BadUse(f"the name {name} was used before: a name means one key for ever")
    return key, is_first


async def revoke(connection: asyncpg.Connection, name: str) -> bool:
    """Revoke a key; tell whether it was not revoked before. Raises BadUse for an unknown name."""
    revoked = await connection.fetchval(
        "UPDATE api_keys SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL"
        " RETURNING true",
        name,
    )
    if not revoked and not await connection.fetchval(
        "SELECT true FROM api_keys WHERE name = $1", name
    ):
        raise BadUse(f"there is no key {name}: see `storelog keys list`")
    return bool(revoked)


async def issued(connection: asyncpg.Connection) -> list[Issued]:
    """Return every key that was ever created, oldest first."""
    rows = await connection.fetch(
        "SELECT name, role, created_at, expires_at, revoked_at FROM api_keys"
        " ORDER BY created_at, name"
    )
    return [Issued(*row) for row in rows]


async def read_key_set(connection: Any) -> KeySet:
    """Return the current set; `connection` may be a pool."""
    rows = await connection.fetch("SELECT name, role, sha256, expires_at, revoked_at FROM api_keys")
    return _key_set(rows, 0)


async def read_announced(connection: asyncpg.Connection) -> tuple[KeySet, bytes]:
    """Return the current set with its version, and the secret that signs it."""
    # One statement, so that the keys cannot be newer than the version.
    rows = await connection.fetch(
        "SELECT version, signer, name, role, sha256, expires_at, revoked_at"
        " FROM api_key_sets LEFT JOIN api_keys ON true"
    )
    return _key_set([row for row in rows if row["name"]], rows[0]["version"]), rows[0]["signer"]


def _key_set(rows: Sequence[Mapping[str, Any]], version: int) -> KeySet:
    keys = [
        ApiKey(row["name"], row["role"], row["sha256"].hex(), _epoch(row["expires_at"]))
        for row in rows
        if row["revoked_at"] is None
    ]
    return KeySet(tuple(sorted(keys, key=lambda key: key.name)), bool(rows), version)


def to_facts(known: KeySet) -> dict[str, Any]:
    """Return the set as it is announced and stored."""
    keys = [
        {"name": k.name, "role": k.role, "sha256": k.sha256, "expiresAt": k.expires_at}
        for k in known.keys
    ]
    return {"version": known.version, "isUsed": known.is_used, "keys": keys}


def from_facts(found: Mapping[str, Any]) -> KeySet:
    """Return an announced set. Raises KeyError or TypeError for anything else."""
    keys = [ApiKey(k["name"], k["role"], k["sha256"], k["expiresAt"]) for k in found["keys"]]
    return KeySet(tuple(keys), bool(found["isUsed"]), int(found.get("version", 0)))


def _epoch(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
