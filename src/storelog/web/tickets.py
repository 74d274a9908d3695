"""Tickets: what a browser's `EventSource`, which cannot send a key, sends instead.

A ticket names a key and a time of expiry, signed (HMAC-SHA-256) with the hash of that key: each
service that knows the key can check the ticket, without any other shared secret, and none accepts
it once the key is revoked. It opens only routes that take tickets.
Next: web/auth.py
"""

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from hmac import compare_digest, digest
from urllib.parse import parse_qsl

from storelog.setting_types import ApiKey
from storelog.shop.value import value

GOOD_FOR_SECONDS = 60
MAX_PARAMETERS = 50
_TICKET = re.compile(r"([1-9][0-9]{12})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_.-]{0,64})")
# Part of what is signed, so that no other signature can serve as a ticket.
_MEANT_FOR = "storelog ticket for /live"
# Signs tickets while there is no key at all, when anyone may do everything without a ticket too.
NO_KEY = ApiKey("", "admin", sha256(b"").hexdigest())


@value
class Ticket:
    """A ticket of the right form, whose signature is still to be checked."""

    key_name: str
    ends_at_ms: int
    signature: str

    def is_of(self, key: ApiKey) -> bool:
        """Tell whether this key signed it."""
        return compare_digest(self.signature, _signature(key, self.ends_at_ms))


def issue(key: ApiKey, now: float) -> tuple[str, float]:
    """Return a ticket in the key's name, and when it ends; times are seconds since 1970."""
    ends_at_ms = int((now + GOOD_FOR_SECONDS) * 1_000)
    return f"{ends_at_ms}.{_signature(key, ends_at_ms)}.{key.name}", ends_at_ms / 1_000


def read(text: str) -> Ticket | None:
    """Return the parsed ticket; None for any other text."""
    found = _TICKET.fullmatch(text)
    return None if found is None else Ticket(found[3], int(found[1]), found[2])


def of_query(raw: bytes) -> str | None:
    """Return the parameter `ticket` of a query string, whatever else is wrong with that."""
    try:
        given = dict(parse_qsl(raw.decode("latin-1"), True, max_num_fields=MAX_PARAMETERS))
    except ValueError:
        return None
    return given.get("ticket")


def _signature(key: ApiKey, ends_at_ms: int) -> str:
    text = f"{_MEANT_FOR}\n{key.name}\n{ends_at_ms}".encode()
    signed = digest(bytes.fromhex(key.sha256), text, sha256)
    return urlsafe_b64encode(signed).rstrip(b"=").decode()
