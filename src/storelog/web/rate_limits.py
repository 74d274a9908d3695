"""Rate limits for each address and each caller, off unless settings name them.

They count in this process: N processes behind one address let through up to N times as much
(decision 0031). A sliding window, so that nobody gets two windows' worth at a boundary.
Next: web/app.py
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from storelog.config import Settings
from storelog.errors import ProtocolRefusal

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Counted:
    """One request under one policy, in the words of its headers."""

    policy: str
    left: str
    retry_after_seconds: int | None
    about: str


class RateLimits:
    """Counts the requests of each address and each caller."""

    def __init__(self, settings: Settings) -> None:
        self._by_address = _item(settings.rate_limit_per_address)
        self._by_caller = _item(settings.rate_limit_per_key)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def of_address(self, address: str) -> Counted | None:
        """Count one request of an address."""
        return self._count("address", self._by_address, address)

    def of_caller(self, name: str, address: str) -> Counted | None:
        """Count one request of a caller, or where there are no keys, of an address."""
        # No name of a key begins with @, so a key and an address cannot share a count.
        return self._count("key", self._by_caller, name or f"@{address}")

    def _count(self, policy: str, item: RateLimitItem | None, who: str) -> Counted | None:
        if item is None:
            return None
        is_allowed = self._limiter.hit(item, policy, who)
        stats = self._limiter.get_window_stats(item, policy, who)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        return Counted(
            f'"{policy}";q={item.amount};w={item.get_expiry()}',
            f'"{policy}";r={stats.remaining};t={seconds}',
            None if is_allowed else seconds,
            f"At most {item.amount} requests in {item.get_expiry()} s.",
        )


def headers_of(counted: Sequence[Counted]) -> Headers:
    """Return `RateLimit-Policy` and `RateLimit`: one list each, whatever was counted."""
    return [
        (b"ratelimit-policy", ", ".join(one.policy for one in counted).encode()),
        (b"ratelimit", ", ".join(one.left for one in counted).encode()),
    ]


def check(counted: Counted) -> None:
    """Raise ProtocolRefusal 429 if the request was one too many."""
    if counted.retry_after_seconds is not None:
        retry_after = [("Retry-After", str(counted.retry_after_seconds))]
        raise ProtocolRefusal(429, "too-many-requests", counted.about, retry_after)


def _item(text: str | None) -> RateLimitItem | None:
    return None if text is None else parse(text)
