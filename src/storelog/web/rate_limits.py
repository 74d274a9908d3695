"""Rate limits for each address and each caller, off unless settings name them.

They count in this process: N processes behind one address let through up to N times as much
(decision 0031). A sliding window, so that nobody gets two windows' worth at a boundary.
Next: web/app.py
"""

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from storelog.config import Settings
from storelog.errors import ProtocolRefusal

Headers = list[tuple[bytes, bytes]]


class RateLimits:
    """What each address and each caller may still send."""

    def __init__(self, settings: Settings) -> None:
        self._by_address = _item(settings.rate_limit_per_address)
        self._by_caller = _item(settings.rate_limit_per_key)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check_address(self, address: str) -> Headers:
        """Count one request of an address. Raises ProtocolRefusal 429."""
        return self._check("address", self._by_address, address)

    def check_caller(self, name: str, address: str) -> Headers:
        """Count one request of a caller, or where there are no keys, of an address."""
        return self._check("key", self._by_caller, name or f"@{address}")

    def _check(self, policy: str, item: RateLimitItem | None, who: str) -> Headers:
        if item is None:
            return []
        is_allowed = self._limiter.hit(item, policy, who)
        stats = self._limiter.get_window_stats(item, policy, who)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        named = f'"{policy}";q={item.amount};w={item.get_expiry()}'
        left = f'"{policy}";r={stats.remaining};t={seconds}'
        if is_allowed:
            return [(b"ratelimit-policy", named.encode()), (b"ratelimit", left.encode())]
        raise ProtocolRefusal(
            429,
            "too-many-requests",
            f"At most {item.amount} requests in {item.get_expiry()} s.",
            [("Retry-After", str(seconds)), ("RateLimit-Policy", named), ("RateLimit", left)],
        )


def _item(text: str | None) -> RateLimitItem | None:
    return None if text is None else parse(text)
