"""The API keys that are valid now: those of the settings, and a set that is read all the time.

A key is found by its SHA-256 and compared in constant time; its text is never kept or logged. Until
the set has been read once, only keys of the settings are accepted; after that, the last set is used
while its server is away.
Next: web/auth.py
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from hmac import compare_digest

import structlog

from storelog.api_keys import KeySet
from storelog.errors import StorelogError, Unauthenticated, Unavailable
from storelog.setting_types import ApiKey
from storelog.web.tickets import Ticket

POLL_SECONDS = 0.5
FIRST_POLL_SECONDS = 0.05
# A service that is starting does not warn yet that the keys are not known.
START_SECONDS = 5.0
STOP_TRIES = 6
_log = structlog.get_logger()
_HOLD = "keys cannot be read; the last ones hold"
_UNKNOWN = "keys are not known yet: is the system migrated (`storelog migrate`)?"
# Compared with where no key is found, so that the time tells nothing.
_NOBODY = ApiKey("", "public", "0" * 64)
ReadKeySet = Callable[[], Awaitable[KeySet]]


class Keyring:
    """Finds keys. `read` gives the set beside the settings' keys, where there is one.

    `now` is the clock by which they expire, in seconds since 1970.
    """

    def __init__(
        self,
        keys: Sequence[ApiKey],
        read: ReadKeySet | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings_keys = tuple(keys)
        self._read = read
        self.now = now
        self._is_known = read is None
        self._task: asyncio.Task[None] | None = None
        self._by_start: dict[str, ApiKey] = {}
        self.is_empty = False
        self._version, self._signer = 0, ""
        self._hold(KeySet())

    def find(self, text: str) -> ApiKey:
        """Return the key with this text. Raises Unauthenticated, Unavailable."""
        digest = sha256(text.encode()).hexdigest()
        found = self._by_start.get(digest[:16], _NOBODY)
        if not compare_digest(found.sha256, digest) or found is _NOBODY:
            raise self.rejection()
        if found.expires_at is not None and found.expires_at <= self.now():
            raise Unauthenticated("The key has expired.")
        return found

    def of_ticket(self, ticket: Ticket) -> ApiKey:
        """Return the key that was given the ticket. Raises Unauthenticated, Unavailable."""
        for key in self._by_start.values():
            has_expired = key.expires_at is not None and key.expires_at <= self.now()
            if key.name == ticket.key_name and not has_expired and ticket.is_of(key):
                return key
        raise self.rejection()

    def rejection(self) -> StorelogError:
        """Return the error for a key that is not known."""
        if self._is_known:
            return Unauthenticated()
        return Unavailable("The keys are not known yet.")

    def rejection_without_key(self) -> StorelogError:
        """Return the error for a request without a key, where there are any keys."""
        return Unauthenticated() if self._settings_keys else self.rejection()

    def check_known(self) -> None:
        """Raise Unavailable until the set of keys has been read once."""
        if not self._is_known:
            raise Unavailable("The keys are not known yet.")

    def _hold(self, known: KeySet) -> None:
        # Looking up a part of the hash is no timing leak, since nobody can choose a key's hash.
        self._by_start = {key.sha256[:16]: key for key in (*known.keys, *self._settings_keys)}
        self.is_empty = self._is_known and not self._settings_keys and not known.is_used

    async def start(self) -> None:
        """Read the set once, if its server responds, and from then on all the time."""
        if self._read is not None:
            with suppress(Exception):
                await self._refresh(self._read)
            self._task = asyncio.create_task(self._watch(self._read))

    async def stop(self) -> None:
        """Stop reading the set."""
        for _ in range(STOP_TRIES):
            if self._task is None or self._task.done():
                return
            # A driver may mistake a cancellation for its own time-out, so it is repeated.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=POLL_SECONDS)

    async def _watch(self, read: ReadKeySet) -> None:
        is_said, began = False, time.monotonic()
        wait = POLL_SECONDS if self._is_known else FIRST_POLL_SECONDS
        while True:
            await asyncio.sleep(wait)
            wait = min(2 * wait, POLL_SECONDS)
            try:
                await self._refresh(read)
                is_said, wait = False, POLL_SECONDS
            except Exception as error:  # noqa: BLE001  without this task no key is ever revoked again
                if not is_said and (self._is_known or time.monotonic() > began + START_SECONDS):
                    _log.warning(_HOLD if self._is_known else _UNKNOWN, error=repr(error))
                    is_said = True

    async def _refresh(self, read: ReadKeySet) -> None:
        known = await read()
        self._is_known = True
        # A server that came back from an older copy must not bring back a revoked key. Versions of
        # different signers cannot be compared.
        if known.signer != self._signer or known.version >= self._version:
            self._version, self._signer = known.version, known.signer
            self._hold(known)
