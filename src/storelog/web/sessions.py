"""Sessions of the console: an opaque id in a cookie stands for an API key in this process's memory.

Guarantees that the key is in no cookie, page or log, that it is checked again on every request (so
that revoking a key ends its sessions), and that a session ends by itself. Sessions belong to one
process: behind one address, several Query Services need sticky connections (decision 56).
Next: web/admission.py
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from storelog.web.http import Route

MAX_SESSIONS = 1_000
SESSION_SECONDS = 12 * 3_600.0
IDLE_SECONDS = 2 * 3_600.0
PLAIN_COOKIE = "storelog_console"
# RFC 6265bis: such a cookie is Secure, has no domain, and its path is /.
SECURE_COOKIE = "__Host-storelog_console"


@dataclass(slots=True)
class _Session:
    key: str
    began_at: float
    used_at: float


class Sessions:
    """The sessions of one process; with `is_secure` their cookie travels over TLS only."""

    def __init__(
        self, *, is_secure: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._cookie = SECURE_COOKIE if is_secure else PLAIN_COOKIE
        self._attributes = "HttpOnly; SameSite=Strict; " + (
            "Path=/; Secure" if is_secure else "Path=/console"
        )
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, key: str) -> tuple[str, str]:
        """Begin a session of the key's owner; return the header that gives the browser its id."""
        session_id, now = secrets.token_urlsafe(32), self._now()
        self._sessions[_digest(session_id)] = _Session(key, now, now)
        # The oldest go first, so that sign-ins without end cannot fill the memory.
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return ("Set-Cookie", f"{self._cookie}={session_id}; {self._attributes}")

    def end(self, headers: Mapping[str, str]) -> tuple[str, str]:
        """End the request's session; return the header that takes the cookie away."""
        session_id = self._id_of(headers)
        if session_id is not None:
            self._sessions.pop(_digest(session_id), None)
        return ("Set-Cookie", f"{self._cookie}=; Max-Age=0; {self._attributes}")

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """Return the key of the request's session; None where there is none, or it has ended."""
        session_id = self._id_of(headers)
        if session_id is None:
            return None
        digest, now = _digest(session_id), self._now()
        session = self._sessions.get(digest)
        if session is None:
            return None
        if now > session.began_at + SESSION_SECONDS or now > session.used_at + IDLE_SECONDS:
            del self._sessions[digest]
            return None
        session.used_at = now
        return session.key

    def _id_of(self, headers: Mapping[str, str]) -> str | None:
        for pair in headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self._cookie and value:
                return value
        return None


def _digest(session_id: str) -> bytes:
    """Return the digest by which a session is found; its id itself is kept nowhere."""
    return sha256(session_id.encode("utf-8", "replace")).digest()


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages for people beside a service's API, and the sessions that open them."""

    routes: Sequence[Route]
    sessions: Sessions
    close: Callable[[], Awaitable[None]]
