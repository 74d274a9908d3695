"""Who may do what: API keys by the SHA-256 of the key, and roles that include one another.

A key is compared in constant time with every key there is; its text is never kept or logged.
Next: web/app.py
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest

from storelog.config import ROLES, ApiKey
from storelog.errors import Forbidden, Unauthenticated
from storelog.web.http import Caller

ANYBODY = Caller("", "admin")
_LEVEL = {"public": 0, **{role: level for level, role in enumerate(ROLES, 1)}}


def authenticate(keys: Sequence[ApiKey], headers: Mapping[str, str]) -> Caller:
    """Return who sent the request; anybody may do everything where no key is set.

    Raises Unauthenticated.
    """
    if not keys:
        return ANYBODY
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated
    digest = sha256(key.strip().encode()).hexdigest()
    found = None
    for candidate in keys:
        if compare_digest(candidate.sha256, digest):
            found = candidate
    if found is None:
        raise Unauthenticated
    return Caller(found.name, found.role)


def authorize(caller: Caller, role: str) -> None:
    """Raise Forbidden where the caller's role does not include `role`."""
    if not includes(caller, role):
        raise Forbidden("forbidden", f"This needs the role {role}; the key has {caller.role}.")


def includes(caller: Caller, role: str) -> bool:
    """Tell whether the caller's role includes `role`."""
    return _LEVEL[caller.role] >= _LEVEL[role]
